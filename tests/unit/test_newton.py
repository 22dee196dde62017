"""The default solver: its derivative against finite differences, and its promises, on small random generators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.drag import SOLVERS, DragPoints, LiveDrag, drag
from engine.drag.newton import Newton, NewtonSettings
from engine.drag.sampling import FeatureView, view_features
from engine.drag.tracking import PatchTracker, Tracked
from engine.latent import Whitening
from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator

CHANNELS = {4: 32, 8: 32, 16: 32, 32: 24, 64: 16, 128: 12, 256: 8}
POINTS = DragPoints(np.array([[120.0, 100.0], [70.0, 180.0]]), np.array([[126.0, 103.0], [70.0, 176.0]]))


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(5)
    config = StyleGAN2Config(32, 0, 32, 256, CHANNELS, mapping_layers=2)
    return StyleGAN2Generator(config).double().requires_grad_(False)


@pytest.fixture
def w_plus(generator: Generator) -> torch.Tensor:
    return generator.sample_w_plus(1)


def jacobian_of(solver: Newton) -> torch.Tensor:
    """Derivative of the handles' positions by whitened latents, (2n, D), at the start."""
    solver.derivative.renew(torch.ones(len(solver.handles), dtype=torch.bool), solver.targets - solver.handles)
    return solver.derivative.rows


def test_derivative_of_the_tracked_positions(generator: Generator, w_plus: torch.Tensor) -> None:
    """The tracker itself, run at two latents close by, moves as the derivative says."""
    inside = np.array([[171.0, 91.0], [71.0, 179.0]])  # no kink of the interpolation near a sample, no edge
    solver = Newton(generator, w_plus, DragPoints(inside, POINTS.targets))
    direction = torch.randn(solver.whitened.shape, generator=torch.Generator().manual_seed(0)).double()
    step = 1e-3
    found = []
    for sign in (1, -1):
        w = solver._latent(sign * step * direction)
        reach = solver.tracker.reach_px
        view = view_features(generator, solver._rows(w), solver.feature_size, solver.handles, reach)
        start = solver.handles
        found.append(solver.tracker._refine(view, start, solver.tracker.templates, iterations=30))
    measured = (found[0] - found[1]).flatten() / (2 * step)
    predicted = jacobian_of(solver) @ direction.flatten()
    assert predicted.abs().max() > 1e-3
    assert torch.allclose(measured, predicted, rtol=0.1, atol=0.05 * float(predicted.abs().max()))


def test_handles_share_one_backward_pass_without_mixing(generator: Generator, w_plus: torch.Tensor) -> None:
    both = jacobian_of(Newton(generator, w_plus, POINTS))
    single = [
        jacobian_of(Newton(generator, w_plus, DragPoints(POINTS.handles[k : k + 1], POINTS.targets[k : k + 1])))
        for k in range(2)
    ]
    assert torch.allclose(both, torch.cat(single), rtol=1e-6, atol=1e-9)


def test_chunks_do_not_change_the_derivative(generator: Generator, w_plus: torch.Tensor) -> None:
    whole = jacobian_of(Newton(generator, w_plus, POINTS))
    chunked = jacobian_of(Newton(generator, w_plus, POINTS, settings=NewtonSettings(chunk=1)))
    assert torch.allclose(whole, chunked, rtol=1e-6, atol=1e-9)


def test_distance_falls_and_the_start_is_the_start(generator: Generator, w_plus: torch.Tensor) -> None:
    events = list(drag(generator, w_plus, POINTS, solver="newton", max_steps=10))
    assert torch.equal(events[0].w_plus, w_plus)
    assert np.array_equal(events[0].handles, POINTS.handles)
    assert min(event.mean_distance for event in events) < 0.7 * events[0].mean_distance
    assert events[-1].reason in {"landed", "stalled", "steps"}
    assert torch.equal(events[-1].w_plus[:, generator.coarse_ws :], w_plus[:, generator.coarse_ws :])


def test_deterministic(generator: Generator, w_plus: torch.Tensor) -> None:
    mask = np.zeros((256, 256))
    mask[60:200, 50:180] = 1
    first, second = (list(drag(generator, w_plus, POINTS, mask=mask, max_steps=3))[-1] for _ in range(2))
    assert torch.equal(first.w_plus, second.w_plus)


def test_events_say_how_sure_they_are(generator: Generator, w_plus: torch.Tensor) -> None:
    for event in drag(generator, w_plus, POINTS, max_steps=3):
        assert event.confidence is not None
        assert event.lost is not None
        assert event.confidence.shape == event.lost.shape == (2,)
        assert ((event.confidence >= 0) & (event.confidence <= 1)).all()


def test_region_lowers_the_change_outside(generator: Generator, w_plus: torch.Tensor) -> None:
    mask = np.zeros((256, 256))
    mask[60:140, 80:170] = 1
    points = DragPoints(POINTS.handles[:1], POINTS.targets[:1])

    def outside(region: np.ndarray | None) -> float:
        *_, last = drag(generator, w_plus, points, mask=region, max_steps=3)
        change = generator.features(last.w_plus, 128) - generator.features(w_plus, 128)
        held = torch.from_numpy(1 - mask)[::2, ::2]
        return float((change.abs() * held).sum())

    assert outside(mask) < outside(None)


def test_the_last_step_is_the_last(generator: Generator, w_plus: torch.Tensor) -> None:
    solver = Newton(generator, w_plus, POINTS)
    (only,) = solver.steps(0)
    assert only.reason == "steps"
    assert not solver.whitened.any()


def test_stays_close(generator: Generator, w_plus: torch.Tensor) -> None:
    settings = NewtonSettings(reach=0.2)
    points = DragPoints(POINTS.handles, POINTS.handles + 60.0)
    solver = Newton(generator, w_plus, points, settings=settings)
    for _ in solver.steps(5):
        assert float(solver.whitened.norm(dim=1).square().mean().sqrt()) <= 0.2 + 1e-6


@pytest.mark.parametrize(("reach", "allowance"), [(None, 1), (2.0, 1), (6.0, 2)])
def test_a_drag_goes_no_further_than_its_pull_is_worth(
    generator: Generator, w_plus: torch.Tensor, reach: float | None, allowance: float
) -> None:
    """Unless the picture may go further from home than by default: then so may every drag."""
    settings = NewtonSettings(least_way=0.02, way_per_root_px=0.005, reach=3.0)
    points = DragPoints(POINTS.handles, POINTS.handles + np.array([[60.0, 0.0], [0.0, 68.0]]))  # 256 px at 512 in all
    solver = Newton(generator, w_plus, points, settings=settings, reach=reach)
    ways = []
    for _ in solver.steps(5):
        ways.append(float(solver.whitened.norm(dim=1).square().mean().sqrt()))
    assert max(ways) == pytest.approx(allowance * (0.02 + 0.005 * 16), rel=1e-4)


def test_a_doubtful_handle_counts_for_less(generator: Generator, w_plus: torch.Tensor) -> None:
    solver = Newton(generator, w_plus, POINTS)
    alike = solver._slack()
    assert torch.allclose(alike, torch.ones_like(alike), rtol=0.1)
    unlike = solver.tracked.resemblance * torch.tensor([1.0, -1.0]).to(w_plus)
    solver.tracked = replace(solver.tracked, resemblance=unlike)
    surest, doubtful = solver._slack().view(2, 2)
    assert torch.equal(surest, torch.ones_like(surest))
    assert (doubtful > 10).all()


def test_whitening_is_a_root_of_the_covariance(generator: Generator) -> None:
    root = Whitening(generator).factor
    assert torch.allclose(root @ root.T, generator.w_covariance, atol=1e-5 * float(generator.w_covariance.max()))


class Deaf(Newton):
    """A solver whose predictions never hold."""

    def step(self) -> bool:
        return False


def test_draggan_goes_on_where_predictions_keep_failing(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOLVERS, "newton", Deaf)
    events = list(drag(generator, w_plus, POINTS, max_steps=12))
    assert [event.step for event in events] == list(range(len(events)))
    assert [event.solver for event in events[:4]] == ["newton"] * 4
    assert {event.solver for event in events[4:]} == {"draggan"}
    assert not any(event.reason for event in events[:-1])
    assert events[-1].reason in {"landed", "steps"}
    assert events[-1].mean_distance < events[0].mean_distance


class GoesDeaf(Deaf):
    """A solver whose predictions no longer hold once most of the way is made."""

    def step(self) -> bool:
        self.handles = self.targets - 0.4 * (self.targets - self.first[1])
        return False


def test_a_drag_that_made_most_of_its_way_stalls_where_predictions_fail(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near the end promises are as small as what the tracker scatters: that is no reason to begin anew for minutes."""
    monkeypatch.setitem(SOLVERS, "newton", GoesDeaf)
    *_, last = drag(generator, w_plus, POINTS, max_steps=12)
    assert last.solver == "newton"
    assert last.reason == "stalled"


class LosesTheFirst(PatchTracker):
    """Finds all handles before the drag, and never again the first."""

    calls = 0

    def track(self, view: FeatureView, predicted_xy: torch.Tensor, effort: float = 0.0) -> Tracked:
        tracked, self.calls = super().track(view, predicted_xy, effort), self.calls + 1
        similarity = tracked.similarity.clone()
        similarity[0] = 1.0 if self.calls == 1 else 0.0
        return replace(tracked, similarity=similarity)


def test_of_many_points_a_lost_one_goes_on_with_the_others(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.drag.newton.PatchTracker", LosesTheFirst)
    grid = np.stack(np.meshgrid(np.arange(60.0, 200, 24), np.arange(60.0, 200, 24)), -1).reshape(-1, 2)
    targets, many = grid + np.array([4.0, 0.0]), NewtonSettings().many_points
    held, carried = (
        list(drag(generator, w_plus, DragPoints(grid[:n], targets[:n]), max_steps=2)) for n in (5, many + 1)
    )
    assert held[-1].mean_distance == held[0].mean_distance  # no step that loses a handle is taken
    last = carried[-1]
    assert last.solver == "newton"
    assert last.mean_distance < carried[0].mean_distance
    assert last.lost is not None and last.lost[0]
    assert 0 < np.linalg.norm(last.handles[0] - grid[0]) < 8  # where the linear model says


def test_the_last_step_allowed_ends_a_failing_drag(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOLVERS, "newton", Deaf)
    *_, last = drag(generator, w_plus, POINTS, max_steps=3)
    assert last.step == 3
    assert last.reason == "steps"


def test_a_live_drag_stalls_where_predictions_keep_failing(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.drag.live.Newton", Deaf)
    *events, last = LiveDrag(generator, w_plus, POINTS).release()
    assert not any(event.reason for event in events)
    assert last.reason == "stalled"


def test_a_correction_keeps_the_derivative_true_along_the_step(generator: Generator, w_plus: torch.Tensor) -> None:
    solver = Newton(generator, w_plus, POINTS, settings=NewtonSettings(refresh_px=1e9))
    solver.step()
    first, way, handles = solver.derivative.rows, solver.whitened.clone(), solver.handles.clone()
    solver.step()
    step, moved = (solver.whitened - way).flatten(), (solver.handles - handles).flatten()
    assert not torch.equal(solver.derivative.rows, first)
    assert torch.allclose(solver.derivative.rows @ step, moved, atol=1e-6)


def test_only_handles_that_are_due_are_linearised_again(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    own = Newton._slopes

    def watched(self: Newton, which: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
        asked.append((which.tolist(), along.shape[1]))
        return own(self, which, along)

    monkeypatch.setattr(Newton, "_slopes", watched)
    solver = Newton(generator, w_plus, POINTS, settings=NewtonSettings(refresh_px=1e9, tries=1))
    solver.step()
    solver.derivative.distrust(torch.tensor([False, True]))
    solver.derivative.travelled_px[0] = 1.0
    solver.step()
    assert asked == [([True, True], 2), ([False, True], 1)]


def test_the_first_derivative_is_read_off_the_view_of_the_start(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view costs a pass for each handle; the templates and the first derivative share it."""
    solver = Newton(generator, w_plus, POINTS)
    with monkeypatch.context() as patch:
        patch.setattr(Newton, "_view_around", None)  # no more views
        shared = jacobian_of(solver)
    assert torch.allclose(shared, jacobian_of(Newton(generator, w_plus, POINTS, chunk=1)), rtol=1e-6, atol=1e-9)


def test_a_single_handle_is_linearised_by_the_view_in_which_it_was_found(
    generator: Generator, w_plus: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = DragPoints(POINTS.handles[:1], POINTS.targets[:1])
    solver = Newton(generator, w_plus, one)
    solver.step()
    with monkeypatch.context() as patch:
        patch.setattr(Newton, "_view_around", None)  # no more views
        shared = jacobian_of(solver)
    solver.seen = solver._see(solver.whitened, solver.handles, solver.tracker.patch_reach_px)
    assert solver.whitened.any()
    assert torch.allclose(shared, jacobian_of(solver), rtol=1e-6, atol=1e-9)


def test_robust_draggan_tells_how_sure_it_is(generator: Generator, w_plus: torch.Tensor) -> None:
    *_, last = drag(generator, w_plus, POINTS, solver="draggan-robust", max_steps=6)
    assert last.confidence is not None
    assert (last.confidence > 0.3).all()
    assert last.mean_distance < 7
