"""Generators that their makers publish on the web, where they lie and on what terms.

The addresses are those of the projects' own lists. None of these files comes with a published hash: the first
download of each is remembered (`engine.public_fetch`), and later ones must be the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from krita_drag.wire.errors import ModelUnsupported

from engine.catalogue import ModelInfo

_NGC = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/stylegan2-"
_TF = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/stylegan2-"
_SELF_DISTILLED = "https://storage.googleapis.com/self-distilled-stylegan/"

_NVIDIA_NOTE = (
    "NVIDIA publishes these weights for research and evaluation, not for commercial use "
    "(NVIDIA Source Code License, data partly CC BY-NC). Read the terms on the project's page before using results."
)
_SELF_DISTILLED_NOTE = (
    "Published with the paper Self-Distilled StyleGAN (Mokady et al. 2022), trained on pictures from the internet "
    "with NVIDIA's code: keep to non-commercial use and read the terms on the project's page."
)
_HUMAN_NOTE = "Published with StyleGAN-Human (Fu et al. 2022) for research, not for commercial use."
_LANDSCAPE_NOTE = "Trained on LHQ (Skorokhodov et al. 2021), photographs under several licences: see its page."
# Sizes of downloads, MB, as far as somebody wrote them down: https://github.com/XingangPan/DragGAN/issues/410.
_SIZES_MB = {
    "ffhq-512": 364,
    "selfdistilled-lions-512": 364,
    "selfdistilled-elephants-512": 364,
    "selfdistilled-dogs-1024": 382,
    "selfdistilled-horses-256": 357,
}


@dataclass(frozen=True)
class PublicModel:
    """A generator on the web.

    Attributes:
        info: what is shown; `size_bytes` is rounded, and 0 where nobody says.
        url: address of the file; None where only a person can download it.
        page: where a person finds it.
    """

    info: ModelInfo
    url: str | None
    page: str


def as_public(model: PublicModel, found: ModelInfo) -> tuple[ModelInfo, str]:
    """Describe a file that is said to be a public model.

    Args:
        model: what it is said to be.
        found: what the file itself says.

    Returns:
        Its description and its terms.

    Raises:
        ModelUnsupported: it cannot be that model.
    """
    info = model.info
    if found.resolution != info.resolution:
        raise ModelUnsupported(
            f"The file holds a model of {found.resolution} px; “{info.name}” has {info.resolution} px.",
            "Add it under another name with `krita-drag models add FILE --name NAME`.",
        )
    info = replace(info, size_bytes=found.size_bytes, margin=found.margin)
    return info, f"{info.title}: {info.licence}\n\n{info.licence_note}\n"


def _entry(
    name: str,
    title: str,
    domain: str,
    url: str | None,
    page: str,
    licence: tuple[str, str],
    aligned: bool,
    margin: int = 0,
) -> PublicModel:
    resolution, source = int(name.rpartition("-")[2]), url or page
    size = _SIZES_MB.get(name, 0) * 1_000_000
    info = ModelInfo(name, title, "stylegan2", resolution, domain, aligned, *licence, source, size, margin)
    return PublicModel(info, url, page)


def _nvidia() -> list[PublicModel]:
    page, licence = "https://github.com/NVlabs/stylegan3", ("NVIDIA, non-commercial", _NVIDIA_NOTE)
    rows = (
        ("ffhq-1024", "ffhq-1024x1024", "Faces (FFHQ)", "faces", True),
        ("ffhq-512", "ffhq-512x512", "Faces (FFHQ)", "faces", True),
        ("ffhq-256", "ffhq-256x256", "Faces (FFHQ)", "faces", True),
        ("ffhqu-1024", "ffhqu-1024x1024", "Faces, not aligned (FFHQ-U)", "faces", False),
        ("ffhqu-256", "ffhqu-256x256", "Faces, not aligned (FFHQ-U)", "faces", False),
        ("celebahq-256", "celebahq-256x256", "Faces of celebrities (CelebA-HQ)", "faces", True),
        ("metfaces-1024", "metfaces-1024x1024", "Painted faces (MetFaces)", "painted faces", True),
        ("metfacesu-1024", "metfacesu-1024x1024", "Painted faces, not aligned (MetFaces-U)", "painted faces", False),
        ("afhqcat-512", "afhqcat-512x512", "Faces of cats (AFHQ)", "cats", False),
        ("afhqdog-512", "afhqdog-512x512", "Faces of dogs (AFHQ)", "dogs", False),
        ("afhqwild-512", "afhqwild-512x512", "Faces of wild animals (AFHQ)", "wild animals", False),
        ("afhqv2-512", "afhqv2-512x512", "Faces of animals (AFHQ v2)", "animal faces", False),
        ("lsundog-256", "lsundog-256x256", "Dogs (LSUN)", "dogs", False),
        ("brecahad-512", "brecahad-512x512", "Microscopy of tissue (BreCaHAD)", "microscopy", False),
    )
    return [_entry(n, t, domain, f"{_NGC}{file}.pkl", page, licence, aligned) for n, file, t, domain, aligned in rows]


def _nvidia_tensorflow() -> list[PublicModel]:
    page, licence = "https://github.com/NVlabs/stylegan2", ("NVIDIA, non-commercial", _NVIDIA_NOTE)
    rows = (("car", 512, "Cars"), ("cat", 256, "Cats"), ("horse", 256, "Horses"), ("church", 256, "Churches"))
    return [
        _entry(
            f"{kind}-{side}",
            f"{title} (LSUN)",
            title.lower(),
            f"{_TF}{kind}-config-f.pkl",
            page,
            licence,
            aligned=False,
        )
        for kind, side, title in rows
    ]


def _self_distilled() -> list[PublicModel]:
    page, licence = "https://self-distilled-stylegan.github.io", ("non-commercial", _SELF_DISTILLED_NOTE)
    kinds = ["lions-512", "dogs-1024", "horses-256", "elephants-512", "giraffes-512", "parrots-512", "bicycles-256"]
    models = []
    for name in kinds:
        kind = name.partition("-")[0]
        url = f"{_SELF_DISTILLED}{name.replace('-', '_')}_pytorch.pkl"
        title = f"{kind.title()} (Self-Distilled StyleGAN)"
        models.append(_entry(f"selfdistilled-{name}", title, kind, url, page, licence, aligned=False))
    return models


_BY_HAND = [
    *(
        _entry(
            f"human-{height}",
            "People from head to foot (StyleGAN-Human v2)",
            "people, from head to foot",
            None,
            "https://github.com/stylegan-human/StyleGAN-Human",
            ("non-commercial", _HUMAN_NOTE),
            aligned=False,
            margin=height // 4,
        )
        for height in (512, 1024)
    ),
    _entry(
        "landscapes-256",
        "Landscapes (LHQ)",
        "landscapes",
        None,
        "https://github.com/XingangPan/DragGAN",
        ("see its page", _LANDSCAPE_NOTE),
        aligned=False,
    ),
]

PUBLIC_MODELS: dict[str, PublicModel] = {
    model.info.name: model for model in [*_nvidia(), *_nvidia_tensorflow(), *_self_distilled(), *_BY_HAND]
}
