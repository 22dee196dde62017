"""What steps of the latent change: learned from a model's samples, kept, and used by `newton` where a mask holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.drag import DragPoints, drag, metric_learning
from engine.drag.change_metric import METRIC_FILE, PRIOR_SHARE, ChangeMetric
from engine.drag.metric_learning import Unexplained, learn_metric
from engine.drag.newton import IN_CHANGE_METRIC, Newton, NewtonSettings
from engine.latent import Whitening
from engine.models import Model, ModelInfo
from engine.session import Session
from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator

CHANNELS = {4: 16, 8: 16, 16: 16, 32: 16, 64: 8}
POINTS = DragPoints(np.array([[30.0, 25.0], [18.0, 44.0]]), np.array([[33.0, 26.0], [18.0, 42.0]]))


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return StyleGAN2Generator(StyleGAN2Config(16, 0, 16, 64, CHANNELS)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def metric(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> ChangeMetric:
    weights = tmp_path_factory.mktemp("model") / "model.safetensors"
    assert list(learn_metric(weights, generator, 40)) == list(range(41))
    learned = ChangeMetric.load(weights.with_name(METRIC_FILE), generator)
    assert learned is not None
    return learned


def test_a_translation_is_no_change() -> None:
    """Shifted features are explained nearly whole, unrelated ones hardly at all."""
    torch.manual_seed(0)
    coarse = torch.randn(1, 6, 8, 8)
    features = torch.nn.functional.interpolate(coarse, size=64, mode="bicubic")
    unexplained = Unexplained(features)
    shift = features.roll(1, 3) - features
    noise = torch.randn_like(features)
    inner = (..., slice(4, -4), slice(4, -4))  # a roll brings the other border in
    assert unexplained(shift)[inner].norm() < 0.3 * shift[inner].norm()
    assert unexplained(noise)[inner].norm() > 0.8 * noise[inner].norm()


@torch.no_grad()
def test_it_tells_what_changes_faces_of_other_seeds(generator: Generator, metric: ChangeMetric) -> None:
    """The dearest directions change features of new samples many times as much as random ones of the same length."""
    rows, factor = generator.coarse_ws, Whitening(generator).factor
    random = torch.Generator().manual_seed(0)
    found = []
    for seed in range(6):
        w_plus = generator.sample_w_plus(seed)
        before = generator.features(w_plus, 32)
        changes = []
        for direction in (metric.changes[0], torch.randn(metric.changes.shape[1], generator=random)):
            step = direction / direction.norm() * 0.05
            moved = w_plus.clone()
            moved[:, :rows] += (step.view(rows, -1) @ factor.T)[None]
            changes.append(float((generator.features(moved, 32) - before).square().sum()))
        found.append(changes)
    dear, usual = np.array(found).mean(0)
    assert dear > 4 * usual


def test_the_metric_is_inverted(metric: ChangeMetric) -> None:
    length = metric.changes.shape[1]
    matrix = PRIOR_SHARE * torch.eye(length) + metric.changes.T @ (metric.strengths[:, None] * metric.changes)
    directions = torch.randn(3, length, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(metric.divided(directions) @ matrix, directions, atol=5e-2)


def test_learning_goes_on_where_it_was(generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_learning, "SAVE_EVERY", 2)
    at_once, in_parts = tmp_path / "once" / "model.safetensors", tmp_path / "parts" / "model.safetensors"
    for path in (at_once, in_parts):
        path.parent.mkdir()
    list(learn_metric(at_once, generator, 5))
    for done in learn_metric(in_parts, generator, 5):
        if done == 3:
            break  # killed: the third sample was not kept
    assert next(iter(learn_metric(in_parts, generator, 5))) == 2
    list(learn_metric(in_parts, generator, 5))
    first, second = (load_file(path.with_name(METRIC_FILE)) for path in (at_once, in_parts))
    assert torch.equal(first["strengths"], second["strengths"]) and torch.equal(first["changes"], second["changes"])
    assert [path.name for path in in_parts.parent.iterdir()] == [METRIC_FILE]


def test_what_does_not_fit_is_not_used(generator: Generator, metric: ChangeMetric, tmp_path: Path) -> None:
    path = tmp_path / METRIC_FILE
    assert ChangeMetric.load(path, generator) is None
    path.write_bytes(b"no such thing")
    assert ChangeMetric.load(path, generator) is None
    metric.save(path)
    assert ChangeMetric.load(path, generator) is not None
    kept = load_file(path)
    wrong = {"changes": kept["changes"][:, :-1], "strengths": kept["strengths"] * float("nan"), "other": torch.ones(1)}
    for name, tensor in wrong.items():
        save_file(kept | {name: tensor.contiguous()}, path)
        assert ChangeMetric.load(path, generator) is None


def test_the_constants_fit_the_metric(generator: Generator, metric: ChangeMetric) -> None:
    w_plus = generator.sample_w_plus(1)
    assert Newton(generator, w_plus, POINTS).settings == NewtonSettings()
    assert Newton(generator, w_plus, POINTS, metric=metric).settings == IN_CHANGE_METRIC
    chosen = NewtonSettings(cap=3)
    assert Newton(generator, w_plus, POINTS, settings=chosen, metric=metric).settings == chosen


def test_photos_and_masks_are_kept(generator: Generator, metric: ChangeMetric) -> None:
    """A session drags photos in the metric of change, and generated pictures only inside a mask."""
    info = ModelInfo("tiny", "Tiny", "stylegan2", 64, "noise", False, "none", "", "", 0)
    model = Model(info, generator, Path("tiny.safetensors"), metric=metric)
    generated = Session.from_seed(model, 1)
    photo = Session(model, generated.picture, generated.crop, generated.w_plus, generated=False)
    region = generated.region(np.ones((64, 64), np.float32))
    assert generated._metric(None) is None
    assert generated._metric(region) is photo._metric(None) is photo._metric(region) is metric


def test_the_held_region_joins_the_metric(generator: Generator, metric: ChangeMetric) -> None:
    """The step is the one of the whole matrix, inverted the long way."""
    mask = np.zeros((64, 64), np.float32)
    mask[8:56, 8:56] = 1
    solver = Newton(generator, generator.sample_w_plus(1), POINTS, mask, metric=metric)
    solver._linearise()
    assert solver.outside is not None
    length = metric.changes.shape[1]
    matrix = PRIOR_SHARE * torch.eye(length) + metric.changes.T @ (metric.strengths[:, None] * metric.changes)
    whole = (matrix + solver.outside.T @ solver.outside).double()
    expected = torch.linalg.solve(whole, solver.directions.double().T).T.float()
    found = solver._divided(solver.directions)
    assert torch.allclose(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_masked_drags_land(generator: Generator, metric: ChangeMetric) -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[8:56, 8:56] = 1
    events = list(drag(generator, generator.sample_w_plus(1), POINTS, mask=mask, metric=metric, max_steps=30))
    assert min(event.mean_distance for event in events) < 0.6 * events[0].mean_distance
    assert {event.solver for event in events} == {"newton"}
