"""Sessions in files: one safetensors file with JSON in its header; format in docs/session-files.md.

Reading one runs no code of its writer: safetensors holds numbers only, the picture is a PNG that passes the same checks
as any other, and everything else is compared with what the model says of itself.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from krita_drag.wire.errors import BadSession, KritaDragError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine import __version__
from engine.align import Crop, crop_from_json
from engine.drag import DragStep
from engine.edit_history import EditState
from engine.images import Picture, atomic_output, load_picture, save_picture
from engine.inversion.tuned import TunedModel, tuned_model
from engine.model_folder import read_record
from engine.models import Model
from engine.rendering import Region
from engine.session import Session
from engine.tensor_files import to_safetensors

FORMAT, VERSION = "krita-drag session", 1
SUFFIX = ".safetensors"
_DELTA, _STATE, _REGION = "delta.", "state.", "region."


def save_session(session: Session, path: Path) -> None:
    """Write a session all or nothing: picture, square, latents, tuned weights, regions and what the drags told.

    Raises:
        BadOutput: it cannot be written.
    """
    regions = [state.region for state in session.edits.states if state.region is not None]
    regions = [region for i, region in enumerate(regions) if region not in regions[:i]]
    tensors = {f"{_STATE}{i}": state.w_plus for i, state in enumerate(session.edits.states)}
    tensors |= {f"{_REGION}{i}": _bytes(region.document * 255) for i, region in enumerate(regions)}
    tensors["picture"] = torch.frombuffer(bytearray(_to_png(session.picture)), dtype=torch.uint8)
    if isinstance(session.model, TunedModel):
        tensors |= {f"{_DELTA}{name}": delta for name, delta in session.model.deltas.items()}
    told = {
        "model": {"name": session.model.info.name, "sha256": _fingerprint(session.model)},
        "krita_drag": __version__,
        "crop": asdict(session.crop),
        "generated": session.generated,
        "notes": list(session.opening_notes),
        "picture_notes": list(session.picture.notes),
        "shown": session.edits.shown,
        "states": [_describe(state, regions) for state in session.edits.states],
    }
    header = {"format": FORMAT, "version": str(VERSION), "session": json.dumps(told, allow_nan=True)}
    with atomic_output(path) as temporary:
        temporary.write_bytes(to_safetensors(tensors, header))


class ModelSource(Protocol):
    """Where models come from: `engine.models.ModelStore`, or what keeps them in memory."""

    def load(self, name: str, device: torch.device | str) -> Model:
        """Return a model on a device."""
        ...


def load_session(path: Path, store: ModelSource, device: torch.device | str = "cpu") -> Session:
    """Read a session; the result shows what it showed when it was written.

    Args:
        path: of the file.
        store: where its model is.
        device: to compute on.

    Raises:
        BadSession: the file is missing, damaged, of another kind, or made with another file of its model.
        ModelNotFound, ModelCorrupt: its model is not here.
    """
    told, tensors = _read(path)
    try:
        name, sha256 = str(told["model"]["name"]), told["model"]["sha256"]
    except (LookupError, TypeError) as error:
        raise _damaged(path, "it does not say which model it belongs to") from error
    model = store.load(name, device)
    if _fingerprint(model) != sha256:
        raise BadSession(
            f"The session {path} was made with another model called “{name}”.",
            "Install the same model again, or open the picture anew.",
        )
    try:
        return _restore(told, tensors, model)
    except (KritaDragError, LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise _damaged(path, _first_line(error)) from error


def describe_session(path: Path) -> dict[str, Any]:
    """What a session file tells about itself, as in docs/session-files.md, without loading its model.

    Raises:
        BadSession: the file is missing, damaged or of another kind.
    """
    told, tensors = _read(path)
    sizes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    return told | {"tensors": sizes}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise BadSession(f"The session {path} does not exist.", "Check the path.")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise BadSession(f"{path} is not a session of krita-drag.", "Give a file that `--session` has written.")
            if header.get("version") != str(VERSION):
                raise BadSession(
                    f"The session {path} has the format {header.get('version')}, this release reads {VERSION}.",
                    "Use the release that wrote it, or open the picture anew.",
                )
            told = json.loads(header["session"])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, LookupError, ValueError, RecursionError) as error:
        raise _damaged(path, _first_line(error)) from error
    if not isinstance(told, dict):
        raise _damaged(path, "its description is no object")
    return told, tensors


def _restore(told: Mapping[str, Any], tensors: Mapping[str, Tensor], base: Model) -> Session:
    generator = base.generator
    deltas = {name.removeprefix(_DELTA): delta for name, delta in tensors.items() if name.startswith(_DELTA)}
    if not all(torch.isfinite(delta).all() for delta in deltas.values()):
        raise ValueError("a weight is not a number")
    model = tuned_model(base, {name: delta.to(generator.w_mean.device) for name, delta in deltas.items()})
    picture = _from_png(bytes(tensors["picture"].numpy()), told["picture_notes"])
    latents = [_latent(tensors[f"{_STATE}{i}"], base) for i in range(len(told["states"]))]
    crop = _crop(told["crop"], base)
    notes = [str(note) for note in told["notes"]]
    session = Session(model, picture, crop, latents[0], generated=told["generated"] is True, notes=notes)
    numbers = sorted({state["region"] for state in told["states"]} - {None})
    regions = {number: _region(session, tensors[f"{_REGION}{int(number)}"]) for number in numbers}
    states = [_recall(state, w_plus, regions) for state, w_plus in zip(told["states"][1:], latents[1:], strict=True)]
    shown = int(told["shown"])
    if not 0 <= shown <= len(states):
        raise ValueError(f"there is no state {shown}")
    session.edits.restore(states, shown)
    return session


def _latent(tensor: Tensor, model: Model) -> Tensor:
    generator = model.generator
    if tensor.shape != (1, generator.num_ws, generator.w_dim) or not torch.isfinite(tensor).all():
        raise ValueError("a latent does not fit the model")
    return tensor.to(generator.w_mean)


def _crop(told: Mapping[str, Any], model: Model) -> Crop:
    crop = crop_from_json(told)
    if crop.resolution != model.generator.resolution or crop.margin not in (0, model.generator.margin):
        raise ValueError("the square does not fit the model")
    return replace(crop, margin=model.generator.margin)  # earlier versions forgot those of squares placed by hand


def _region(session: Session, mask: Tensor) -> Region:
    if mask.dtype != torch.uint8 or tuple(mask.shape) != session.picture.rgb.shape[:2]:
        raise ValueError("a region does not fit the picture")
    region = session.region(mask.numpy().astype(np.float32) / np.float32(255))
    assert region is not None
    return region


def _describe(state: EditState, regions: Sequence[Region]) -> dict[str, Any]:
    region = next((i for i, one in enumerate(regions) if one is state.region), None)
    if state.event is None:
        return {"region": region, "event": None}
    return {"region": region, "event": state.event.to_json()}


def _recall(told: Mapping[str, Any], w_plus: Tensor, regions: Mapping[Any, Region]) -> EditState:
    step = DragStep.from_json(told["event"], w_plus)
    return EditState(w_plus, step, None if told["region"] is None else regions[told["region"]])


def _fingerprint(model: Model) -> str:
    """SHA-256 of the model's weights as it was noted when they were installed."""
    return read_record(model.path.parent).sha256


def _bytes(values: Any) -> Tensor:
    return torch.from_numpy(np.round(values).astype(np.uint8))


def _to_png(picture: Picture) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_picture(Path(folder) / "picture.png", picture)
        return (Path(folder) / "picture.png").read_bytes()


def _from_png(data: bytes, notes: Sequence[Any]) -> Picture:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        path.write_bytes(data)
        try:
            picture = load_picture(path)
        except KritaDragError as error:
            raise ValueError("its picture cannot be read") from error
    return replace(picture, notes=tuple(map(str, notes)))


def _damaged(path: Path, reason: str) -> BadSession:
    return BadSession(f"The session {path} is damaged ({reason}).", "Open the picture anew.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
