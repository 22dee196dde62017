"""The reference solvers: `draggan` against the naive way to the same numbers, and their promises."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from krita_drag.wire import vocabulary
from krita_drag.wire.errors import BadOption

from benchmarks.naive import NaiveDraggan
from engine.drag import SOLVERS, DragPoints, drag
from engine.drag.draggan import Draggan
from engine.inversion import PRESETS
from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator
from stylegan2.mobile import MobileConfig, MobileStyleGAN

CHANNELS = {4: 32, 8: 32, 16: 32, 32: 24, 64: 16, 128: 12, 256: 8}
POINTS = DragPoints(np.array([[120.5, 100.5], [60.5, 190.5]]), np.array([[150.5, 110.5], [60.5, 170.5]]))


def build(kind: str) -> Generator:
    torch.manual_seed(5)
    if kind == "mobile":
        generator: Generator = MobileStyleGAN(MobileConfig(32, 32, (32, 32, 32, 32, 32, 16), 2))
        for parameter in generator.parameters():
            parameter.data *= 0.5
    else:
        generator = StyleGAN2Generator(StyleGAN2Config(32, 0, 32, 256, CHANNELS, mapping_layers=2))
    return generator.double().requires_grad_(False)


@pytest.fixture(scope="module", params=["skip", "mobile"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return build(request.param)


@pytest.fixture
def w_plus(generator: Generator) -> torch.Tensor:
    return generator.sample_w_plus(1)


def region() -> np.ndarray:
    mask = np.zeros((256, 256), np.float64)
    mask[40:230, 30:220] = 1
    return mask


@pytest.mark.parametrize("mask", [None, region()], ids=["everywhere", "mask"])
def test_same_points_and_latent_as_the_naive_way(
    generator: Generator, w_plus: torch.Tensor, mask: np.ndarray | None
) -> None:
    naive = NaiveDraggan(copy.deepcopy(generator), w_plus, POINTS, mask)
    events = drag(generator, w_plus, POINTS, solver="draggan", mask=mask, max_steps=6)
    for event in itertools.islice(events, 6):
        w_before = naive.w.detach().clone()
        mean_distance = naive.step()
        assert event.handles.tolist() == [[x + 0.5, y + 0.5] for x, y in naive.handles]
        assert event.mean_distance == pytest.approx(mean_distance)
        difference = (event.w_plus[:, : generator.coarse_ws] - w_before).norm()
        moved = (w_before - w_plus[:, : generator.coarse_ws]).norm()
        tolerance = 1e-9 if mask is None else 0.1  # the region is pooled to the feature map, and Adam sees signs
        assert difference <= tolerance * max(float(moved), 1e-3)


@pytest.mark.parametrize("solver", ["draggan", "freedrag"])
def test_events_tell_the_drag(generator: Generator, w_plus: torch.Tensor, solver: str) -> None:
    events = list(drag(generator, w_plus, POINTS, solver=solver, max_steps=5))
    assert [event.step for event in events] == list(range(len(events)))
    assert np.array_equal(events[0].handles, POINTS.handles)
    assert torch.equal(events[0].w_plus, w_plus)
    assert [event.done for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1].reason in {"steps", "landed"}
    for event in events:
        expected = np.linalg.norm(POINTS.targets - event.handles, axis=1)
        assert np.allclose(event.distances, expected)
    assert torch.equal(events[-1].w_plus[:, generator.coarse_ws :], w_plus[:, generator.coarse_ws :])


def test_plugin_and_engine_know_the_same_solvers_and_presets() -> None:
    assert set(vocabulary.SOLVERS) == set(SOLVERS)
    assert set(vocabulary.PRESETS) == set(PRESETS)


@pytest.mark.parametrize("solver", SOLVERS)
def test_deterministic_and_leaves_its_input_alone(generator: Generator, w_plus: torch.Tensor, solver: str) -> None:
    original = w_plus.clone()
    first, second = (list(drag(generator, w_plus, POINTS, solver=solver, max_steps=4))[-1] for _ in range(2))
    assert torch.equal(first.w_plus, second.w_plus)
    assert torch.equal(w_plus, original)
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_cancel_between_steps(generator: Generator, w_plus: torch.Tensor) -> None:
    events = drag(generator, w_plus, POINTS, solver="draggan", max_steps=1000)
    last = [next(events) for _ in range(3)][-1]
    events.close()
    assert last.step == 2
    assert not torch.equal(last.w_plus, w_plus)


def test_lands_where_it_is_near(generator: Generator, w_plus: torch.Tensor) -> None:
    points = DragPoints(np.array([[100.5, 100.5]]), np.array([[101.5, 100.5]]))
    events = list(drag(generator, w_plus, points, solver="draggan", max_steps=5))
    assert events[-1].reason == "landed"
    assert events[-1].step == 0


@pytest.mark.parametrize("solver", ["draggan", "freedrag"])
def test_a_latent_that_is_no_number_ends_the_drag(generator: Generator, w_plus: torch.Tensor, solver: str) -> None:
    events = list(drag(generator, w_plus * torch.nan, POINTS, solver=solver, max_steps=5))
    assert events[-1].reason == "diverged"


@pytest.mark.parametrize("solver", ["draggan", "freedrag"])
def test_many_points_at_once(generator: Generator, w_plus: torch.Tensor, solver: str) -> None:
    rng = np.random.default_rng(0)
    handles = rng.uniform(5, 250, (68, 2))
    points = DragPoints(handles, np.clip(handles + rng.normal(0, 8, (68, 2)), 0, 256))
    *_, last = drag(generator, w_plus, points, solver=solver, max_steps=2)
    assert last.handles.shape == (68, 2)
    assert np.isfinite(last.distances).all()


@pytest.mark.parametrize("solver", ["draggan", "freedrag"])
def test_points_at_the_border_stay_in_the_picture(generator: Generator, w_plus: torch.Tensor, solver: str) -> None:
    points = DragPoints(np.array([[0.0, 0.0], [256.0, 256.0]]), np.array([[30.0, 0.0], [200.0, 256.0]]))
    for event in drag(generator, w_plus, points, solver=solver, max_steps=4):
        assert (event.handles >= 0).all()
        assert (event.handles <= 256).all()


def test_unknown_solver() -> None:
    generator = build("skip")
    with pytest.raises(BadOption, match="no solver named"):
        next(drag(generator, generator.sample_w_plus(1), POINTS, solver="magic"))


def test_upper_rows_get_no_gradient(generator: Generator, w_plus: torch.Tensor) -> None:
    solver = Draggan(generator, w_plus, POINTS)
    list(itertools.islice(solver.steps(2), 2))
    assert solver.w.grad is not None
    assert all(not row.requires_grad for row in solver.fixed_rows)
