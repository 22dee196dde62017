"""One document being edited, with a stand-in for Krita and an engine behind a real socket."""

from __future__ import annotations

import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fake_krita
import pytest
from fake_engine import FakeEngine
from krita_drag import pictures
from krita_drag.desk import Desk
from krita_drag.docker_view import describe
from krita_drag.document import KritaDocument, bands_of
from krita_drag.edit import DROPS, FRAMES, HIDES, LACKS, SEND_LIMIT_PX, Edit
from krita_drag.edit_state import Stage
from krita_drag.geometry import Box, Point
from krita_drag.link import EngineLink
from krita_drag.link_status import LinkState
from krita_drag.masked_layer import write_file
from krita_drag.pairs import Pair
from krita_drag.placed_results import PlacedResults
from krita_drag.source_layer import SourceLayer
from krita_drag.wire import messages as wire
from krita_drag.wire.vocabulary import MAX_POINTS

PULL = Pair(1, Point(5, 5), Point(9, 8))


@pytest.fixture
def engine(home: Path) -> Iterator[FakeEngine]:
    made = FakeEngine(home)
    yield made
    made.stop()


@pytest.fixture
def desk(krita: Any, engine: FakeEngine, home: Path, settle: Any) -> Iterator[Desk]:
    made = Desk(krita, EngineLink(home))
    made.wake()
    settle(lambda: made.link_status.state is LinkState.READY)
    yield made
    made.close()


@pytest.fixture
def edit(desk: Desk, document: Any) -> Edit:
    return desk.edit_for(document)


@pytest.fixture
def prepared(edit: Edit, settle: Any) -> Edit:
    edit.prepare()
    settle(lambda: edit.session.stage is Stage.READY)
    return edit


@pytest.fixture
def dragged(prepared: Edit, settle: Any) -> Edit:
    gesture(prepared, PULL.handle, PULL.target)
    prepared.drag()
    settle(lambda: prepared.session.shown.undos == 1)
    return prepared


def gesture(edit: Edit, start: Point, end: Point) -> None:
    edit.editor.press(start, 1.0)
    edit.gestures.pressed()
    edit.editor.move(end)
    edit.gestures.moved()
    edit.gestures.released(edit.editor.release(end))


def names(document: Any) -> list[str]:
    return [node.name() for node in document.root.childNodes()]


def test_preparing_sends_the_layer_and_begins_to_edit(prepared: Edit, engine: FakeEngine, document: Any) -> None:
    sent = engine.asked(wire.Open)[0]
    assert sent.image.shape == (48, 64, 4)
    assert bytes(sent.image.data) == bytes(document.activeNode().pixelData(0, 0, 64, 48))
    assert prepared.editing and prepared.source_name == "Photo"
    assert prepared.scene.corners[2] == Point(64, 48)


def test_one_gesture_and_three_clicks_make_a_result(dragged: Edit, document: Any, settle: Any) -> None:
    steps = len(document.steps)
    before = bytes(document.root.childNodes()[0].pixelData(0, 0, 64, 48))
    assert dragged.scene.preview is not None and dragged.scene.preview[1] == Box(2, 3, 8, 6)
    dragged.apply()
    settle(lambda: "[Drag] faces 1 point" in names(document))
    assert names(document) == ["Photo", "[Drag] faces 1 point", "Drag markers"]
    assert document.steps[steps:] == ["Add Layer"]
    settle()
    source, result, markers = document.root.childNodes()
    assert bytes(result.pixelData(2, 3, 1, 1)) == bytes((10, 20, 30, 255)), "its mask has the soft edge"
    assert bytes(source.pixelData(0, 0, 64, 48)) == before
    assert dragged.session.notes == ()
    assert not markers.visible() and not dragged.editing and dragged.scene.preview is None
    assert document.activeNode() is result
    settle(lambda: document.activeNode() is source)
    dragged.set_editing(True)
    assert markers.visible()


@pytest.mark.parametrize("way", ["layer moved", "picture cropped"])
def test_the_edit_goes_with_its_layer(dragged: Edit, engine: FakeEngine, document: Any, settle: Any, way: str) -> None:
    source = document.root.childNodes()[0]
    if way == "layer moved":
        source.move(-3, 4)
    else:
        document.crop(3, -4, 40, 40)
    dragged.follow_markers()
    assert dragged.scene.preview[1] == Box(-1, 7, 8, 6)
    assert dragged.scene.corners[0] == Point(-3, 4)
    pair = Pair(1, PULL.handle.shifted(-3, 4), PULL.target.shifted(-3, 4))
    assert dragged.session.places.of(pair) == pair.target, "the fake engine has it at its target"
    dragged.editor.replace([pair])
    dragged.drag()
    settle(lambda: dragged.session.shown.undos == 2)
    assert engine.asked(wire.Drag)[-1].points == ((*PULL.target, *PULL.target),), "pixels of what was sent"
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    assert bytes(document.root.childNodes()[1].pixelData(-1, 7, 1, 1)) == bytes((10, 20, 30, 255))
    assert not dragged.session.notes


def test_a_picture_that_was_scaled_is_another_one(dragged: Edit, engine: FakeEngine, document: Any) -> None:
    document.scaleImage(32, 24)
    for command in (dragged.drag, dragged.apply):
        command()
        assert dragged.session.problem is not None and "scaled" in dragged.session.problem.message
        dragged.session.dismiss()
    assert len(engine.asked(wire.Drag)) == 1 and len(names(document)) == 2


def test_of_results_only_the_latest_is_to_be_seen(dragged: Edit, document: Any, settle: Any) -> None:
    def results() -> list[bool]:
        return [node.visible() for node in document.root.childNodes() if node.name().startswith("[Drag]")]

    dragged.apply()
    settle(lambda: results() == [True])
    dragged.go_to(0)
    settle(lambda: dragged.session.stage is Stage.READY)
    assert results() == [False], "the canvas shows the picture as it was"
    dragged.leave()
    assert results() == [True]
    dragged.drag()
    settle(lambda: dragged.session.shown.undos == 1 and dragged.session.stage is Stage.READY)
    assert results() == [False] and dragged.scene.preview is not None
    dragged.apply()
    settle(lambda: len(results()) == 2 and dragged.scene.preview is None)
    assert results() == [False, True]
    document.undo()
    dragged.follow_markers()
    assert results() == [True] and dragged.is_out_of_sight


@pytest.fixture
def applied(dragged: Edit, document: Any, settle: Any) -> Edit:
    dragged.apply()
    settle(lambda: len(names(document)) == 3 and not dragged.editing)
    settle(lambda: document.activeNode().name() == "Photo")
    return dragged


def drag_on(edit: Edit, settle: Any) -> None:
    states = edit.session.shown.undos
    edit.drag()
    settle(lambda: edit.session.shown.undos == states + 1 and edit.session.stage is Stage.READY)


def says(desk: Desk, edit: Edit) -> str:
    message = desk.view_of(edit).message
    return message.text if message else ""


def test_a_result_is_never_left_hidden(applied: Edit, document: Any, settle: Any) -> None:
    result = document.root.childNodes()[1]
    drag_on(applied, settle)
    assert not result.visible()
    applied.prepare()
    assert applied.session.notes == (DROPS,)
    applied.prepare()
    settle(lambda: applied.session.stage is Stage.READY and applied.session.shown.undos == 0)
    assert result.visible(), "it is the artist's now"


def test_undo_and_redo_of_apply(applied: Edit, document: Any) -> None:
    result = document.root.childNodes()[1]
    document.root._children.remove(result)
    result._parent = None
    applied.follow_markers()
    assert applied.is_out_of_sight
    document.root._children.insert(1, result)
    result._parent = document.root
    applied.follow_markers()
    applied.set_editing(True)
    assert result.visible() and applied.scene.preview is None, "not both, one over the other"


def test_a_result_that_was_merged_is_in_the_document(applied: Edit, desk: Desk, document: Any) -> None:
    for node in document.root.childNodes()[:2]:
        node.remove()
    document.add(fake_krita.Node(document, "Merged", "paintlayer")).setPixelData(b"abcd", 0, 0, 1, 1)
    applied.follow_markers()
    assert not applied.is_out_of_sight
    desk.warn_saved(document.fileName())
    assert not applied.session.notes


def test_a_result_that_the_artist_has_hidden_stays_so(applied: Edit, document: Any, settle: Any) -> None:
    result = document.root.childNodes()[1]
    result.setVisible(False)
    applied.go_to(0)
    settle(lambda: applied.session.stage is Stage.READY)
    applied.leave()
    assert not result.visible()


def test_what_is_in_the_document_is_known_after_a_crop_and_on_the_way_back(
    applied: Edit, desk: Desk, document: Any, settle: Any
) -> None:
    document.crop(2, 2, 50, 40)
    applied.follow_markers()
    drag_on(applied, settle)
    applied.go_to(1)
    settle(lambda: applied.session.shown.undos == 1 and applied.session.stage is Stage.READY)
    applied.leave()
    assert document.root.childNodes()[1].visible() and not applied.is_out_of_sight
    assert "not on the canvas" not in says(desk, applied)
    applied.session.notes = ()
    applied.prepare()
    assert applied.reader.fraction is not None, "nothing would be lost"
    applied.stop()


def test_reopening_asks_before_it_drops_a_drag(applied: Edit, engine: FakeEngine, document: Any, settle: Any) -> None:
    drag_on(applied, settle)
    document.active = document.root.childNodes()[1]
    applied.reopen()
    assert applied.session.notes == (DROPS,) and not engine.asked(wire.Restore)
    applied.reopen()
    settle(lambda: bool(engine.asked(wire.Restore)))


def test_a_reopened_edit_goes_with_its_layer(applied: Edit, document: Any, settle: Any) -> None:
    document.crop(2, 3, 50, 40)
    document.active = document.root.childNodes()[1]
    applied.reopen()
    settle(lambda: applied.session.stage is Stage.READY)
    assert applied.session.box == Box(-2, -3, 64, 48), "it was cropped after it was applied"
    document.crop(1, 1, 40, 30)
    applied.follow_markers()
    assert applied.session.box == Box(-3, -4, 64, 48)


def results(document: Any) -> list[bool]:
    return [node.visible() for node in document.root.childNodes() if node.name().startswith("[Drag]")]


def test_the_first_of_two_results_is_reopened(applied: Edit, document: Any, settle: Any) -> None:
    first = document.root.childNodes()[1]
    drag_on(applied, settle)
    applied.apply()
    settle(lambda: results(document) == [False, True] and not applied.editing)
    document.active = first
    applied.reopen()
    settle(lambda: applied.session.stage is Stage.READY)
    assert results(document) == [False, False], "the canvas shows what the first one was made with"
    applied.leave()
    assert results(document) == [True, False]


def test_undo_of_apply_in_a_reopened_edit_whose_source_is_gone(applied: Edit, document: Any, settle: Any) -> None:
    source, result, _ = document.root.childNodes()
    source.remove()
    document.active = result
    applied.reopen()
    settle(lambda: applied.session.stage is Stage.READY)
    applied.apply()
    settle(lambda: len(results(document)) == 2 and not applied.editing)
    document.undo()
    applied.follow_markers()
    applied.set_editing(True)
    assert applied.scene.preview is not None and results(document) == [False]


def test_a_result_that_moves_with_its_source_still_shows_the_edit(applied: Edit, document: Any) -> None:
    source, result, _ = document.root.childNodes()
    source.move(5, 5)
    applied.set_editing(True)
    applied.follow_markers()
    assert applied.scene.preview is not None and not result.visible(), "it was left behind"
    result.move(5, 5)
    applied.follow_markers()
    applied._session_changed()
    assert applied.scene.preview is None and result.visible()


def test_a_source_in_a_group_that_was_removed(dragged: Edit, document: Any, settle: Any) -> None:
    source = document.root.childNodes()[0]
    group = fake_krita.Node(document, "Group", "grouplayer")
    document.root._children[0] = group
    source._parent, group._children = group, [source]
    other = document.add(fake_krita.Node(document, "Other", "paintlayer"))
    other.setPixelData(b"abcd", 0, 0, 1, 1)
    dragged.apply()
    settle(lambda: "[Drag] faces 1 point" in names(document))


def test_a_file_without_the_drag_is_told(dragged: Edit, desk: Desk, document: Any, settle: Any) -> None:
    desk.warn_saved("another.kra")
    assert not dragged.session.notes
    for _ in range(2):
        desk.warn_saved(document.fileName())
    assert len(dragged.session.notes) == 1 and dragged.session.notes[0] == LACKS
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    desk.warn_saved(document.fileName())
    assert not dragged.session.notes
    document.active = document.root.childNodes()[1]
    dragged.reopen()
    settle(lambda: dragged.session.stage is Stage.READY)
    desk.warn_saved(document.fileName())
    assert dragged.session.notes == (HIDES,), "it is kept, but not to be seen"


def test_who_leaves_the_canvas_paints_below_no_picture(dragged: Edit, desk: Desk) -> None:
    dragged.leave()
    assert dragged.is_out_of_sight and not dragged.markers.find().visible()
    view = describe(desk.link_status, dragged.session, dragged.editor.pairs, out_of_sight=True)
    assert "not on the canvas" in view.message.text and view.can_apply
    dragged.set_editing(True)
    assert not dragged.is_out_of_sight and dragged.markers.find().visible()


def test_points_and_selection_say_which_face_is_meant(
    edit: Edit, engine: FakeEngine, document: Any, settle: Any
) -> None:
    edit.editor.replace([PULL])
    document.chosen = fake_krita.Selection(10, 10, 20, 20)
    edit.prepare()
    settle(lambda: edit.session.stage is Stage.READY)
    sent = engine.asked(wire.Invert)[0]
    assert sent.points == ((*PULL.handle, *PULL.target),) and sent.selection.shape == (48, 64)
    assert 0 < sum(map(bool, bytes(sent.selection.data))) < 48 * 64


def test_a_layer_painted_on_meanwhile_is_told(dragged: Edit, document: Any, settle: Any) -> None:
    document.root.childNodes()[0].setPixelData(b"\1\2\3\4", 3, 4, 1, 1)
    dragged.apply()
    settle(lambda: "[Drag] faces 1 point" in names(document))
    assert "painted on" in dragged.session.notes[-1] and dragged.session.problem is None


def test_looking_for_paint_converts_all_at_once(krita: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hidden document takes Krita a fifth of a second, and a large canvas has dozens of bands."""
    monkeypatch.setattr("krita_drag.document.BAND_PX", 100)
    document = fake_krita.Document(space=("RGBA", "U16", "sRGB-elle-V2-g10.icc"))
    layer = document.add(fake_krita.Node(document, "Photo", "paintlayer"))
    box = Box(0, 0, 40, 30)
    source = SourceLayer(KritaDocument(document), layer, box)
    sums = source.sums = [zlib.crc32(band) for band in KritaDocument(document).read(layer, bands_of(box))]
    made: list[str] = []
    create = krita.createDocument
    monkeypatch.setattr(krita, "createDocument", lambda *of: (made.append(of[2]), create(*of))[1])
    assert len(sums) > 2 and not source.is_painted_on(box, box)
    assert len(made) == 1
    source.sums = [*sums[:-1], 0]
    assert source.is_painted_on(box, box)


def test_a_point_too_many_is_refused(prepared: Edit, desk: Desk) -> None:
    desk.choose("live", True)
    prepared.editor.replace(Pair(key, Point(key / 2, 1), Point(key / 2, 9)) for key in range(MAX_POINTS))
    prepared.editor.press(Point(60, 40), 1.0)
    prepared.gestures.pressed()
    assert prepared.session.stage is Stage.READY and "no more" in prepared.session.problem.message


def test_an_edit_is_reopened_from_its_result(
    dragged: Edit, document: Any, engine: FakeEngine, desk: Desk, settle: Any
) -> None:
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    again = desk._edits["again"] = Edit(document, desk.link.send, lambda: desk.settings)
    document.active = document.root.childNodes()[1]
    again.reopen()
    settle(lambda: len(engine.asked(wire.Restore)) == 1)
    assert bytes(engine.asked(wire.Restore)[0].session.data) == b"file"
    assert again.session.box == Box(0, 0, 64, 48) and again.session.model == "faces"
    assert again.editor.pairs[0].target == pytest.approx(PULL.target)
    settle(lambda: not document.root.childNodes()[1].visible())


def test_a_result_that_cannot_be_reopened_stays_to_be_seen(
    dragged: Edit, document: Any, engine: FakeEngine, settle: Any
) -> None:
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    document.active = result = document.root.childNodes()[1]
    engine.failures[wire.Restore] = wire.Error(code="bad-session", message="It is damaged.")
    dragged.reopen()
    settle(lambda: dragged.session.problem is not None)
    assert result.visible()


def test_reopening_ends_what_was_to_be_prepared(
    dragged: Edit, document: Any, engine: FakeEngine, desk: Desk, settle: Any
) -> None:
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    document.active = document.root.childNodes()[0]
    again = desk._edits["again"] = Edit(document, desk.link.send, lambda: desk.settings)
    again.drag()
    document.active = document.root.childNodes()[1]
    opened, drags = len(engine.asked(wire.Open)), len(engine.asked(wire.Drag))
    again.reopen()
    settle(lambda: again.session.stage is Stage.READY)
    for _ in range(20):
        settle()
    assert (len(engine.asked(wire.Open)), len(engine.asked(wire.Drag))) == (opened, drags)


def test_a_preparation_that_was_stopped_leaves_the_edit_on_its_layer(dragged: Edit, document: Any, settle: Any) -> None:
    other = document.add(fake_krita.Node(document, "Other", "paintlayer"))
    other.setPixelData(bytes(range(256)) * 48, 0, 0, 64, 48)
    document.active = other
    dragged.prepare()
    assert dragged.reader.fraction is None and "not applied" in dragged.session.notes[-1]
    dragged.prepare()
    assert dragged.reader.fraction is not None
    dragged.stop()
    dragged.apply()
    settle(lambda: len(names(document)) == 4)
    assert names(document)[:2] == ["Photo", "[Drag] faces 1 point"] and dragged.source_name == "Photo"


def test_there_may_be_nothing_to_reopen(edit: Edit) -> None:
    edit.reopen()
    assert edit.session.problem is not None and "no edit to reopen" in edit.session.problem.message


def test_what_was_kept_by_another_version_is_not_read(edit: Edit, document: Any) -> None:
    for kept in (b"", b"{}", b"nonsense\nfile", b'{"version": 99, "box": [0, 0, 1, 1], "source": ""}\nfile'):
        edit.document.remember(document.activeNode(), kept or b"\n")
        edit.reopen()
        assert edit.session.problem is not None and edit.session.problem.hint
        edit.session.dismiss()


def test_drag_prepares_what_is_not_prepared_and_goes_on(edit: Edit, settle: Any) -> None:
    edit.set_editing(True)
    gesture(edit, PULL.handle, PULL.target)
    edit.drag()
    settle(lambda: edit.session.shown.undos == 1)
    assert edit.session.problem is None


def test_stop_keeps_the_frame(prepared: Edit, engine: FakeEngine, settle: Any) -> None:
    gesture(prepared, PULL.handle, PULL.target)
    engine.hold.add(wire.Drag)
    engine.states = 1
    prepared.drag()
    settle(lambda: prepared.scene.preview is not None)
    assert prepared.is_stoppable and not prepared.session.shown.patch_is_full
    prepared.stop()
    settle(lambda: prepared.session.stage is Stage.READY)
    assert prepared.session.shown.patch_is_full


def test_previews_ask_for_the_next(prepared: Edit, engine: FakeEngine, settle: Any) -> None:
    gesture(prepared, PULL.handle, PULL.target)
    engine.hold.add(wire.Drag)
    prepared.drag()
    settle(lambda: engine.asked(wire.Credit)[-1:] and engine.asked(wire.Credit)[-1].n == 2 and prepared.scene.preview)


def test_live_mode_follows_the_gesture(prepared: Edit, desk: Desk, engine: FakeEngine, settle: Any) -> None:
    desk.choose("live", True)
    gesture(prepared, PULL.handle, PULL.target)
    settle(lambda: prepared.session.stage is Stage.READY and prepared.session.shown.undos == 1)
    phases = [message.phase for message in engine.asked(wire.Live)]
    assert phases[0] == "press" and phases[-1] == "release"
    assert prepared.markers.read()[0].target == pytest.approx(PULL.target)


def test_the_selection_is_the_region(prepared: Edit, engine: FakeEngine, document: Any, settle: Any) -> None:
    document.chosen = fake_krita.Selection(4, 4, 20, 20, 200)
    gesture(prepared, PULL.handle, PULL.target)
    prepared.drag()
    settle(lambda: bool(engine.asked(wire.Drag)))
    mask = engine.asked(wire.Drag)[0].mask
    assert mask.shape == (48, 64) and bytes(mask.data).count(200) == 400


def test_a_selection_elsewhere_is_told_and_nothing_is_sent(prepared: Edit, engine: FakeEngine, document: Any) -> None:
    gesture(prepared, PULL.handle, PULL.target)
    document.chosen = fake_krita.Selection(900, 900, 5, 5)
    prepared.drag()
    assert prepared.session.problem is not None and prepared.session.problem.code == "selection-too-small"
    assert not engine.asked(wire.Drag)


def test_a_picture_that_the_model_does_not_know(edit: Edit, engine: FakeEngine, settle: Any) -> None:
    engine.failures[wire.Invert] = wire.Error(code="out-of-domain", message="No face was found.", hint="Select it.")
    edit.prepare()
    settle(lambda: edit.session.problem is not None)
    assert edit.session.stage is Stage.EMPTY


def test_a_layer_without_a_picture(edit: Edit, document: Any, engine: FakeEngine) -> None:
    document.add(fake_krita.Node(document, "Empty", "paintlayer"))
    edit.prepare()
    assert edit.session.problem is not None and edit.session.problem.code == "no-layer"
    assert not engine.asked(wire.Open)


def test_a_huge_canvas_needs_to_know_what_matters(krita: Any, desk: Desk, engine: FakeEngine, settle: Any) -> None:
    huge = fake_krita.Document(30_000, 30_000)
    layer = huge.add(fake_krita.Node(huge, "Huge", "paintlayer"))
    layer._pixels = {(0, 0): b"abcd", (29_999, 29_999): b"abcd"}
    edit = desk.edit_for(huge)
    edit.prepare()
    assert edit.session.problem is not None and str(SEND_LIMIT_PX) in edit.session.problem.message
    huge.chosen = fake_krita.Selection(20_000, 20_000, 100, 100)
    assert edit._part_to_send(edit.document.source()) == Box(18_002, 18_002, 4096, 4096)
    huge.chosen = None
    edit.editor.replace([Pair(1, Point(25_000, 100), Point(25_100, 100))])
    assert edit._part_to_send(edit.document.source()).contains(Point(25_000, 100))


def test_a_document_closed_during_a_drag(
    prepared: Edit, desk: Desk, engine: FakeEngine, document: Any, settle: Any
) -> None:
    gesture(prepared, PULL.handle, PULL.target)
    engine.hold.add(wire.Drag)
    prepared.drag()
    settle(lambda: bool(engine.asked(wire.Drag)))
    document.close()
    desk.forget_closed()
    settle(lambda: bool(engine.asked(wire.Close)))
    assert prepared.session.stage is Stage.CLOSED
    assert engine.asked(wire.Cancel)


def test_the_source_removed_before_apply(dragged: Edit, document: Any, settle: Any) -> None:
    other = document.add(fake_krita.Node(document, "Other", "paintlayer"))
    other.setPixelData(b"abcd", 0, 0, 1, 1)
    document.root.childNodes()[0].remove()
    dragged.apply()
    settle(lambda: "[Drag] faces 1 point" in names(document))


def test_del_and_escape(prepared: Edit, settle: Any) -> None:
    gesture(prepared, PULL.handle, PULL.target)
    prepared.delete_selected()
    assert prepared.markers.read() == () and prepared.editor.pairs == ()
    prepared.leave()
    assert not prepared.editing


def test_a_live_gesture_taken_back_stops_following(prepared: Edit, desk: Desk, engine: FakeEngine, settle: Any) -> None:
    desk.choose("live", True)
    prepared.editor.press(PULL.handle, 1.0)
    prepared.gestures.pressed()
    assert prepared.session.stage is Stage.READY, "a press may be meant to select"
    prepared.editor.move(PULL.target)
    prepared.gestures.moved()
    assert prepared.session.stage is Stage.LIVE
    prepared.leave()
    assert prepared.editing and prepared.editor.pairs == ()
    settle(lambda: bool(engine.asked(wire.Cancel)))
    assert engine.asked(wire.Cancel)[0].re == engine.asked(wire.Live)[0].id


def test_a_pull_while_another_is_finished_is_dragged_afterwards(
    prepared: Edit, desk: Desk, engine: FakeEngine, settle: Any
) -> None:
    desk.choose("live", True)
    gesture(prepared, PULL.handle, PULL.target)
    assert prepared.session.stage is Stage.LIVE
    gesture(prepared, Point(30, 30), Point(35, 30))
    assert {len(message.points) for message in engine.asked(wire.Live)} <= {1}
    assert prepared.session.stage is Stage.LIVE
    settle(lambda: prepared.session.shown.undos == 2)
    assert len(engine.asked(wire.Drag)) == 1 and len(engine.asked(wire.Drag)[0].points) == 2


def test_pulls_while_another_is_finished_add_up(prepared: Edit, desk: Desk, engine: FakeEngine, settle: Any) -> None:
    desk.choose("live", True)
    gesture(prepared, PULL.handle, PULL.target)
    gesture(prepared, Point(30, 30), Point(35, 30))
    prepared.editor.press(Point(35, 30), 1.0)  # a click selects, and takes nothing back
    prepared.gestures.pressed()
    prepared.gestures.released(prepared.editor.release(Point(35, 30)))
    settle(lambda: prepared.session.shown.undos == 2)
    assert len(engine.asked(wire.Drag)[0].points) == 2


def test_undo_in_krita_is_followed(prepared: Edit, document: Any, settle: Any) -> None:
    gesture(prepared, PULL.handle, PULL.target)
    assert len(prepared.editor.pairs) == 1
    document.undo()
    settle(lambda: prepared.editor.pairs == ())


def test_the_models_picture_can_be_compared(dragged: Edit, settle: Any) -> None:
    dragged.session.shown.inverted = dragged.session.shown.patch._replace(box=Box(0, 0, 64, 48))
    dragged.set_show_inverted(True)
    assert dragged.scene.preview[1] == Box(0, 0, 64, 48)
    dragged.set_show_inverted(False)
    assert dragged.scene.preview[1] == Box(2, 3, 8, 6)
    dragged.apply()
    settle(lambda: not dragged.editing)
    dragged.set_show_inverted(True)
    dragged.set_show_inverted(False)
    assert dragged.scene.preview is None, "the document has it"


def test_the_way_there_as_animation(prepared: Edit, desk: Desk, engine: FakeEngine, document: Any, settle: Any) -> None:
    desk.choose("animation", True)
    gesture(prepared, PULL.handle, PULL.target)
    prepared.drag()
    settle(lambda: prepared.session.shown.undos == 1)
    prepared.apply()
    settle(lambda: bool(document.imported))
    assert len(document.imported[0]) == FRAMES + 2 and all(document.imported[0])
    settle(lambda: not prepared.editing)
    assert document.annotationTypes(), "it cannot be reopened"
    assert document.activeNode().name() == "[Drag] faces 1 point"
    assert document.steps[-1] == "Import animation"


@pytest.fixture
def writing(
    dragged: Edit, desk: Desk, settle: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[threading.Event]:
    """An edit whose frames are being written until this is set."""
    go_on, write = threading.Event(), pictures.write_frames

    def slow(*arguments: Any) -> Iterator[str]:
        for path in write(*arguments):
            yield path
            assert go_on.wait(20)

    monkeypatch.setattr(pictures, "write_frames", slow)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    desk.choose("animation", True)
    dragged.apply()
    settle(lambda: dragged.is_writing)
    yield go_on
    go_on.set()


def test_frames_are_written_one_animation_at_a_time(
    writing: threading.Event, dragged: Edit, desk: Desk, document: Any, settle: Any
) -> None:
    view = describe(desk.link_status, dragged.session, dragged.editor.pairs, writing=dragged.is_writing)
    assert (view.progress_text, view.can_apply, view.drag_stops) == ("Writing the frames", False, True)
    dragged.apply()
    assert dragged.session.stage is Stage.READY and not dragged.session.shown.frames
    writing.set()
    settle(lambda: not dragged.editing)
    assert len(document.imported) == 1 and not dragged.is_writing


@pytest.mark.parametrize("end", ["stop", "close the document"])
def test_frames_that_are_not_wanted_any_more(
    writing: threading.Event, dragged: Edit, desk: Desk, krita: Any, document: Any, settle: Any, end: str
) -> None:
    if end == "stop":
        assert dragged.is_stoppable
        dragged.stop()
    else:
        krita.open_documents.remove(document)
        desk.forget_closed()
    writing.set()
    while any(thread.name == "krita-drag frames" for thread in threading.enumerate()):
        settle()
    assert not document.imported and not dragged.is_writing
    assert not list(Path(tempfile.gettempdir()).glob("krita-drag-*"))


def test_the_edge_as_a_mask_of_its_own(dragged: Edit, desk: Desk, document: Any, settle: Any) -> None:
    desk.choose("separate_mask", True)
    before = list(document.steps)
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    assert document.steps == [*before, "Add Layer"]
    (result,) = (node for node in document.root.childNodes() if node.name().startswith("[Drag]"))
    (mask,) = result.childNodes()
    assert (mask.type(), mask.name()) == ("transparencymask", "Soft edge")
    shown = dragged.session.shown.patch
    assert shown.bgra[3] == 128 and result.pixelData(shown.box.x, shown.box.y, 1, 1).data()[3] == 255


def test_a_krita_that_makes_no_mask_gets_the_soft_edge_in_the_layer(
    dragged: Edit, desk: Desk, krita: Any, document: Any, settle: Any
) -> None:
    desk.choose("separate_mask", True)
    krita.reads_files = False
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    (result,) = (node for node in document.root.childNodes() if node.name().startswith("[Drag]"))
    shown = dragged.session.shown.patch
    assert not result.childNodes()
    assert result.pixelData(shown.box.x, shown.box.y, 1, 1).data()[3] == 128


def test_without_room_for_files_there_is_a_layer_all_the_same_and_for_frames_a_sentence(
    dragged: Edit, desk: Desk, document: Any, settle: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    desk.choose("animation", True)
    dragged.apply()
    settle(lambda: dragged.session.problem is not None)
    assert "temporary files" in dragged.session.problem.hint and not document.imported
    desk.choose("animation", False)
    desk.choose("separate_mask", True)
    dragged.apply()
    settle(lambda: len(names(document)) == 3)
    assert not document.root.childNodes()[1].childNodes()


@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(60, 3, 70, 130), Box(64, 64, 64, 64), Box(5, 127, 200, 2)])
def test_the_file_of_a_mask_has_kritas_tiles(box: Box, tmp_path: Path) -> None:
    alpha = bytes((7 * x + 13 * y) % 251 for y in range(box.h) for x in range(box.w))
    path = tmp_path / "mask.kra"
    write_file(path, (300, 300), box, alpha, "Edge & more")
    with zipfile.ZipFile(path) as file:
        head, tiles = file.read("mask/layers/mask.pixelselection").split(b"DATA ", 1)
        assert ElementTree.fromstring(file.read("maindoc.xml")) is not None
    assert b"PIXELSIZE 1\n" in head
    count, tiles = tiles.split(b"\n", 1)
    found = {}
    for _ in range(int(count)):
        line, tiles = tiles.split(b"\n", 1)
        x, y, _, size = line.split(b",")
        pixels, tiles = tiles[1 : int(size)], tiles[int(size) :]
        found |= {(int(x) + i % 64, int(y) + i // 64): value for i, value in enumerate(pixels) if value != 255}
    assert tiles == b""
    assert found == {(box.x + i % box.w, box.y + i // box.w): value for i, value in enumerate(alpha)}


def test_weights_of_points(prepared: Edit, engine: FakeEngine, settle: Any) -> None:
    gesture(prepared, PULL.handle, PULL.target)
    prepared.set_weight(1, 2.5)
    prepared.drag()
    settle(lambda: bool(engine.asked(wire.Drag)))
    assert engine.asked(wire.Drag)[0].weights == (2.5,)
    assert prepared.markers.read()[0].weight == 2.5


def test_choices_are_kept_in_krita(desk: Desk, krita: Any, home: Path) -> None:
    desk.choose("solver", "draggan")
    desk.choose("solver", "no such thing")
    link = EngineLink(home)
    assert Desk(krita, link).settings.solver == "draggan"


def test_only_installed_models_are_offered(desk: Desk, settle: Any) -> None:
    settle(lambda: desk.models == [("faces", "Faces")])


def test_diagnostics_hold_no_address_and_no_name(desk: Desk) -> None:
    desk.choose("remote_address", "drag://studio.example:5000/abcdef")
    desk.link.status = desk.link.status._replace(details=(f"cannot read {Path.home()}/secret",))
    assert "studio" not in desk.diagnostics() and "5.1.5" in desk.diagnostics()
    assert "cannot read ~/secret" in desk.diagnostics()


def test_a_picture_of_the_models_own(desk: Desk, krita: Any, document: Any, engine: FakeEngine, settle: Any) -> None:
    desk.draw(7)
    settle(lambda: krita.open_windows[0].activeView().document() is not document)
    made = krita.open_windows[0].activeView().document()
    assert (made.width(), made.height()) == (6, 4)
    assert bytes(made.topLevelNodes()[0].pixelData(0, 0, 1, 1)) == bytes((10, 20, 30, 255))
    edit = desk.edit_for(made)
    assert edit.session.stage is Stage.READY and edit.editing
    gesture(edit, Point(1, 1), Point(4, 2))
    edit.drag()
    settle(lambda: edit.session.shown.undos == 1)
    opened, dragged = engine.asked(wire.Open)[0], engine.asked(wire.Drag)[0]
    assert opened.seed == 7 and dragged.sid == opened.sid
    edit.close()
    settle(lambda: bool(engine.asked(wire.Close)))
    assert engine.asked(wire.Close)[0].sid == opened.sid


def test_a_picture_that_cannot_be_drawn_is_told(desk: Desk, engine: FakeEngine, settle: Any) -> None:
    engine.failures[wire.Open] = wire.Error(code="unknown-model", message="There is no such model.")
    desk.draw(7)
    settle(lambda: desk.problem is not None)
    assert desk.problem is not None and desk.problem.code == "unknown-model"
    desk.dismiss()
    assert desk.problem is None


def test_a_hidden_result_is_shown_when_the_edit_of_a_removed_one_is_reopened(document: Any) -> None:
    source, result = document.root.childNodes()[0], fake_krita.Node(document, "[Drag]", "paintlayer")
    document.add(result)
    placed = PlacedResults(KritaDocument(document).holds)
    placed.add(result, 1, source)
    placed.follow(2, on_canvas=True)
    assert not result.visible()
    placed.reopen(None, source)
    assert result.visible()
