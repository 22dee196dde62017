"""A home with a tiny random generator, so that what is tested is the service and not the arithmetic."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.catalogue import ModelInfo
from engine.model_folder import WEIGHTS, write_folder
from stylegan2 import StyleGAN2Config, StyleGAN2Generator
from stylegan2.checkpoints import native

NAME, RESOLUTION, CHANNELS = "tiny", 128, 32


def install(home: Path, name: str = NAME, resolution: int = RESOLUTION, channels: int = CHANNELS) -> None:
    """Put an untrained StyleGAN2 into the model store of a home."""
    torch.manual_seed(0)
    sizes = [size for size in (4, 8, 16, 32, 64, 128, 256, 512) if size <= resolution]
    config = StyleGAN2Config(
        z_dim=32, c_dim=0, w_dim=32, resolution=resolution, channels=dict.fromkeys(sizes, channels), mapping_layers=2
    )
    generator = StyleGAN2Generator(config).eval().requires_grad_(False)
    folder = home / "models" / name
    folder.mkdir(parents=True)
    native.save(generator, folder / WEIGHTS)
    info = ModelInfo(
        name=name,
        title="Tiny",
        kind=generator.kind,
        resolution=resolution,
        domain="noise",
        aligned=False,
        licence="none",
        licence_note="",
        source="",
        size_bytes=(folder / WEIGHTS).stat().st_size,
    )
    write_folder(folder, info, "none", "0" * 64)
