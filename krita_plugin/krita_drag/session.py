"""One edit of one document, as a state machine: no widgets, no Krita, no sockets.

    EMPTY ─prepare─> OPENING ──> PREPARING ──> READY ─drag─> DRAGGING ──> READY ─apply─> APPLYING ──> READY
      ^                 │            │          │  └─press─> LIVE ─release─┘ ^
      └──── failed ─────┴────────────┘          └─undo, redo─> STEPPING ─────┘          any ─close─> CLOSED

Commands send messages, events of the engine come in through `handle`, and whoever shows the edit is told by `changed`.
Points inside are document pixels; on the wire they count from the corner of the part that was sent.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

from .drag_messages import Gesture, drag_message, mask_frame
from .edit_state import STOPPABLE, DragOptions, Patch, Shown, Stage
from .geometry import Box
from .pairs import Pair
from .point_map import Places, PointMap
from .wire import messages as wire
from .wire.errors import BadPoints, KritaDragError

ORDER = "BGRA"  # as Krita and Qt keep pixels


class EditSession:
    """The state machine.

    Args:
        send: hands a message to the engine; repeats, acknowledgements and credit are its business.
        changed: called after every change.
        saved: called with the patch and the session's file when `apply` has both; file None: it could not be had.

    Attributes:
        stage: what is going on.
        shown: what there is to see.
        problem: the latest failure, until the next command.
        notes: what the artist should know.
        model: name of the model.
    """

    def __init__(
        self,
        send: Callable[[wire.Message], None],
        changed: Callable[[], None],
        saved: Callable[[Patch, bytes | None], None],
    ) -> None:
        self._send, self._changed, self._saved = send, changed, saved
        self.sid = wire.new_id()
        self.stage = Stage.EMPTY
        self.shown = Shown()
        self.problem: KritaDragError | None = None
        self.notes: tuple[str, ...] = ()
        self.model = ""
        self._map = PointMap(Box(0, 0, 0, 0))
        self._job: str | None = None  # id of the request that is being answered
        self._after_open: wire.Message | None = None
        self._wanted_state: int | None = None
        self._gesture: Gesture | None = None
        self._unsettled = False  # a drag or gesture began whose state is not known yet
        self._moments: list[float] = []  # of the way, whose pictures `apply` still has to fetch

    @property
    def box(self) -> Box:
        """The part of the document that the engine has."""
        return self._map.box

    @property
    def dragged(self) -> frozenset[int]:
        """Keys of the pairs that the engine was given with the latest drag or press."""
        return self._map.keys

    @property
    def places(self) -> Places:
        """Where the handles are in the state shown."""
        return self._map.places

    @property
    def token(self) -> int | None:
        """Name of the state shown, which no other one has or had; None while a drag goes on."""
        return self._map.token

    # Commands

    def prepare(
        self,
        image: wire.Frame,
        box: Box,
        model: str,
        preset: str,
        preview_px: int = 512,
        pairs: Sequence[Pair] = (),
        selection: bytes | None = None,
    ) -> None:
        """Send a picture and let the model find it; replaces what was prepared before.

        Args:
            image: the picture.
            box: where it lies in the document.
            model: name of the model.
            preset: how thoroughly it searches.
            preview_px: longest side of previews; 0 for none.
            pairs: what is going to be dragged; of several faces, one with them is meant.
            selection: as large as the box; of several faces, one in it is meant.
        """
        self._forget(box, model)
        opening = wire.Open(id=wire.new_id(), sid=self.sid, model=model, order=ORDER, image=image)
        self._after_open = wire.Invert(
            id=wire.new_id(),
            sid=self.sid,
            preset=preset,
            preview_px=preview_px,
            points=self._map.points(pairs),
            selection=mask_frame(selection, box),
        )
        self._begin(Stage.OPENING, opening)

    def adopt(self, sid: str, box: Box, model: str, corners: Sequence[Sequence[float]]) -> None:
        """Go on with a session that the engine has opened already, with a picture that it drew itself."""
        self._forget(box, model)
        self.sid, self.stage = sid, Stage.READY
        self.shown.corners = tuple(self._map.to_document(corner) for corner in corners)
        self._changed()

    def restore(self, file: bytes, box: Box, model: str, pairs: Sequence[Pair] = ()) -> None:
        """Continue an edit that was saved; if these are its pairs, their handles are where they were left."""
        self._forget(box, model)
        self._map.begin(pairs)
        frame = wire.Frame("u1", (len(file),), file)
        self._begin(Stage.OPENING, wire.Restore(id=wire.new_id(), sid=self.sid, session=frame, order=ORDER))

    def drag(self, pairs: Sequence[Pair], options: DragOptions, mask: bytes | None = None) -> None:
        """Move the handles of the state shown to their targets.

        Raises:
            BadPoints: there is nothing to move.
        """
        if self.stage is not Stage.READY:
            return
        if not any(not pair.is_anchor for pair in pairs):
            raise BadPoints("There is nothing to pull yet.", "Press on the picture and pull to where it should go.")
        points, region = self._map.begin(pairs), mask_frame(mask, self.box)
        message = drag_message(self.sid, points, pairs, options, region, onward=self.shown.undos > 0)
        self._unsettled = True
        self._begin(Stage.DRAGGING, message)

    def live_press(self, pairs: Sequence[Pair], options: DragOptions, mask: bytes | None = None) -> None:
        """Begin to follow a gesture."""
        if self.stage is not Stage.READY:
            return
        self._gesture = Gesture(self.sid, options)
        points, region = self._map.begin(pairs), mask_frame(mask, self.box)
        self._unsettled = True
        self._begin(Stage.LIVE, self._gesture.message("press", points, pairs, region))

    def live_move(self, pairs: Sequence[Pair]) -> None:
        """Follow the gesture: the newest position counts."""
        self._continue_gesture("move", pairs)

    def live_release(self, pairs: Sequence[Pair]) -> None:
        """End the gesture; the engine polishes and answers."""
        self._continue_gesture("release", pairs)

    def live_cancel(self) -> None:
        """Take the gesture back, with what the picture has followed of it."""
        if self.stage is Stage.LIVE:
            self._wanted_state = self.shown.undos
            self.stop()

    def stop(self) -> None:
        """Stop what is going on; a drag keeps the state it has reached."""
        if self.stage in STOPPABLE and self._job is not None:
            self._after_open = None
            self._send(wire.Cancel(re=self._job, sid=self.sid))

    def go_to(self, state: int) -> None:
        """Show another state of the history; 0 is the picture as it was opened."""
        last = self.shown.undos + self.shown.redos
        if self.stage is not Stage.READY or not 0 <= state <= last:
            return
        self._wanted_state = state
        self._step_towards()

    def apply(self, frames: int = 0) -> None:
        """Get what a result needs, then call `saved`.

        Args:
            frames: pictures between the start and the end of the way that are wanted too, in `shown.frames`.
        """
        if self.stage is not Stage.READY:
            return
        if self.shown.patch is None:
            self._fail(_nothing_changed())
            return
        self.shown.frames, self.notes = [], ()
        self._moments = [number / (frames + 1) for number in range(1, frames + 1)]
        if self.shown.patch_is_full:
            self._fetch_the_rest()
        else:
            self._begin(Stage.APPLYING, wire.Render(id=wire.new_id(), sid=self.sid))

    def _fetch_the_rest(self) -> None:
        """Ask for the next picture of the way, and after all of them for the session's file."""
        done, left = len(self.shown.frames), len(self._moments)
        if done < left:
            request: Any = wire.Render(id=wire.new_id(), sid=self.sid, at=self._moments[done])
        else:
            request = wire.Save(id=wire.new_id(), sid=self.sid)
        self._begin(Stage.APPLYING, request, keep_notes=True)
        self.shown.step, self.shown.of = done, left

    def close(self) -> None:
        """End the edit, whatever it is doing: its document is gone or it is not wanted any more."""
        if self.stage is Stage.CLOSED:
            return
        self.stop()
        if self.stage is not Stage.EMPTY:
            self._send(wire.Close(id=wire.new_id(), sid=self.sid))
        self.stage, self._job = Stage.CLOSED, None
        self.shown = Shown()
        self._changed()

    def shift(self, dx: int, dy: int) -> None:
        """The layer that was sent was moved by (dx, dy), document pixels: what is shown goes with it."""
        self._map.shift(dx, dy)
        self.shown.shift(dx, dy)
        self._changed()

    def note(self, sentence: str) -> None:
        """Tell the artist something that is no failure."""
        self.notes = (*self.notes, sentence)
        self._changed()

    def report(self, failure: KritaDragError) -> None:
        """Show a failure that happened outside, such as an empty selection."""
        self._fail(failure)

    def dismiss(self) -> None:
        """Take the shown failure or note away."""
        if self.problem is None:
            self.notes = ()
        self.problem = None
        self._changed()

    # Events

    def handle(self, event: wire.Event) -> None:
        """Take an event of the engine; what does not belong to the present request is ignored."""
        if self._job is None or getattr(event, "re", None) != self._job:
            return
        if isinstance(event, wire.Progress):
            self._progress(event)
        elif isinstance(event, wire.Preview):
            self._preview(event)
        elif isinstance(event, wire.Done):
            self._done(event)
        elif isinstance(event, wire.Cancelled):
            self._cancelled(event)
        elif isinstance(event, wire.Error):
            self._failed(event.exception())
        self._changed()

    def _progress(self, event: wire.Progress) -> None:
        self.shown.phase, self.shown.left_s = event.phase, event.left_s
        if self.stage is not Stage.APPLYING:  # which counts requests
            self.shown.step, self.shown.of = event.step, event.of
        self.shown.distance_px = event.distance_px if event.distance_px is not None else self.shown.distance_px
        self._map.track(event.handles, event.lost)

    def _preview(self, event: wire.Preview) -> None:
        patch = self._map.to_patch(event.patch, event.rect)
        if self.stage in (Stage.OPENING, Stage.PREPARING):
            self.shown.inverted = patch
            return
        self.shown.patch, self.shown.patch_is_full = patch, False
        self._map.track(event.handles, event.lost)

    def _done(self, event: wire.Done) -> None:
        stage, self._job = self.stage, None
        self.notes = (*self.notes, *(note for note in event.notes if note not in self.notes))
        self._take_corners(event)
        if stage is Stage.OPENING and self._after_open is not None:
            following, self._after_open = self._after_open, None
            self._begin(Stage.PREPARING, following, keep_notes=True)
        elif stage is Stage.OPENING and event.undos is None:  # it was stopped, but the engine was faster
            self._abandon()
        elif stage is Stage.APPLYING and event.session is not None:
            self._finish_apply(bytes(event.session.data))
        elif stage is Stage.APPLYING and self.shown.patch_is_full and event.rect is not None:
            self.shown.frames.append(self._map.to_patch(event.patch, event.rect))
            self._fetch_the_rest()
        elif stage is Stage.APPLYING:
            self._take_state(event)
            if self.shown.patch is None:
                self.stage, self.problem = Stage.READY, _nothing_changed()
            else:
                self._fetch_the_rest()
        else:
            self.stage = Stage.READY
            if stage is not Stage.PREPARING:
                self._take_state(event, made=stage is not Stage.STEPPING)
            self._step_towards()

    def _cancelled(self, event: wire.Cancelled) -> None:
        stage, self._job = self.stage, None
        if stage is Stage.OPENING or (stage is Stage.PREPARING and not event.corners):
            self._abandon()
            return
        self.stage = Stage.READY
        self.notes = (*self.notes, *event.notes)
        if stage is Stage.PREPARING:  # what was found until now can be dragged
            self._take_corners(event)
            return
        if event.patch is None:  # stopping is quick, drawing may not be: ask for the picture of what was reached
            self._ask_for_picture()
        else:
            self._take_state(event)
            self._step_towards()

    def _failed(self, failure: KritaDragError) -> None:
        stage, self._job, self._after_open, self._wanted_state = self.stage, None, None, None
        lacks_only_file = self.shown.patch_is_full and len(self.shown.frames) == len(self._moments)
        if stage is Stage.APPLYING and lacks_only_file:
            self.notes = (f"The result cannot be reopened later: {failure}",)
            self._finish_apply(None)
            return
        if stage in (Stage.OPENING, Stage.PREPARING) or failure.code == "no-session":
            self.stage = Stage.EMPTY
            self.shown = Shown()
        elif stage in (Stage.DRAGGING, Stage.LIVE) and self.shown.patch is not None and not self.shown.patch_is_full:
            self._ask_for_picture()  # what is shown is a preview of a state that nobody has
        else:
            self.stage = Stage.READY
            if self._unsettled:
                self._unsettled = False
                self._map.show(self.shown.undos)
        self.problem = failure

    # Parts

    def _forget(self, box: Box, model: str) -> None:
        """Begin a new session; the engine forgets the old one."""
        if self._job is not None:
            self._send(wire.Cancel(re=self._job, sid=self.sid))
        if self.stage is not Stage.EMPTY:
            self._send(wire.Close(id=wire.new_id(), sid=self.sid))
        self.sid, self._job, self._after_open, self.model = wire.new_id(), None, None, model
        self.shown, self._map, self._wanted_state = Shown(), PointMap(box), None
        self._unsettled = False

    def _abandon(self) -> None:
        """Go back to the beginning: nothing was prepared."""
        self._send(wire.Close(id=wire.new_id(), sid=self.sid))
        self.stage = Stage.EMPTY

    def _ask_for_picture(self) -> None:
        """Have the engine draw the state that it has."""
        self._begin(Stage.STEPPING, wire.Render(id=wire.new_id(), sid=self.sid), keep_notes=True)

    def _begin(self, stage: Stage, request: Any, keep_notes: bool = False) -> None:
        self.stage, self._job, self.problem = stage, request.id, None
        self.shown.step, self.shown.of, self.shown.left_s = 0, 0, None
        self.shown.phase = ""
        if not keep_notes:
            self.notes = ()
        self._send(request)
        self._changed()

    def _fail(self, failure: KritaDragError) -> None:
        self.problem = failure
        self._changed()

    def _finish_apply(self, file: bytes | None) -> None:
        self.stage = Stage.READY
        assert self.shown.patch is not None
        self._saved(self.shown.patch, file)

    def _step_towards(self) -> None:
        """Ask for the next state on the way to the wanted one."""
        wanted, now = self._wanted_state, self.shown.undos
        if wanted is None or wanted == now or (wanted > now and not self.shown.redos):
            self._wanted_state = None
            return
        kind = wire.Undo if wanted < now else wire.Redo
        self._begin(Stage.STEPPING, kind(id=wire.new_id(), sid=self.sid))

    def _take_corners(self, event: wire.Done | wire.Cancelled) -> None:
        if event.corners:
            self.shown.corners = tuple(self._map.to_document(corner) for corner in event.corners)

    def _take_state(self, event: wire.Done | wire.Cancelled, made: bool = False) -> None:
        """Show the state that an answer brought; `made`: a drag has led to it, or it was restored."""
        before, unsettled, self._unsettled = self.shown.undos, self._unsettled, False
        self.shown.undos = event.undos if event.undos is not None else self.shown.undos
        self.shown.redos = event.redos if event.redos is not None else self.shown.redos
        self.shown.distance_px = event.distance_px
        self.shown.patch = self._map.to_patch(event.patch, event.rect) if event.patch and event.rect else None
        self.shown.patch_is_full = self.shown.patch is not None
        if made or (unsettled and self.shown.undos > before):
            self._map.reach(self.shown.undos)
        else:  # a drag that was stopped may have taken the place of the oldest state, or have changed nothing
            self._map.show(self.shown.undos, renewed=unsettled and self.shown.undos == before)
        if self.shown.undos > 0:
            self._map.track(event.handles, event.lost)

    def _continue_gesture(self, phase: str, pairs: Sequence[Pair]) -> None:
        if self.stage is Stage.LIVE and self._gesture is not None:
            self._send(self._gesture.message(phase, self._map.points(pairs), pairs))


def _nothing_changed() -> BadPoints:
    return BadPoints("Nothing has changed yet.", "Drag first, then apply.")
