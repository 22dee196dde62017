"""The one interface behind which every generator of this project stands, and StyleGAN2 behind it.

Inversion and drag see a generator only through :class:`Generator`: a mapping network, a synthesis network that can
stop early or compute only windows of its feature map, and the statistics of W. Sources: Karras et al. 2019 (mapping,
truncation), Karras et al. 2020 (synthesis), Pan et al. 2023 (which features a drag needs).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2.mapping import MappingConfig, MappingNetwork
from stylegan2.synthesis import NoiseMode, SynthesisConfig, SynthesisNetwork
from stylegan2.windows import Windows

STATISTICS_SAMPLES = 20_000
STATISTICS_SEED = 0
SMALLEST_VARIANCE = 1e-6  # relative to the largest: directions in which samples do not vary stay closed


def latent_rows(w_plus: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Split latents (N, num_ws, w_dim) into their rows, num_ws times (N, w_dim)."""
    return w_plus.unbind(1) if isinstance(w_plus, Tensor) else w_plus


class Generator(nn.Module, ABC):
    """A style-based generator: z -> w -> picture, with access to its features.

    Attributes:
        kind: name of the architecture in model files, such as "stylegan2".
        resolution: side of the square picture, pixels.
        margin: columns at its left and right that stay grey, as the pictures themselves are narrower; mostly 0.
        z_dim, c_dim, w_dim: lengths of the noise vector, the label (0: unconditional) and one row of w_plus.
        num_ws: rows of w_plus.
        layer_resolutions: for every row of w_plus, the resolution of the (first) convolution that it steers.
        coarse_ws: how many leading rows steer shape rather than texture; a drag moves only these
            (DragGAN section 4: the first 6 of StyleGAN2).
        colour_parameters: names of weight and bias of the last layer, a 1x1 convolution that ends in colours.
    """

    kind: str
    resolution: int
    margin: int = 0
    z_dim: int
    c_dim: int
    w_dim: int
    num_ws: int
    layer_resolutions: tuple[int, ...]
    coarse_ws: int
    colour_parameters: tuple[str, str]
    mapping_network: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_w_mean", None, persistent=False)
        self.register_buffer("_w_covariance", None, persistent=False)
        self.register_buffer("_w_covariance_factor", None, persistent=False)
        self._w_mean: Tensor | None
        self._w_covariance: Tensor | None
        self._w_covariance_factor: Tensor | None

    @abstractmethod
    def w(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Map noise to one latent per sample, untruncated.

        Args:
            z: noise, (N, z_dim), standard normal.
            c: labels, (N, c_dim), one-hot; None for unconditional models.

        Returns:
            w, (N, w_dim).
        """

    @abstractmethod
    def uncoloured(self, w_plus: Tensor, noise_mode: NoiseMode = "const") -> tuple[Tensor, Tensor | None]:
        """Compute what the last layer makes pictures of; arguments as for `synthesis`.

        Returns:
            Its input, (N, C, r, r) of the picture's side r or half of it, without margins, and the picture to which
            it adds, or None.
        """

    @abstractmethod
    def coloured(self, features: Tensor, below: Tensor | None) -> Tensor:
        """Apply the last layer to what `uncoloured` returned; returns what `synthesis` does."""

    @abstractmethod
    def colour_channels(self, picture: Tensor) -> Tensor:
        """Return the output of the last layer, (N, K, r, r), that alone makes a picture, (N, 3, R, R)."""

    def synthesis(self, w_plus: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """Render pictures.

        Args:
            w_plus: latents, (N, num_ws, w_dim).
            noise_mode: "const" (stored noise maps), "random" (new noise each call) or "none".

        Returns:
            Pictures, (N, 3, resolution, resolution), nominally in [-1, 1], not clamped.
        """
        return self.coloured(*self.uncoloured(w_plus, noise_mode))

    @abstractmethod
    def features(self, w_plus: Tensor | Sequence[Tensor], resolution: int, windows: Windows | None = None) -> Tensor:
        """Compute the output of the block at `resolution`, and nothing above it, with the stored noise.

        Args:
            w_plus: latents, (N, num_ws, w_dim), or its rows, num_ws times (N, w_dim): rows given one by one spare
                the gradients of those that do not need any. Rows above the block are not read. With K windows, N is 1,
                or K: then window k is computed from latent k, which keeps the gradients of the windows apart.
            resolution: side of the feature map, one of `feature_resolutions`.
            windows: the K square windows that are wanted; None for the whole map. A window may lie partly
                outside the map: there the features are zero, as the network's own padding.

        Returns:
            (N, C, resolution, resolution), or (K, C, size, size) equal to the crops of that map up to rounding.

        Raises:
            ValueError: there is no block at `resolution`, or another number of latents than 1 and K.
        """

    @property
    def feature_resolutions(self) -> tuple[int, ...]:
        """Resolutions at which `features` can stop, ascending."""
        return tuple(sorted(set(self.layer_resolutions)))

    def mapping(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Map noise to latents, optionally pulled towards the mean (Karras et al. 2019, section B).

        Args:
            z: noise, (N, z_dim).
            c: labels, (N, c_dim), or None.
            truncation_psi: 1 leaves w as it is, 0 gives the mean.
            truncation_cutoff: number of leading rows that are truncated; None for all.

        Returns:
            w_plus, (N, num_ws, w_dim).
        """
        w = self.w(z, c)
        w_plus = w[:, None].repeat(1, self.num_ws, 1)  # (N, num_ws, w_dim)
        if truncation_psi != 1.0:
            rows = w_plus[:, :truncation_cutoff]
            w_plus[:, :truncation_cutoff] = self.w_mean.lerp(rows, truncation_psi)
        return w_plus

    def sample_w_plus(self, seed: int, truncation_psi: float = 0.7, class_index: int = 0) -> Tensor:
        """Draw the latent of one seed, the same on every device.

        Args:
            seed: of z.
            truncation_psi: see `mapping`.
            class_index: 0 to c_dim - 1, what a conditional model draws; others do not read it.

        Returns:
            w_plus, (1, num_ws, w_dim).
        """
        z = torch.randn(1, self.z_dim, generator=torch.Generator().manual_seed(seed)).to(self.w_mean)
        c = torch.eye(self.c_dim)[class_index : class_index + 1].to(z) if self.c_dim else None
        with torch.no_grad():
            return self.mapping(z, c, truncation_psi)

    def trim(self, image: Tensor) -> Tensor:
        """Cut the margins off pictures. (N, 3, R, R) -> (N, 3, R, R - 2 * margin)."""
        return image[..., self.margin : self.resolution - self.margin]

    @property
    def w_mean(self) -> Tensor:
        """Mean of w over random samples, (w_dim,); taken from the file, else estimated once."""
        if self._w_mean is None:
            self._estimate_statistics()
        assert self._w_mean is not None
        return self._w_mean

    @property
    def w_covariance(self) -> Tensor:
        """Covariance of w over random samples, (w_dim, w_dim); taken from the file, else estimated once."""
        if self._w_covariance is None:
            self._estimate_statistics()
        assert self._w_covariance is not None
        return self._w_covariance

    @property
    def w_covariance_factor(self) -> Tensor:
        """L with L L^T = `w_covariance`, (w_dim, w_dim), its columns orthogonal; computed once."""
        if self._w_covariance_factor is None:
            variances, directions = torch.linalg.eigh(self.w_covariance.double().cpu())
            variances = variances.clamp(min=SMALLEST_VARIANCE * variances.max())
            self._w_covariance_factor = (directions * variances.sqrt()).to(self.w_covariance)
        return self._w_covariance_factor

    def set_statistics(self, w_mean: Tensor | None, w_covariance: Tensor | None) -> None:
        """Use known statistics of W, as a file stores them, instead of estimating them."""
        self._w_mean, self._w_covariance, self._w_covariance_factor = w_mean, w_covariance, None

    @torch.no_grad()
    def _estimate_statistics(self) -> None:
        """Sample the mapping network; a mean that the file brought (NVIDIA's w_avg) is kept."""
        like = next(self.mapping_network.parameters())
        generator = torch.Generator().manual_seed(STATISTICS_SEED)
        z = torch.randn(STATISTICS_SAMPLES, self.z_dim, generator=generator).to(like)
        w = torch.cat([self.w(part, self._default_label(len(part), part)) for part in z.split(2000)]).double()
        if self._w_mean is None:
            self._w_mean = w.mean(0).to(like)
        self._w_covariance = torch.cov(w.T).to(like)

    def _default_label(self, count: int, like: Tensor) -> Tensor | None:
        """Labels for sampling, (count, c_dim): the classes in turn; None for unconditional models."""
        if self.c_dim == 0:
            return None
        return torch.eye(self.c_dim).to(like)[torch.arange(count) % self.c_dim]


@dataclass(frozen=True)
class StyleGAN2Config:
    """Sizes of a StyleGAN2 generator; everything but `conv_clamp` and `coarse_ws` can be read off the tensors."""

    z_dim: int
    c_dim: int
    w_dim: int
    resolution: int
    channels: dict[int, int]  # resolution -> channels of the block's output
    architecture: Literal["orig", "skip", "resnet"] = "skip"
    mapping_layers: int = 8
    conv_clamp: float | None = None
    fp16_resolution: int = 0  # blocks at and above this resolution were trained in fp16 (only these clamp)
    coarse_ws: int = 6
    base_width: int = 4  # columns of the 4-high constant; fewer make pictures narrower than high


class StyleGAN2Generator(Generator):
    """StyleGAN2 (Karras et al. 2020). Parameter names follow the published checkpoints, so those load as they are.

    Networks whose pictures are narrower than high (StyleGAN-Human) show them in the middle of a square, between grey
    margins, so that everybody else deals with squares only. In feature maps the margins are zero.
    """

    kind = "stylegan2"

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.synthesis_network = SynthesisNetwork(
            SynthesisConfig(
                config.w_dim,
                config.resolution,
                config.channels,
                config.architecture,
                config.conv_clamp,
                config.fp16_resolution,
                config.base_width,
            )
        )
        self.mapping_network = MappingNetwork(
            MappingConfig(config.z_dim, config.c_dim, config.w_dim, config.mapping_layers)
        )
        self.resolution = config.resolution
        self.margin = config.resolution * (4 - config.base_width) // 8
        self.z_dim, self.c_dim, self.w_dim = config.z_dim, config.c_dim, config.w_dim
        self.layer_resolutions = self.synthesis_network.layer_resolutions
        self.num_ws = len(self.layer_resolutions)
        self.coarse_ws = min(config.coarse_ws, self.num_ws)
        last = f"synthesis_network.b{config.resolution}.torgb"
        self.colour_parameters = f"{last}.weight", f"{last}.bias"

    def w(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        w: Tensor = self.mapping_network(z, c)
        return w

    def uncoloured(self, w_plus: Tensor, noise_mode: NoiseMode = "const") -> tuple[Tensor, Tensor | None]:
        uncoloured: tuple[Tensor, Tensor | None] = self.synthesis_network(w_plus, noise_mode)
        return uncoloured

    def coloured(self, features: Tensor, below: Tensor | None) -> Tensor:
        rgb = self.synthesis_network.blocks[-1].torgb.coloured(features)
        return self._squared(rgb if below is None else below + rgb)

    def colour_channels(self, picture: Tensor) -> Tensor:
        return self.trim(picture)

    def features(self, w_plus: Tensor | Sequence[Tensor], resolution: int, windows: Windows | None = None) -> Tensor:
        rows = latent_rows(w_plus)
        if windows is None:
            return self._squared(self.synthesis_network.features(rows, resolution))
        margin = self.margin * resolution // self.resolution
        return self.synthesis_network.features(rows, resolution, windows.moved(margin))

    def _squared(self, x: Tensor) -> Tensor:
        """Put a narrow map or picture into the middle of a square of zeros. (N, C, H, W) -> (N, C, H, H)."""
        margin = self.margin * x.shape[2] // self.resolution
        return F.pad(x, (margin, margin)) if margin else x
