"""`krita-drag models prepare` on a tiny model, and that a photo's search begins at its guess."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from model_files import tiny_stylegan2

from engine.align import identity_crop
from engine.cli import main
from engine.drag.change_metric import METRIC_FILE
from engine.images import Picture
from engine.inversion import inverting
from engine.inversion.start import SAMPLES_FILE, START_FILE
from engine.models import ModelStore
from stylegan2.checkpoints import native


def test_prepare_on_the_command_line(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    native.save(tiny_stylegan2(), tmp_path / "own.safetensors")
    store = ModelStore()
    store.add(tmp_path / "own.safetensors", "own")
    model = store.load("own")
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    before = next(inverting(Picture(rgb), model, identity_crop(16), steps=2))
    assert torch.equal(before.w_plus[0, 0], model.generator.w_mean)
    assert main(["models", "prepare", "own", "--samples", "20", "--quiet", "--device", "cpu"]) == 0
    assert "own is prepared" in capsys.readouterr().out
    folder = home / "models" / "own"
    assert (folder / START_FILE).exists()
    assert not (folder / SAMPLES_FILE).exists()
    assert model.metric is None and store.load("own").metric is not None
    learned = (folder / METRIC_FILE).stat().st_mtime_ns
    assert main(["models", "prepare", "own", "--samples", "2", "--quiet", "--device", "cpu"]) == 0
    assert (folder / METRIC_FILE).stat().st_mtime_ns == learned  # known is known
    assert main(["models", "prepare", "own", "--samples", "2", "--anew", "--quiet", "--device", "cpu"]) == 0
    assert (folder / METRIC_FILE).stat().st_mtime_ns > learned
    after = next(inverting(Picture(rgb), model, identity_crop(16), steps=2))
    assert not torch.equal(after.w_plus[0, 0], model.generator.w_mean)
    store.verify("own")  # what lies beside the weights does not make them other weights
    assert main(["models", "prepare", "nobody", "--quiet"]) == 1
