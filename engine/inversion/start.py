"""A first guess of a photo's latent in closed form, so that the search need not begin at the average picture.

A ridge regression from a thumbnail to whitened w, fitted to pictures of the model itself: pairs of picture and latent
cost nothing. `krita-drag models prepare NAME` fits it once and keeps it beside the weights; without it everything
works and takes some steps more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from engine.latent import Whitening
from engine.tensor_files import save_tensors
from stylegan2 import Generator

START_FILE, SAMPLES_FILE = "start.safetensors", "start-samples.safetensors"  # beside the weights
THUMBNAIL_PX = 32
DEFAULT_SAMPLES = 1000
SAVE_EVERY = 50  # samples: what an interruption can cost
BLOCK_PX = 128  # samples are drawn up to this block and read off it
READOUT_SAMPLES = 16  # drawn in full, to learn that reading
FIRST_SEED = 7_000_000  # of the samples; none that a benchmark shows
RIDGE = 3.0  # relative to the mean variance of a pixel, times the number of pixels
READOUT_RIDGE = 1e-4  # relative to the mean energy of a feature


class StartEncoder:
    """Thumbnail -> whitened latent.

    Args:
        weight: (3 * THUMBNAIL_PX ** 2 + 1, w_dim); the last row is the constant.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def __call__(self, picture: Tensor, weight: Tensor) -> Tensor:
        """Guess a latent.

        Args:
            picture: (1, 3, R, R) in [-1, 1].
            weight: how much each pixel counts, (1, 1, R, R); where it is 0 the mean of the others stands.

        Returns:
            (1, w_dim), whitened.
        """
        shown = (weight > 0).to(picture)
        mean = (picture * shown).sum((2, 3), keepdim=True) / shown.sum().clamp(min=1)
        small = F.adaptive_avg_pool2d(picture * shown + mean * (1 - shown), THUMBNAIL_PX)
        return _with_constant(small.flatten(1)).to(self._weight) @ self._weight

    @classmethod
    def load(cls, weights: Path, generator: Generator) -> StartEncoder | None:
        """Load what `prepare` made for a model; None where it did not, or made it for another one.

        Args:
            weights: the model's file.
            generator: the model.
        """
        path = weights.with_name(START_FILE)
        try:
            weight = load_file(path)["weight"]
        except (OSError, SafetensorError, KeyError):
            return None
        if weight.shape != (3 * THUMBNAIL_PX**2 + 1, generator.w_dim):
            return None
        return cls(weight.to(generator.w_mean))


def prepare(weights: Path, generator: Generator, samples: int = DEFAULT_SAMPLES) -> Iterator[int]:
    """Fit and keep a `StartEncoder`; stopped at any time, the next call goes on where this one was.

    Args:
        weights: the model's file; the results lie beside it.
        generator: the model.
        samples: pictures to fit to; more are better.

    Yields:
        Number of samples drawn so far.

    Raises:
        OSError: the folder cannot be written.
    """
    kept = weights.with_name(SAMPLES_FILE)
    pictures = _kept_samples(kept)[:samples]
    yield len(pictures)
    if len(pictures) < samples:
        drawing = _Thumbnails(generator)
        for number in range(len(pictures), samples):
            pictures = torch.cat([pictures, drawing(_sample(generator, number))])
            if len(pictures) % SAVE_EVERY == 0:
                save_tensors({"pictures": pictures}, kept)
            yield number + 1
    latents = torch.cat([_sample(generator, number) for number in range(samples)])
    save_tensors(
        {"weight": _fit(pictures.float(), Whitening(generator).to_v(latents).cpu())}, weights.with_name(START_FILE)
    )
    kept.unlink(missing_ok=True)


class _Thumbnails:
    """Draws small pictures of latents without the top of the network, which they hardly show.

    A linear reading of the features of a block, averaged to the thumbnail's size; fitted to a few full renderings.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._cheap = generator.resolution > BLOCK_PX and BLOCK_PX in generator.feature_resolutions
        if not self._cheap:
            return
        latents = [_sample(generator, number) for number in range(-READOUT_SAMPLES, 0)]
        a = torch.cat([self._features(w) for w in latents])  # (samples * positions, C + 1)
        b = torch.cat([_positions(self._render(w)) for w in latents])
        gram = a.T @ a
        gram.diagonal().add_(READOUT_RIDGE * gram.diagonal().mean())
        self._readout = torch.linalg.solve(gram, a.T @ b)  # (C + 1, 3)

    @torch.no_grad()
    def __call__(self, w: Tensor) -> Tensor:
        """(1, w_dim) -> (1, 3 * THUMBNAIL_PX ** 2) in half precision, on the CPU."""
        if not self._cheap:
            return self._render(w).flatten(1).half().cpu()
        return (self._features(w) @ self._readout).T.reshape(1, -1).half().cpu()

    @torch.no_grad()
    def _render(self, w: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self._generator.synthesis(self._rows(w)), THUMBNAIL_PX)

    @torch.no_grad()
    def _features(self, w: Tensor) -> Tensor:
        features = self._generator.features(self._rows(w), BLOCK_PX)
        return _with_constant(_positions(F.adaptive_avg_pool2d(features, THUMBNAIL_PX)))

    def _rows(self, w: Tensor) -> Tensor:
        return w[:, None].expand(-1, self._generator.num_ws, -1)


def _sample(generator: Generator, number: int) -> Tensor:
    """The latent of one sample, (1, w_dim), untruncated."""
    return generator.sample_w_plus(FIRST_SEED + number, truncation_psi=1.0)[:, 0]


def _positions(maps: Tensor) -> Tensor:
    """(1, C, h, w) -> (h * w, C)."""
    return maps[0].flatten(1).T


def _with_constant(rows: Tensor) -> Tensor:
    return F.pad(rows, (0, 1), value=1.0)


def _fit(pictures: Tensor, v: Tensor) -> Tensor:
    """Ridge regression in its dual form: there are fewer samples than pixels. -> (pixels + 1, w_dim)."""
    mean, target_mean = pictures.mean(0), v.mean(0)
    x = (pictures - mean).double()
    gram = x @ x.T
    gram.diagonal().add_(RIDGE * float(x.var()) * x.shape[1])
    weight = x.T @ torch.linalg.solve(gram, (v - target_mean).double())  # (pixels, w_dim)
    return torch.cat([weight, (target_mean - mean.double() @ weight)[None]]).float()


def _kept_samples(path: Path) -> Tensor:
    """What an interrupted run has drawn, (n, pixels) in half precision; nothing if the file is no such thing."""
    nothing = torch.zeros(0, 3 * THUMBNAIL_PX**2, dtype=torch.float16)
    try:
        with safe_open(path, "pt") as file:
            pictures: Tensor = file.get_tensor("pictures")
    except (OSError, SafetensorError):
        return nothing
    return pictures if pictures.shape[1:] == nothing.shape[1:] and pictures.dtype == nothing.dtype else nothing
