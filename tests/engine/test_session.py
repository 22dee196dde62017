"""Sessions on the real face model: what a drag changes, what it leaves alone, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from krita_drag.wire.errors import BadMask, BadOption, BadPoints
from PIL import Image

from engine.align import Crop
from engine.images import Picture
from engine.latent import Whitening
from engine.models import Model
from engine.session import Session

CORNER_OF_THE_MOUTH = ((600.0, 760.0), (640.0, 740.0))


@pytest.fixture(scope="module")
def seed_session(faces_model: Model) -> Session:
    return Session.from_seed(faces_model, 7)


@pytest.fixture
def photo_session(faces_model: Model, seed_session: Session) -> Session:
    """A generated face inside a larger picture, with its own latent: an inversion without a flaw."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (700, 800, 3), np.uint8)
    crop = Crop((100.0, 90.0), (512.0, 0.0), (0.0, 512.0), 1024)
    rgb = crop.paste(rgb, seed_session.picture.rgb, np.ones((1024, 1024), np.float32))
    return Session(faces_model, Picture(rgb), crop, seed_session.w_start, generated=False)


def in_document(session: Session, pair: tuple) -> tuple:
    handle, target = (tuple(float(v) for v in session.crop.to_document(end)) for end in pair)
    return handle, target


def test_a_drag_lands_and_can_be_repeated(seed_session: Session) -> None:
    first = [event.mean_distance for event in seed_session.drag([CORNER_OF_THE_MOUTH])]
    picture = seed_session.result()
    second = [event.mean_distance for event in seed_session.drag([CORNER_OF_THE_MOUTH])]
    assert first == second
    assert min(first) <= 2 < first[0]
    assert np.array_equal(picture.rgb, seed_session.result().rgb)
    assert (picture.rgb != seed_session.picture.rgb).any()
    assert np.linalg.norm(seed_session.handles_document() - [CORNER_OF_THE_MOUTH[1]]) <= 2


def test_freedrag_opens_the_mouth_too(seed_session: Session) -> None:
    *_, last = seed_session.drag([CORNER_OF_THE_MOUTH], solver="freedrag", max_steps=100)
    assert last.reason == "landed"
    assert last.mean_distance <= 2
    corner = np.linalg.norm(seed_session.handles_document() - [CORNER_OF_THE_MOUTH[1]])
    assert corner <= 2


def test_the_best_state_is_shown_when_a_drag_is_cut_short(seed_session: Session) -> None:
    events = seed_session.drag([CORNER_OF_THE_MOUTH], solver="draggan")
    seen = [next(events) for _ in range(4)]
    events.close()
    best = min(seen, key=lambda event: event.mean_distance)
    assert seed_session.best() is best
    assert torch.equal(seed_session.w_plus, best.w_plus)


def test_without_a_drag_a_photo_is_itself(photo_session: Session) -> None:
    assert photo_session.result() is photo_session.picture


def test_pixels_outside_the_moved_area_are_the_photos_own(photo_session: Session) -> None:
    mask = np.zeros((700, 800), np.float32)
    mask[400:560, 250:500] = 1
    before = photo_session.picture.rgb.copy()
    list(photo_session.drag([in_document(photo_session, CORNER_OF_THE_MOUTH)], mask=mask, max_steps=4))
    after = photo_session.result().rgb
    changed = (after != before).any(2)
    assert changed[mask > 0].any()
    assert not changed[mask == 0].any()
    assert np.array_equal(photo_session.picture.rgb, before)


def test_points_and_masks_outside_the_models_square_are_refused(photo_session: Session) -> None:
    with pytest.raises(BadPoints, match="outside the part"):
        next(photo_session.drag([((10.0, 10.0), (300.0, 300.0))]))
    mask = np.zeros((700, 800), np.float32)
    mask[:50, :50] = 1
    with pytest.raises(BadMask, match="nothing to move"):
        next(photo_session.drag([in_document(photo_session, CORNER_OF_THE_MOUTH)], mask=mask))


def test_a_target_out_of_reach_is_said(seed_session: Session) -> None:
    *_, last = seed_session.drag([((512.0, 600.0), (900.0, 60.0))], max_steps=25)
    assert last.reason in {"stalled", "steps"}
    assert last.reason == "steps" or any("no more progress" in note for note in seed_session.notes)


def test_a_handle_that_may_have_slipped_is_said(seed_session: Session) -> None:
    """Skin looks alike everywhere: what was pulled may be another part of the cheek."""
    little, far = (330.0, 700.0), (330.0, 760.0)
    notes = []
    for target in (little, far):
        session = Session.from_seed(seed_session.model, 7)
        list(session.drag([((330.0, 690.0), target)]))
        notes.append(" ".join(session.notes))
    assert "slipped" not in notes[0]
    assert "closely at point 1: what was pulled may have slipped" in notes[1]


def test_undo_redo_and_reset_go_through_the_drags(seed_session: Session) -> None:
    session = Session(seed_session.model, seed_session.picture, seed_session.crop, seed_session.w_start, generated=True)
    assert not session.edits.undo()
    assert not session.edits.redo()
    list(session.drag([CORNER_OF_THE_MOUTH]))
    first = session.w_plus
    now = tuple(float(v) for v in session.handles_document()[0])
    list(session.drag([(now, (now[0], now[1] + 20))], onward=True))
    second = session.w_plus
    assert not torch.equal(first, second)
    assert session.edits.undo()
    assert torch.equal(session.w_plus, first)
    assert session.edits.redo()
    assert torch.equal(session.w_plus, second)
    assert session.edits.reset()
    assert session.result() is session.picture
    assert session.edits.redo()
    list(session.drag([CORNER_OF_THE_MOUTH], max_steps=1))
    assert not session.edits.redo()
    assert session.edits.shown == 2


def test_a_drag_that_cannot_begin_leaves_no_state(seed_session: Session) -> None:
    count = len(seed_session.edits.states)
    with pytest.raises(BadOption):
        next(seed_session.drag([CORNER_OF_THE_MOUTH], solver="nonsense"))
    assert len(seed_session.edits.states) == count


def test_onward_goes_on_from_the_picture_shown(seed_session: Session) -> None:
    far, nearer = ((600.0, 760.0), (650.0, 730.0)), ((600.0, 760.0), (625.0, 745.0))
    list(seed_session.drag([nearer]))
    half_way = tuple(float(v) for v in seed_session.handles_document()[0])
    first, *_ = seed_session.drag([(half_way, far[1])], onward=True)
    assert np.allclose(first.handles, half_way)
    assert seed_session.best().mean_distance < first.mean_distance


def test_an_anchor_stays_where_a_drag_without_it_moves(seed_session: Session) -> None:
    other_corner = (420.0, 760.0)

    def moved(pairs: list) -> float:
        list(seed_session.drag(pairs))
        best = seed_session.best()
        return float(np.linalg.norm(best.handles[1] - other_corner))

    pulling = ((600.0, 760.0), (640.0, 700.0))
    held = moved([pulling, (other_corner, other_corner)])
    assert held < 6
    with pytest.raises(BadPoints, match="nothing would move"):
        next(seed_session.drag([(other_corner, other_corner)]))


def test_a_heavier_point_lands_closer(seed_session: Session) -> None:
    """Two handles close to each other that pull apart cannot both win."""
    against = [((600.0, 760.0), (600.0, 700.0)), ((560.0, 770.0), (560.0, 830.0))]

    def left(weights: list[float]) -> float:
        list(seed_session.drag(against, weights=weights))
        return float(seed_session.best().distances[0])

    assert left([20.0, 1.0]) < left([1.0, 20.0])
    with pytest.raises(BadPoints, match="weight"):
        next(seed_session.drag(against, weights=[1.0]))


@pytest.mark.parametrize("solver", ["newton", "draggan", "freedrag"])
def test_staying_close_shortens_the_way(seed_session: Session, solver: str) -> None:
    whitening = Whitening(seed_session.model.generator)

    def way(reach: float) -> float:
        far = ((600.0, 760.0), (700.0, 660.0))
        *_, last = seed_session.drag([far], solver=solver, reach=reach, max_steps=8)
        rows = (last.w_plus - seed_session.w_start)[0, : seed_session.model.generator.coarse_ws]
        return float((rows @ whitening.inverse.T).norm(dim=1).square().mean().sqrt())

    assert way(0.05) <= 0.0501
    assert way(3.0) > 0.0501


def test_live_follows_the_newest_target(seed_session: Session) -> None:
    press = (600.0, 760.0)
    live = seed_session.live([(press, press)])
    assert live.step() is None
    for target in ((610.0, 755.0), (620.0, 750.0), (640.0, 740.0)):
        live.move([target])
    steps = [event for _ in range(12) if (event := live.step()) is not None]
    assert steps
    assert np.linalg.norm(steps[-1].handles[0] - (640, 740)) < 8
    live.move([press])
    while (event := live.step()) is not None:
        assert event.w_plus is seed_session.w_plus
    *_, last = live.release()
    assert last.reason
    assert np.linalg.norm(seed_session.handles_document()[0] - press) < 8
    assert seed_session.edits.undo()


def test_a_quick_gesture_lands_like_a_drag(seed_session: Session) -> None:
    press, target = (600.0, 760.0), (700.0, 690.0)
    *_, plain = seed_session.drag([(press, target)])
    seed_session.edits.reset()
    live = seed_session.live([(press, press)])
    live.move([target])
    *_, last = live.release()
    assert last.step == plain.step > 6, "more than a few steps are needed here"
    assert np.array_equal(last.handles, plain.handles)


def test_patches_show_what_the_result_shows(photo_session: Session) -> None:
    list(photo_session.drag([in_document(photo_session, CORNER_OF_THE_MOUTH)], max_steps=4))
    whole, patch = photo_session.result().rgb, photo_session.patch()
    x, y, width, height = patch.rect
    assert patch.rgba.shape == (height, width, 4)
    over = photo_session.picture.rgb.astype(float)
    part = over[y : y + height, x : x + width]
    opacity = patch.rgba[..., 3:] / 255
    over[y : y + height, x : x + width] = part * (1 - opacity) + patch.rgba[..., :3] * opacity
    assert np.abs(over - whole).max() <= 2
    assert np.array_equal(over[patch_outside(over.shape, patch.rect)], whole[patch_outside(over.shape, patch.rect)])


def patch_outside(shape: tuple, rect: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = rect
    outside = np.ones(shape[:2], bool)
    outside[y : y + height, x : x + width] = False
    return outside


@pytest.mark.parametrize("size_px", [200, 256, 400])
def test_previews_resemble_the_patch(photo_session: Session, size_px: int) -> None:
    list(photo_session.drag([in_document(photo_session, CORNER_OF_THE_MOUTH)], max_steps=4))
    preview = photo_session.patch(size_px)
    assert max(preview.rgba.shape) == size_px
    x, y, width, height = preview.rect
    whole = Image.fromarray(photo_session.result().rgb[y : y + height, x : x + width])
    small = np.asarray(whole.resize(preview.rgba.shape[1::-1], Image.Resampling.BOX), float)
    strong = preview.rgba[..., 3] > 200
    assert strong.any()
    assert np.abs(preview.rgba[..., :3].astype(float) - small)[strong].mean() < 12


def test_a_patch_of_nothing_is_empty(photo_session: Session) -> None:
    assert not photo_session.patch().rgba[..., 3].any()
