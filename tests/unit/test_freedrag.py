"""FreeDrag: its formulas against brute force, its places on their lines, and what it costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.quality.cost import PassCounter
from engine.drag import DragPoints, drag
from engine.drag.freedrag import CANDIDATES, Freedrag, FreedragSettings, renewal
from stylegan2 import StyleGAN2Config, StyleGAN2Generator

CHANNELS = {4: 32, 8: 32, 16: 32, 32: 24, 64: 16, 128: 12, 256: 8}
POINTS = DragPoints(np.array([[120.5, 100.5], [60.5, 190.5]]), np.array([[150.5, 110.5], [60.5, 170.5]]))
LONGEST_PX = 6.0  # 3 positions of 128 in a picture of 256
EXPECTED = 0.3


@pytest.fixture(scope="module")
def generator() -> StyleGAN2Generator:
    torch.manual_seed(5)
    made = StyleGAN2Generator(StyleGAN2Config(32, 0, 32, 256, CHANNELS, mapping_layers=2))
    return made.double().requires_grad_(False)


@pytest.fixture
def w_plus(generator: StyleGAN2Generator) -> Tensor:
    return generator.sample_w_plus(1)


@pytest.fixture
def solver(generator: StyleGAN2Generator, w_plus: Tensor) -> Freedrag:
    """A solver whose places are 10 px along their lines, in a picture that is no longer that of the templates."""
    made = Freedrag(generator, w_plus, POINTS)
    made.way = torch.full_like(made.way, 10.0)
    made.w = generator.sample_w_plus(2)[:, : generator.coarse_ws]
    return made


def features_at(solver: Freedrag, way: float, point: int) -> Tensor:
    """Features around a place on a line, found the long way, from the whole map. -> (9, C)."""
    line = POINTS.targets[point] - POINTS.handles[point]
    x, y = POINTS.handles[point] + way * line / np.linalg.norm(line)
    offsets = (-1.5, 0.0, 1.5)  # 3 px at 512
    samples = torch.tensor([[x + dx, y + dy] for dx in offsets for dy in offsets])
    return solver.view(None).sample(samples[None])[0]


def discrepancy_at(solver: Freedrag, way: float, point: int) -> float:
    return float((features_at(solver, way, point) - solver.templates[point]).abs().mean())


def settle(solver: Freedrag, discrepancy: tuple[float, float], begun_with: tuple[float, float]) -> None:
    """End the work on both places with these discrepancies."""
    solver.begun_with = torch.tensor(begun_with).double()
    solver._go_on(solver._view(dense=False), torch.tensor(discrepancy).double(), torch.zeros(2, dtype=torch.bool))


def test_a_template_is_renewed_the_more_the_better_it_is_met() -> None:
    found = renewal(torch.tensor([0.0, 0.2, 0.8, 5.0]) * EXPECTED, EXPECTED)
    assert found.tolist() == pytest.approx([0.675, 0.5, 0.1, 0.0], abs=1e-3)


def test_templates_are_blended_with_the_features_of_their_places(solver: Freedrag) -> None:
    before = solver.templates.clone()
    settle(solver, (0.2 * EXPECTED, 0.8 * EXPECTED), (EXPECTED, EXPECTED))
    for point, share in enumerate((0.5, 0.1)):
        expected = share * features_at(solver, 10.0, point) + (1 - share) * before[point]
        torch.testing.assert_close(solver.templates[point], expected)


def test_arrived_handles_stay_and_their_templates_are_what_is_there(solver: Freedrag) -> None:
    arrived = torch.tensor([True, False])
    solver._go_on(solver._view(dense=False), torch.tensor([0.1, 0.1]).double(), arrived)
    torch.testing.assert_close(solver.templates[0], features_at(solver, 10.0, 0))
    assert solver.way[0] == 10.0
    assert solver.way[1] > 10.0


def test_next_place_has_about_the_expected_discrepancy(solver: Freedrag) -> None:
    ways = [10.0 + LONGEST_PX * k / CANDIDATES for k in range(1, CANDIDATES + 1)]
    solver.templates = torch.stack([features_at(solver, 10.0, point) for point in range(2)])
    expected = discrepancy_at(solver, ways[4], 0)
    solver.settings = FreedragSettings(expected=expected)
    settle(solver, (0.0, 0.4 * expected), (expected, expected))
    assert float(solver.way[0]) == pytest.approx(ways[4])
    best = min(ways, key=lambda way: abs(discrepancy_at(solver, way, 1) - expected))
    assert float(solver.way[1]) == pytest.approx(best)


def test_a_place_waits_while_the_work_on_it_helps(solver: Freedrag) -> None:
    settle(solver, (0.16, 0.29), (0.17, 0.29))
    assert solver.way.tolist() == [10.0, 10.0]


def test_a_place_whose_features_got_worse_goes_back_to_the_best_match(solver: Freedrag) -> None:
    settle(solver, (0.4, 0.16), (0.39, 0.15))
    for point in range(2):
        ways = [10.0 - LONGEST_PX + 2 * LONGEST_PX * k / CANDIDATES for k in range(1, CANDIDATES + 1)]
        best = min(ways, key=lambda way: discrepancy_at(solver, way, point))
        assert float(solver.way[point]) == pytest.approx(best)


def test_nothing_is_searched_behind_the_start_or_past_the_target(solver: Freedrag) -> None:
    solver.way = torch.tensor([2.0, 19.0]).double()
    solver.templates = torch.stack([features_at(solver, way, point) for point, way in enumerate((-3.0, 24.0))])
    settle(solver, (0.4, 0.4), (0.1, 0.1))
    assert 0 < solver.way[0] <= 2 + LONGEST_PX
    assert 19 - LONGEST_PX < solver.way[1] <= solver.line_length[1]


def test_places_stay_on_their_lines_and_move_at_most_so_far(generator: StyleGAN2Generator, w_plus: Tensor) -> None:
    solver, ways = Freedrag(generator, w_plus, POINTS), [torch.zeros(2).double()]
    for event in solver.steps(60):
        moved = solver.way - ways[-1]
        assert float(moved.abs().max()) <= LONGEST_PX + 1e-9
        assert ((solver.way >= 0) & (solver.way <= solver.line_length)).all()
        away = event.handles - POINTS.handles
        line = POINTS.targets - POINTS.handles
        assert np.allclose(away[:, 0] * line[:, 1], away[:, 1] * line[:, 0])
        ways.append(solver.way)
    assert len(torch.stack(ways).unique(dim=0)) > 3


def test_work_on_a_place_ends_after_five_steps(generator: StyleGAN2Generator, w_plus: Tensor) -> None:
    solver = Freedrag(generator, w_plus, POINTS, settings=FreedragSettings(quiet=0.0, learning_rate=1e-6))
    templates = [solver.templates for _ in solver.steps(16)]
    ends = [step for step, (now, then) in enumerate(itertools.pairwise(templates)) if then is not now]
    assert ends == [0, 5, 10, 15]


def test_windows_give_the_drag_of_the_whole_map(generator: StyleGAN2Generator, w_plus: Tensor) -> None:
    windowed, whole = (
        list(drag(generator, w_plus, POINTS, solver="freedrag", mask=mask, max_steps=12))
        for mask in (None, np.ones((256, 256)))  # a region that holds nothing has no say, but reads the whole map
    )
    for one, other in zip(windowed, whole, strict=True):
        assert np.allclose(one.handles, other.handles)
        assert one.loss == pytest.approx(other.loss)
        torch.testing.assert_close(one.w_plus, other.w_plus)


def test_a_region_holds_what_is_outside(generator: StyleGAN2Generator, w_plus: Tensor) -> None:
    mask = np.zeros((256, 256))
    mask[40:220, 110:170] = 1
    outside = torch.from_numpy(mask == 0)
    before = generator.synthesis(w_plus)

    def change(held: np.ndarray | None) -> float:
        *_, last = drag(generator, w_plus, POINTS, solver="freedrag", mask=held, max_steps=15)
        return float((generator.synthesis(last.w_plus) - before).abs()[..., outside].mean())

    assert change(mask) < change(None)


def test_a_step_is_one_pass_there_and_back(generator: StyleGAN2Generator, w_plus: Tensor) -> None:
    with PassCounter(generator) as counter:
        events = list(drag(generator, w_plus, POINTS, solver="freedrag", max_steps=7))
    steps = events[-1].step
    assert steps == 7
    assert counter.products == steps
    assert counter.forwards == steps + 2  # of the templates, and of the last state


def test_handles_are_told_where_they_were_reached_last(generator: StyleGAN2Generator, w_plus: Tensor) -> None:
    solver = Freedrag(generator, w_plus, POINTS, settings=FreedragSettings(expected=0.03, learning_rate=1e-9))
    first, second = itertools.islice(solver.steps(5), 2)
    assert (solver.way > 0).all()  # places that Adam has hardly begun to work on
    for event in (first, second):
        assert np.array_equal(event.handles, POINTS.handles)


def test_handles_at_their_targets_have_landed(generator: StyleGAN2Generator, w_plus: Tensor) -> None:
    anchors = DragPoints(POINTS.handles, POINTS.handles)
    (event,) = drag(generator, w_plus, anchors, solver="freedrag", max_steps=5)
    assert event.reason == "landed"
