"""A picture that shows what a model draws."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.images import Picture, save_picture, to_uint8
from stylegan2 import Generator

SEED, PSI = 0, 0.7


def save_sample(generator: Generator, path: Path) -> None:
    """Render one picture and write it.

    Raises:
        BadOutput: it cannot be written.
    """
    with torch.no_grad():
        image = generator.trim(generator.synthesis(generator.sample_w_plus(SEED, PSI)))
    save_picture(path, Picture(to_uint8(image)))
