"""What makes a rendering like the photo, and a latent like the model's own: both as numbers to minimise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FINEST_PX, COARSEST_PX = 512, 16  # levels of the pyramid; finer detail is noise to the latent
WINDOW_PX = 7  # side of the windows in which structure is compared, pixels of each level
STABILITY = 0.01  # variance (of values in [-1, 1]) below which a window counts as flat
FACE_WEIGHT = 4.0  # of the middle of an aligned face; its surroundings have 1
FACE_CENTRE_XY, FACE_HALF_AXES = (0.5, 0.58), (0.2, 0.22)  # fractions of the picture's side
COLOUR_WEIGHT, STRUCTURE_WEIGHT = 1.0, 1.0


class PyramidLoss:
    """Distance to a photo over a pyramid: of colours, and of structure whatever its contrast.

    Colour is L1. Structure is the contrast-structure term of SSIM (Wang et al. 2004; over scales, Wang et al. 2003;
    together with L1, Zhao et al. 2017). With L1 alone a dark photo is best approached by an empty grey picture, and
    the search ends there.

    Args:
        target: the photo as the model sees it, (1, 3, R, R) in [-1, 1].
        weight: how much each pixel counts, (1, 1, R, R), not negative, not all 0.

    Attributes:
        target, weight: as given.
    """

    def __init__(self, target: Tensor, weight: Tensor) -> None:
        self.target, self.weight = target, weight
        size = min(FINEST_PX, target.shape[-1])
        self._levels = [_Level(target, weight, size)]
        while size > COARSEST_PX:
            size //= 2
            self._levels.append(_Level(target, weight, size))

    def __call__(self, rendering: Tensor) -> Tensor:
        """Return the mean of `levels`, a scalar; 0 for the photo itself."""
        return self.levels(rendering).mean()

    def levels(self, rendering: Tensor) -> Tensor:
        """Compare a rendering, (1, 3, r, r) with any r that is a power of two.

        Returns:
            One distance for each level up to r, the finest first.
        """
        distances = [level.distance(rendering) for level in self._levels if level.size <= rendering.shape[-1]]
        return torch.stack(distances)


def face_weight(resolution: int) -> Tensor:
    """How much the pixels of an aligned face count, (1, 1, R, R): what tells people apart more than what is around."""
    position = (torch.arange(resolution) + 0.5) / resolution
    (x, y), (width, height) = FACE_CENTRE_XY, FACE_HALF_AXES
    radius = ((position[None, :] - x) / width).square() + ((position[:, None] - y) / height).square()
    return 1 + (FACE_WEIGHT - 1) * torch.exp(-radius.square())[None, None]


class _Level:
    """The photo at one size, and what can be computed of it beforehand."""

    def __init__(self, target: Tensor, weight: Tensor, size: int) -> None:
        self.size = size
        self._window = min(WINDOW_PX, size)
        self._target = F.adaptive_avg_pool2d(target, size)
        self._mean = self._local(self._target)
        self._variance = self._local(self._target.square()) - self._mean.square()
        self._pixel_weight = _normalised(F.adaptive_avg_pool2d(weight, size))
        self._window_weight = _normalised(self._local(F.adaptive_avg_pool2d(weight, size)))

    def distance(self, rendering: Tensor) -> Tensor:
        """(1, 3, r, r) -> scalar."""
        x = F.adaptive_avg_pool2d(rendering, self.size)
        colour = ((x - self._target).abs() * self._pixel_weight).sum()
        mean = self._local(x)
        variance = self._local(x.square()) - mean.square()
        covariance = self._local(x * self._target) - mean * self._mean
        likeness = (2 * covariance + STABILITY) / (variance + self._variance + STABILITY)
        structure = ((1 - likeness) * self._window_weight).sum()
        return COLOUR_WEIGHT * colour + STRUCTURE_WEIGHT * structure

    def _local(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self._window, stride=1)


def _normalised(weight: Tensor) -> Tensor:
    """Scale so that a sum over pixels and three channels is a mean."""
    return weight / (3 * weight.sum())


def prior(v: Tensor, norm: float, spread: float) -> Tensor:
    """Keep whitened latents where the model is good and where a drag can edit them.

    Args:
        v: rows of whitened latents, (num_ws, w_dim); the model's own samples have mean square 1.
        norm: weight of their mean square.
        spread: weight of the mean square of their distance to their common mean (W+ against W).
    """
    return norm * v.square().mean() + spread * (v - v.mean(0)).square().mean()
