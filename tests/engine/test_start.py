"""The closed-form first guess: better than the average picture, resumable, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.inversion import start
from engine.inversion.start import SAMPLES_FILE, START_FILE, THUMBNAIL_PX, StartEncoder, prepare
from engine.latent import Whitening
from engine.models import Model
from engine.tensor_files import save_tensors
from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator


@pytest.fixture
def small_generator() -> Generator:
    torch.manual_seed(0)
    channels = {4: 16, 8: 16, 16: 16, 32: 16, 64: 8}
    return StyleGAN2Generator(StyleGAN2Config(16, 0, 16, 64, channels)).eval().requires_grad_(False)


@torch.no_grad()
def test_the_guess_is_better_than_the_average(small_generator: Generator, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    assert StartEncoder.load(weights, small_generator) is None
    assert list(prepare(weights, small_generator, 200)) == list(range(201))
    assert not (tmp_path / SAMPLES_FILE).exists()
    encoder = StartEncoder.load(weights, small_generator)
    assert encoder is not None
    errors = []
    for seed in range(20):
        w_plus = small_generator.sample_w_plus(seed, 1.0)
        truth = Whitening(small_generator).to_v(w_plus[:, 0])
        guess = encoder(small_generator.synthesis(w_plus), torch.ones(1, 1, 64, 64))
        errors.append([float((guess - truth).square().mean()), float(truth.square().mean())])
    mine, average = torch.tensor(errors).mean(0)
    assert mine < 0.7 * average


def test_an_interrupted_preparation_goes_on(
    small_generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "SAVE_EVERY", 4)
    at_once, in_parts = tmp_path / "a" / "model.safetensors", tmp_path / "b" / "model.safetensors"
    for path in (at_once, in_parts):
        path.parent.mkdir()
    list(prepare(at_once, small_generator, 12))
    for done in prepare(in_parts, small_generator, 12):
        if done == 10:
            break
    assert not in_parts.with_name(START_FILE).exists()
    assert next(iter(prepare(in_parts, small_generator, 12))) == 8
    list(prepare(in_parts, small_generator, 12))
    first, second = (load_file(path.with_name(START_FILE))["weight"] for path in (at_once, in_parts))
    assert torch.allclose(first, second, atol=1e-6)


def test_what_is_damaged_or_of_another_model_is_ignored(small_generator: Generator, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    (tmp_path / START_FILE).write_bytes(b"nonsense")
    (tmp_path / SAMPLES_FILE).write_bytes(b"nonsense")
    assert StartEncoder.load(weights, small_generator) is None
    assert next(iter(prepare(weights, small_generator, 3))) == 0
    save_tensors({"weight": torch.zeros(3 * THUMBNAIL_PX**2 + 1, 7)}, tmp_path / START_FILE)
    assert StartEncoder.load(weights, small_generator) is None


@torch.no_grad()
def test_thumbnails_of_the_face_model_are_drawn_without_its_top(faces_model: Model) -> None:
    generator = faces_model.generator
    drawing = start._Thumbnails(generator)
    w = start._sample(generator, 5)
    cheap = drawing(w).float().reshape(3, THUMBNAIL_PX, THUMBNAIL_PX)
    exact = torch.nn.functional.adaptive_avg_pool2d(generator.synthesis(drawing._rows(w)), THUMBNAIL_PX)[0]
    assert (cheap - exact).square().mean().sqrt() < 0.15  # of [-1, 1]
