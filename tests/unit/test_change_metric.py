"""What steps of the latent change, and where: learned from a model's samples, kept, and used by `newton`."""

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
        for direction in (metric.weighed().directions[-1], torch.randn(metric.changes.shape[1], generator=random)):
            step = direction / direction.norm() * 0.05
            moved = w_plus.clone()
            moved[:, :rows] += (step.view(rows, -1) @ factor.T)[None]
            changes.append(float((generator.features(moved, 32) - before).square().sum()))
        found.append(changes)
    dear, usual = np.array(found).mean(0)
    assert dear > 4 * usual


def test_the_metric_is_inverted(metric: ChangeMetric) -> None:
    """Whatever each cell counts, a vector divided by the metric and multiplied with it is the same again."""
    length = metric.changes.shape[1]
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(3, length, generator=random)
    for importance in (None, torch.zeros(8, 8), torch.rand(8, 8, generator=random)):
        weights = torch.ones(64) if importance is None else importance.flatten()
        counted = (weights[:, None, None] * metric.cells).sum(0)
        matrix = PRIOR_SHARE * torch.eye(length) + metric.changes.T @ counted @ metric.changes
        assert torch.allclose(metric.weighed(importance).divided(vectors) @ matrix, vectors, atol=5e-2)


def test_cells_add_up_to_the_change_of_a_step(generator: Generator) -> None:
    """Of one sample they are its own: the change that a small step makes, less what translations explain."""
    study = metric_learning._Study(generator)
    changes = torch.linalg.qr(torch.randn(generator.coarse_ws * 16, 4, generator=torch.Generator().manual_seed(0)))[0].T
    cells = study.cells(7, changes)
    assert cells.shape == (64, 4, 4)
    way = torch.tensor([0.5, -1.0, 0.3, 0.2])
    w, rest = study._sample(7)
    before = study._features(w, rest)
    step = (way @ changes).view(generator.coarse_ws, 16) @ Whitening(generator).factor.T
    change = Unexplained(before)(study._features(w + 1e-2 * step, rest) - before) / 1e-2
    expected = torch.nn.functional.avg_pool2d(change.square().sum(1), 8)[0] * 64 / 64**2
    assert torch.allclose(way @ cells @ way, expected.flatten(), rtol=0.1, atol=0.02 * float(expected.max()))


def test_learning_goes_on_where_it_was(generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_learning, "SAVE_EVERY", 2)
    at_once, in_parts = tmp_path / "once" / "model.safetensors", tmp_path / "parts" / "model.safetensors"
    for path in (at_once, in_parts):
        path.parent.mkdir()
    list(learn_metric(at_once, generator, 12))
    for killed_at, kept in ((3, 2), (11, 11)):  # what is looked at closely is kept each time
        for done in learn_metric(in_parts, generator, 12):
            if done == killed_at:
                break
        assert next(iter(learn_metric(in_parts, generator, 12))) == kept
    list(learn_metric(in_parts, generator, 12))
    first, second = (load_file(path.with_name(METRIC_FILE)) for path in (at_once, in_parts))
    assert torch.equal(first["cells"], second["cells"]) and torch.equal(first["changes"], second["changes"])
    assert [path.name for path in in_parts.parent.iterdir()] == [METRIC_FILE]


def test_what_does_not_fit_is_not_used(generator: Generator, metric: ChangeMetric, tmp_path: Path) -> None:
    path = tmp_path / METRIC_FILE
    assert ChangeMetric.load(path, generator) is None
    path.write_bytes(b"no such thing")
    assert ChangeMetric.load(path, generator) is None
    metric.save(path)
    assert ChangeMetric.load(path, generator) is not None
    kept = load_file(path)
    wrong = {"changes": kept["changes"][:, :-1], "cells": kept["cells"] * float("nan"), "other": torch.ones(1)}
    wrong |= {"cells of no shape": torch.tensor(1.0), "changes of no shape": torch.tensor(1.0)}
    wrong |= {"cells of another number": kept["cells"][:-1], "cells of other directions": kept["cells"][:, :-1]}
    for name, tensor in wrong.items():
        save_file(kept | {name.split()[0]: tensor.contiguous()}, path)
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


def test_a_mask_weighs_the_cells(generator: Generator, metric: ChangeMetric) -> None:
    """Change is dear where the mask holds, and cheap where it does not; without a metric rows stand for the mask."""
    mask = np.zeros((64, 64), np.float32)
    mask[8:56, 8:56] = 1
    solver = Newton(generator, generator.sample_w_plus(1), POINTS, mask, metric=metric)
    importance = solver._importance(mask, metric.side)
    assert importance is not None
    assert importance[0].tolist() == pytest.approx([0.3] * 8)
    assert importance[1:7, 1:7].flatten().tolist() == pytest.approx([0.03] * 36)
    solver._linearise(torch.ones(len(solver.handles), dtype=torch.bool))
    assert solver.outside is None
    assert torch.allclose(
        solver._divided(solver.derivative.rows), metric.weighed(importance).divided(solver.derivative.rows)
    )


def test_the_held_region_joins_the_prior(generator: Generator) -> None:
    """The step is the one of the whole matrix, inverted the long way."""
    mask = np.zeros((64, 64), np.float32)
    mask[8:56, 8:56] = 1
    solver = Newton(generator, generator.sample_w_plus(1), POINTS, mask)
    solver._linearise(torch.ones(len(solver.handles), dtype=torch.bool))
    assert solver.outside is not None
    whole = (torch.eye(solver.outside.shape[1]) + solver.outside.T @ solver.outside).double()
    expected = torch.linalg.solve(whole, solver.derivative.rows.double().T).T.float()
    found = solver._divided(solver.derivative.rows)
    assert torch.allclose(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_what_must_stay_is_computed_once_a_latent(generator: Generator) -> None:
    solver = Newton(generator, generator.sample_w_plus(1), POINTS, np.eye(64, dtype=np.float32))
    every = torch.ones(len(solver.handles), dtype=torch.bool)
    solver._linearise(every)
    first = solver.outside
    solver._linearise(every)
    assert solver.outside is first
    solver.whitened = solver.whitened + 0.01
    solver._linearise(every)
    assert solver.outside is not first


def test_masked_drags_land(generator: Generator, metric: ChangeMetric) -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[8:56, 8:56] = 1
    events = list(drag(generator, generator.sample_w_plus(1), POINTS, mask=mask, metric=metric, max_steps=30))
    assert min(event.mean_distance for event in events) < 0.6 * events[0].mean_distance
    assert {event.solver for event in events} == {"newton"}
