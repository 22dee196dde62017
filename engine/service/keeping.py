"""A session on the disk: what it was opened with, where it stands, and where a job that runs has come to.

opening.sealed     the request that opened it, with the picture
inverted.sealed    for pictures: the square that the model sees, and its latent
search.sealed      the search for a photo that runs; see `engine.service.search_file`
state.sealed       the states that undo and redo go through; written when a request ends
progress.sealed    the newest step of the drag that runs; written every half second, small
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import safetensors.torch
import torch
from krita_drag.wire.codec import decode, encode
from krita_drag.wire.errors import NoSession, ProtocolError
from krita_drag.wire.messages import Open, Restore
from numpy.typing import NDArray
from torch import Tensor

from engine.align import crop_from_json
from engine.drag import DragStep
from engine.edit_history import EditState
from engine.images import Picture
from engine.inversion.tuned import TunedModel, tuned_model
from engine.models import Model
from engine.rendering import Region
from engine.service.files import Damaged, read_sealed, write_sealed
from engine.service.search_file import SearchFile
from engine.session import Session
from engine.tensor_files import to_safetensors

_OPENING, _INVERTED, _STATE, _PROGRESS = "opening.sealed", "inverted.sealed", "state.sealed", "progress.sealed"
_DELTA = "delta."


@dataclass(frozen=True)
class Progress:
    """Where a drag that was cut short can go on.

    Attributes:
        request: its id.
        seq: number of its latest event.
        steps: steps made.
        event: the state it had reached.
    """

    request: str
    seq: int
    steps: int
    event: DragStep


@dataclass(frozen=True)
class Ended:
    """The latest request that ended.

    Attributes:
        request: its id; empty when there was none.
        kind: "done" or "cancelled".
        fields: of its event, without frames.
    """

    request: str = ""
    kind: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


class Keeper:
    """Writes and reads the folder of one session.

    Args:
        folder: made by the gateway before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.search = SearchFile(folder)
        self._packed: WeakKeyDictionary[Region, bytes] = WeakKeyDictionary()

    def begin(self, message: Open | Restore) -> None:
        """Start anew with another picture.

        Raises:
            OSError: it cannot be written.
        """
        self.discard_progress()
        self.search.discard()
        for name in (_STATE, _INVERTED):
            (self._folder / name).unlink(missing_ok=True)
        write_sealed(self._folder / _OPENING, [bytes(part) for part in encode(message)])

    def opening(self) -> Open | Restore:
        """Return the message that opened the session.

        Raises:
            NoSession: it is not there any more.
        """
        try:
            message = decode(read_sealed(self._folder / _OPENING))
        except (OSError, Damaged, ProtocolError) as error:
            raise NoSession("The engine has lost this session.", "Prepare the picture again.") from error
        assert isinstance(message, Open | Restore)
        return message

    def write_inverted(self, session: Session) -> None:
        """Keep what the inversion has found.

        Raises:
            OSError: it cannot be written.
        """
        head = {"crop": asdict(session.crop), "notes": list(session.opening_notes)}
        deltas = session.model.deltas if isinstance(session.model, TunedModel) else {}
        tensors = {f"{_DELTA}{name}": delta for name, delta in deltas.items()} | {"w_start": session.w_start}
        write_sealed(self._folder / _INVERTED, [json.dumps(head).encode(), to_safetensors(tensors)])
        self.search.discard()

    def read_inverted(self, picture: Picture, shared: Model) -> Session | None:
        """Bring a session back as its inversion left it; None when there was none."""
        try:
            head, data = read_sealed(self._folder / _INVERTED)
            found = json.loads(head)
        except (OSError, Damaged):
            return None
        tensors = safetensors.torch.load(data)
        crop = replace(crop_from_json(found["crop"]), margin=shared.generator.margin)  # old files lack some
        like = shared.generator.w_mean
        deltas = {name.removeprefix(_DELTA): one.to(like.device) for name, one in tensors.items() if name != "w_start"}
        model = tuned_model(shared, deltas)
        w_start = tensors["w_start"].to(like)
        return Session(model, picture, crop, w_start, generated=False, notes=found["notes"])

    def write_state(self, session: Session, ended: Ended) -> None:
        """Keep where the session stands after a request.

        Raises:
            OSError: it cannot be written.
        """
        blobs: list[bytes] = []
        regions: list[Region] = []
        states = []
        for state in session.edits.states[1:]:
            if state.region is not None and not any(state.region is one for one in regions):
                regions.append(state.region)
            index = next((i for i, one in enumerate(regions) if one is state.region), None)
            assert state.event is not None
            states.append({"event": state.event.to_json(), "region": index})
            blobs.append(_to_bytes(state.w_plus))
        head = {
            "shown": session.edits.shown,
            "states": states,
            "shape": list(session.w_start.shape),
            "regions": [list(region.document.shape) for region in regions],
            "ended": asdict(ended),
        }
        packed = [self._pack(region) for region in regions]
        write_sealed(self._folder / _STATE, [json.dumps(head).encode(), b"".join(blobs), *packed])
        self.discard_progress()

    def _pack(self, region: Region) -> bytes:
        """Compress a region, once for as long as it lives: a state is written after every drag, with all before it."""
        if region not in self._packed:
            self._packed[region] = zlib.compress(np.round(region.document * 255).astype(np.uint8).tobytes(), 1)
        return self._packed[region]

    def read_state(self, session: Session) -> Ended:
        """Bring a session to where it stood; returns the latest request that ended."""
        try:
            head, blob, *packed = read_sealed(self._folder / _STATE)
            found = json.loads(head)
        except (OSError, Damaged):
            return Ended()
        regions = [session.region(_unpack(data, shape)) for data, shape in zip(packed, found["regions"], strict=True)]
        count = len(found["states"])
        latents = np.frombuffer(blob, np.float32).reshape(count, *found["shape"]) if count else np.zeros(0)
        states = []
        for latent, kept in zip(latents, found["states"], strict=True):
            w_plus = torch.from_numpy(latent.copy()).to(session.w_start)
            region = None if kept["region"] is None else regions[kept["region"]]
            states.append(EditState(w_plus, DragStep.from_json(kept["event"], w_plus), region))
        session.edits.restore(states, found["shown"])
        return Ended(**found["ended"])

    def ended(self) -> Ended:
        """Return the latest request that ended, without loading the session."""
        try:
            return Ended(**json.loads(read_sealed(self._folder / _STATE)[0])["ended"])
        except (OSError, Damaged):
            return Ended()

    def write_progress(self, progress: Progress) -> None:
        """Keep where a drag is, so that a crash costs no more than the time since.

        Raises:
            OSError: it cannot be written.
        """
        event = progress.event
        head = {
            "request": progress.request,
            "seq": progress.seq,
            "steps": progress.steps,
            "event": event.to_json(),
            "shape": list(event.w_plus.shape),
        }
        write_sealed(self._folder / _PROGRESS, [json.dumps(head).encode(), _to_bytes(event.w_plus)])

    def read_progress(self, request: str, like: Tensor) -> Progress | None:
        """Return where a drag was; None when it has not begun, or what is there is damaged.

        Args:
            request: its id.
            like: tensor whose device and type the latent gets.
        """
        try:
            head, latent = read_sealed(self._folder / _PROGRESS)
            found = json.loads(head)
        except (OSError, Damaged):
            return None
        if found["request"] != request:
            return None
        w_plus = _from_bytes(latent, found["shape"]).to(like)
        return Progress(request, found["seq"], found["steps"], DragStep.from_json(found["event"], w_plus))

    def discard_progress(self) -> None:
        """Forget where a drag was: it is over."""
        with contextlib.suppress(OSError):
            (self._folder / _PROGRESS).unlink()


def _to_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().float().contiguous().numpy().tobytes()


def _from_bytes(data: bytes, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, np.float32).reshape(tuple(shape)).copy())


def _unpack(data: bytes, shape: Sequence[int]) -> NDArray[np.float32]:
    mask = np.frombuffer(zlib.decompress(data), np.uint8).reshape(tuple(shape))
    return mask.astype(np.float32) / np.float32(255)
