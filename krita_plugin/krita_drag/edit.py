"""One document being edited: ties its pixels, its markers and the gestures on its canvas to the session."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from .document import KritaDocument, Source, bands_of
from .drag_messages import drag_options
from .edit_state import STOPPABLE, UNPREPARED, Patch, Stage
from .geometry import Box, box_around, part_to_send
from .gestures import Gestures
from .guard import guarded
from .markers import MarkerLayer
from .pairs import Pair, PairEditor
from .placed_results import PlacedResults
from .qt import QtCore, Signal
from .reading import BandReader
from .results import Kept, Results
from .scene import Scene
from .session import EditSession
from .settings import Settings
from .source_layer import SourceLayer
from .wire import messages as wire
from .wire.errors import KritaDragError, LayerChanged, NoLayer, SelectionTooSmall

SEND_LIMIT_PX = 4096
MARKERS_MS = 500  # how often Krita's own tools and undo are looked for
FRAMES = 10  # of an animation, between its first and its last
ACTIVATION_MS = 300  # Krita makes a new layer the active one some time after it was added
LACKS = "The file has the points, but not the drag on the canvas: apply that, then save again."
HIDES = "The file hides the result, as the canvas shows another state: apply that, or press Esc, then save again."
DROPS = "This gives up what was dragged and not applied. Press again if that is meant."


class Edit(QtCore.QObject):
    """Everything about one document while it is open.

    Args:
        document: Krita's document.
        send: hands a message to the engine.
        settings: returns the user's present choices.

    Signals:
        changed: something that the docker shows is different.
    """

    changed = Signal()

    def __init__(
        self,
        document: Any,
        send: Callable[[wire.Message], None],
        settings: Callable[[], Settings],
    ) -> None:
        super().__init__()
        self.document = KritaDocument(document)
        self.markers = MarkerLayer(document)
        self.editor = PairEditor(self.markers.read())
        self.scene = Scene()
        self.session = EditSession(send, self._session_changed, self._saved)
        self.editing = False
        self.show_inverted = False
        self.reader = BandReader(self)
        self._settings = settings
        self._source: SourceLayer | None = None
        self._placed = PlacedResults(self.document.holds)
        self._drag_after = False
        self._file: bytes | None = None  # of the result whose frames are being written
        self.gestures = Gestures(
            self.editor,
            self.session,
            is_live=lambda: settings().live and not self.is_writing,
            follow=lambda: self._guarded_command(self._live_press),
            ended=self._gesture_ended,
        )
        self._results = Results(self.document)
        self._results.frames_done.connect(self._frames_done)
        self._watch = QtCore.QTimer(self)
        self._watch.setInterval(MARKERS_MS)
        self._watch.timeout.connect(self.follow_markers)

    @property
    def is_stoppable(self) -> bool:
        """Whether there is something that `stop` would end."""
        return self.reader.fraction is not None or self.is_writing or self.session.stage in STOPPABLE

    @property
    def is_writing(self) -> bool:
        """Whether the frames of a result are being written."""
        return self._results.is_writing

    @property
    def is_out_of_sight(self) -> bool:
        """Whether there is a picture that neither the canvas shows, as no points are placed, nor the document."""
        return not self.editing and not self.show_inverted and self._is_only_here

    @property
    def source_name(self) -> str:
        """Name of the layer that is edited."""
        return self._source.name if self._source is not None else ""

    def look_at_source(self) -> tuple[str, bool]:
        """Return the name of the layer that is edited or would be, and whether a selection limits the edit."""
        selected = self.document.krita.selection() is not None
        if self.session.stage is not Stage.EMPTY:
            return self.source_name, selected
        try:
            return self.document.source().name, selected
        except KritaDragError:
            return "", selected

    # Commands of the docker

    def set_editing(self, on: bool) -> None:
        """Let presses on the canvas make and move pairs, or not."""
        if on == self.editing:
            return
        self.editing = on
        if on:
            self.markers.ensure()
            self.markers.set_visible(True)  # Apply has hidden it, perhaps before the document was saved
            self.editor.replace(self.markers.read())
            self._watch.start()
        else:
            self.cancel_gesture()
            self._drag_after = False
            self._watch.stop()
            self.markers.set_visible(False)  # else they would be in what is exported
        self._session_changed()

    def prepare(self) -> None:
        """Read the active layer and let the model find it; asks before that drops a drag that was not applied."""
        self._drag_after = False
        self._after_asking(self._prepare)

    def warn_saved(self) -> None:
        """The document was saved: say so if its file lacks what the canvas shows."""
        sentence = LACKS if self._is_only_here else HIDES if self._placed.is_hidden else ""
        if sentence and sentence not in self.session.notes:
            self.session.note(sentence)

    @property
    def _is_only_here(self) -> bool:
        """Whether there is a picture that the document lacks, and could not bring back."""
        return self.session.shown.patch is not None and not self._placed.keeps(self.session.token)

    def _after_asking(self, command: Callable[[], None]) -> None:
        """Do what gives the present edit up; if something would be lost, only when it is asked for again."""
        if self._is_only_here and DROPS not in self.session.notes:
            self.session.dismiss()
            self.session.note(DROPS)
        else:
            self._guarded_command(command)

    def adopt(self, sid: str, model: str, source: Any, corners: Sequence[Sequence[float]]) -> None:
        """Go on with a session of the engine whose picture this document was made of.

        Args:
            sid: of the session.
            model: its name.
            source: the layer with the picture.
            corners: of the square that the model sees, document pixels.
        """
        self._source = SourceLayer(self.document, source, self.document.frame)
        self._placed.begin_again()
        self.session.adopt(sid, self.document.frame, model, corners)
        self.set_editing(True)

    def drag(self) -> None:
        """Drag; a picture that is not prepared yet is prepared first."""
        self._guarded_command(self._drag)

    def stop(self) -> None:
        """Stop reading, preparing, dragging or writing frames."""
        self._drag_after = False
        self.reader.stop()
        self._results.stop()
        self.session.stop()
        self.changed.emit()

    def go_to(self, state: int) -> None:
        """Show another state of the history; 0 is the picture as it was."""
        self.set_editing(True)
        self.session.go_to(state)

    def apply(self) -> None:
        """Put what is shown into the document."""
        if self.is_writing:
            return
        self._guarded_command(self._apply)

    def reopen(self) -> None:
        """Continue the edit that a result in this document was made with."""
        self._after_asking(self._reopen)

    def set_show_inverted(self, on: bool) -> None:
        """Show what the model can draw of the picture, instead of the edit."""
        self.show_inverted = on
        self._session_changed()

    def set_weight(self, key: int, weight: float) -> None:
        """Let a pair count more or less."""
        pairs = [Pair(p.key, p.handle, p.target, weight) if p.key == key else p for p in self.editor.pairs]
        self.editor.replace(pairs)
        self.markers.write(pairs)
        self.changed.emit()

    def clear_markers(self) -> None:
        """Remove all pairs; one undo step."""
        self.editor.replace(())
        self._store_markers()

    def close(self) -> None:
        """Forget the document: it was closed."""
        self._watch.stop()
        self.reader.stop()
        self._results.stop()
        self._placed.forget()
        self.editing = False
        self.session.close()

    # Gestures of the canvas

    def cancel_gesture(self) -> bool:
        """Take a gesture back, with what the picture has followed of it; whether there was one."""
        return bool(self.gestures.cancel())

    def _gesture_ended(self, changed: bool, waits: bool) -> None:
        self._drag_after = self._drag_after or waits  # once what goes on has come to its end
        if changed:
            self._store_markers()
        self.changed.emit()

    @guarded
    def delete_selected(self) -> None:
        """Remove the selected pair."""
        self.cancel_gesture()
        if self.editor.delete_selected():
            self._store_markers()

    @guarded
    def leave(self) -> None:
        """Esc: take a gesture back, or leave the editing mode."""
        if not self.cancel_gesture():
            self.set_editing(False)
        self.changed.emit()

    @guarded
    def follow_markers(self) -> None:
        """Take what undo, redo and Krita's own tools have made of layer, markers and results."""
        self._follow_layer()
        if self._placed.has_changed():
            self._session_changed()
        pairs = self.markers.read()
        if self.editor.held is None and pairs != self.editor.pairs:
            self.editor.replace(pairs)
            self.changed.emit()

    # Parts

    def _guarded_command(self, command: Callable[[], None]) -> None:
        try:
            command()
        except KritaDragError as failure:
            self.session.report(failure)
        self.changed.emit()

    def _prepare(self) -> None:
        source = self.document.source()
        box = self._part_to_send(source)
        layer = SourceLayer(self.document, source.node, box)

        def send(pixels: bytes, sums: Sequence[int]) -> None:
            settings = self._settings()
            self._source, layer.sums = layer, sums
            self._placed.begin_again()
            frame = wire.Frame("u1", (box.h, box.w, 4), pixels)
            self.session.prepare(
                frame, box, settings.model, settings.preset, settings.preview_px, self.editor.pairs, self._selected(box)
            )
            self.session.notes = source.notes
            self.set_editing(True)

        self.session.dismiss()
        self.reader.start(self.document.read(source.node, bands_of(box)), 4 * box.w * box.h, send, self.session.report)

    def _part_to_send(self, source: Source) -> Box:
        interest = self.document.selection()
        if interest is None:
            interest = box_around(end for pair in self.editor.pairs for end in (pair.handle, pair.target))
        part = part_to_send(source.bounds, interest, SEND_LIMIT_PX)
        if part is None:
            raise NoLayer(
                f"The picture is larger than {SEND_LIMIT_PX} pixels, and nothing says which part of it matters.",
                f"Select the part to edit, at most {SEND_LIMIT_PX} pixels wide and high, then prepare again.",
            )
        return part

    def _drag(self) -> None:
        if self.session.stage is Stage.EMPTY:
            self._prepare()
            self._drag_after = True
        else:
            self._require_layer()
            self.show_inverted = False
            self.set_editing(True)  # else nobody would see it
            self.session.drag(self.editor.pairs, drag_options(self._settings()), self._mask())

    def _selected(self, box: Box) -> bytes | None:
        """Return the selection inside a box: which face is meant; None if nothing there is selected."""
        try:
            return self.document.read_selection(box)
        except SelectionTooSmall:
            return None

    def _apply(self) -> None:
        self._require_layer()
        self.session.apply(FRAMES if self._settings().animation else 0)

    def _live_press(self) -> None:
        self._require_layer()
        self.show_inverted = False
        self.session.live_press(self.editor.pairs, drag_options(self._settings()), self._mask())

    def _mask(self) -> bytes | None:
        """Return the selection inside what was sent; None if nothing is selected."""
        box = self.session.box
        selected = self.document.selection()
        if selected is None:
            return None
        if selected.intersect(box).empty:
            raise SelectionTooSmall(
                "The selection lies outside the picture that was prepared.",
                "Select the part that may move, or select nothing.",
            )
        return self.document.read_selection(box)

    def _store_markers(self) -> None:
        self.markers.write(self.editor.pairs)
        self.changed.emit()

    def _session_changed(self) -> None:
        session = self.session
        self._placed.follow(session.token, on_canvas=self.editing and session.stage not in UNPREPARED)
        self.scene.follow(session, self.show_inverted, self._placed.shows(session.token))
        if session.stage is Stage.READY:
            self._is_ready()
        elif session.stage is Stage.EMPTY and self.reader.fraction is None:  # it failed
            self._drag_after = False
        self.changed.emit()

    def _is_ready(self) -> None:
        """Do what was to follow."""
        self._placed.reopened(self.session.token)
        if self._drag_after:
            self._drag_after = False
            if any(not pair.is_anchor for pair in self.editor.pairs):
                self._guarded_command(self._drag)

    def _reopen(self) -> None:
        kept, result = self._results.reopen()
        self._drag_after = False
        self.reader.stop()
        source, box = self.document.find(kept.source), kept.box
        if source is not None:
            now = source.position()
            x, y = kept.at or (now.x(), now.y())
            box = box.shifted(now.x() - x, now.y() - y)
        self._source = SourceLayer(self.document, source, box) if source is not None else None
        self.set_editing(True)
        self.session.restore(kept.file, box, kept.model, self.editor.pairs)
        self._placed.reopen(result, source)

    # Results

    @guarded
    def _saved(self, patch: Patch, file: bytes | None) -> None:
        frames, self.session.shown.frames = self.session.shown.frames, []
        if frames:
            self._file = file
            self._results.add_frames([None, *frames, patch], self._result_name())
        else:
            self._guarded_command(lambda: self._insert(patch, file))

    def _insert(self, patch: Patch, file: bytes | None) -> None:
        painted = self._source is not None and self._source.is_painted_on(self.session.box, patch.box)
        mask, before = self._settings().separate_mask, self._placed.node
        result, source = self._results.add_layer(self._source_node, self._result_name(), patch, mask, before)
        self._remember(result, source, file)
        if painted:
            self.session.note("The layer was painted on since it was prepared; the result shows it as it was then.")

    def _follow_layer(self, look_again: bool = False) -> bool:
        """Go with the layer where it was moved or cropped to; whether it is still the picture that was prepared."""
        if self._source is None or self._source_node is None or self.session.stage is not Stage.READY:
            return True
        shift = self._source.follow(look_again)
        if shift is not None and (shift.x or shift.y):
            self.session.shift(shift.x, shift.y)
        return shift is not None

    @property
    def _source_node(self) -> Any | None:
        """The layer that is edited, None if it is gone."""
        return self._source.node if self._source is not None and self._source.is_there else None

    def _require_layer(self) -> None:
        if not self._follow_layer(look_again=True):
            raise LayerChanged(
                "The picture has been scaled or turned since it was prepared.", "Undo that, or prepare it again."
            )

    def _remember(self, result: Any, source: Any | None, file: bytes | None) -> None:
        """Leave the canvas to the result that is in the document now, and keep beside it what reopens the edit."""
        self._placed.add(result, self.session.token, source)
        if file is not None and source is not None:
            at = self._source.position if self._source is not None and self._source.is_there else None
            kept = Kept(self.session.model, source.uniqueId().toString(), self.session.box, file, at)
            self.document.remember(result, kept.to_bytes())
        QtCore.QTimer.singleShot(2 * ACTIVATION_MS, guarded(lambda: self._back_to_source(source, result)))
        self.set_editing(False)
        self._session_changed()  # points may not have been placed at all

    def _back_to_source(self, source: Any | None, result: Any) -> None:
        """Make the source the active layer again, so that the next preparation does not read the result."""
        active = self.document.krita.activeNode()
        there = source is not None and self.document.holds(source)
        if there and active is not None and active.uniqueId() == result.uniqueId():
            self.document.krita.setActiveNode(source)

    @guarded
    def _frames_done(self, layer: Any | None, failure: KritaDragError | None) -> None:
        if failure is not None:
            self.session.report(failure)
            return
        self._remember(layer, self._source_node, self._file)
        self._file = None

    def _result_name(self) -> str:
        count = sum(not pair.is_anchor for pair in self.editor.pairs)
        return f"[Drag] {self.session.model} {count} point{'s' if count != 1 else ''}"
