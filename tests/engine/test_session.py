"""Sessions on the real face model: what a drag changes, what it leaves alone, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from krita_drag.wire.errors import BadMask, BadPoints

from engine.align import Crop
from engine.images import Picture
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
    assert (picture.rgb != seed_session.before().rgb).any()
    assert np.linalg.norm(seed_session.handles_document() - [CORNER_OF_THE_MOUTH[1]]) <= 2


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
