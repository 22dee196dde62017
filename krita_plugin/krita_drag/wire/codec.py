"""Messages to bytes and back: `[header, frame, frame, …]`, the header JSON in UTF-8, the frames raw.

Whatever a peer sends, `decode` returns a valid message or raises a `ProtocolError`; it never copies a frame.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from .errors import BadFrame, ProtocolError, TooLarge, VersionMismatch
from .fields import Frame, Name
from .messages import BY_TYPE, SPEAKS, VERSION, Message
from .vocabulary import ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .fields import Buffer

MAX_HEADER = 64 << 10  # bytes
MAX_FRAMES = 8
MAX_FRAME = 64 << 20  # bytes
MAX_SEALED = MAX_FRAME + 64  # bytes, as ZMQ_MAXMSGSIZE counts: CURVE adds 33 to each frame
MAX_TOTAL = 128 << 20  # bytes of all frames of a message
MAX_DEPTH = 8


def encode(message: Message) -> list[Buffer]:
    """Return the parts of a message.

    Raises:
        TooLarge: it is beyond the limits.
    """
    header: dict[str, Any] = {"v": VERSION, "t": message.type, **message.to_plain()}
    frames = message.frames()
    if frames:
        header["frames"] = [
            {"name": name, "dtype": frame.dtype, "shape": list(frame.shape)} for name, frame in frames.items()
        ]
    first = json.dumps(header, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    if len(first) > MAX_HEADER:
        raise TooLarge(f"The header of “{message.type}” has {len(first)} bytes; {MAX_HEADER} are allowed.")
    _check_sizes(list(frames.values()))
    return [first, *(frame.data for frame in frames.values())]


def decode(parts: Sequence[Buffer]) -> Message:
    """Return the message that the parts hold.

    Args:
        parts: header and frames, as `encode` returns them; the frames of the message are views of these.

    Raises:
        BadFrame: they hold no message of the specification.
        TooLarge: a limit is exceeded.
        VersionMismatch: the peer speaks a version that this side does not.
        All of them say in `re` which request they refuse, when that could be read.
    """
    if not 1 <= len(parts) <= 1 + MAX_FRAMES:
        raise BadFrame(f"A message has 1 to {1 + MAX_FRAMES} parts, not {len(parts)}.")
    header = _read_header(parts[0])
    try:
        kind = _find_kind(header)
        given = {**header, **_read_frames(header.get("frames", []), parts[1:])}
        message: Message = kind.from_plain(given, f"“{kind.type}”")
    except ProtocolError as refused:
        with contextlib.suppress(BadFrame):
            refused.re = ID.check(header.get("id"), "id")  # so that the answer can end the request
        raise
    return message


def _read_header(part: Buffer) -> dict[str, Any]:
    view = memoryview(part)
    if view.nbytes > MAX_HEADER:
        raise TooLarge(f"A header has {view.nbytes} bytes; {MAX_HEADER} are allowed.")
    try:
        header = json.loads(bytes(view).decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadFrame("A header is not JSON.") from None
    if not isinstance(header, dict):
        raise BadFrame("A header is not a JSON object.")
    if _depth(header) > MAX_DEPTH:
        raise BadFrame(f"A header is nested more than {MAX_DEPTH} deep.")
    return header


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _depth(value: Any) -> int:
    """Count the levels of lists and objects, without recursion."""
    levels, layer = 0, [value]
    while layer:
        containers = [entry for entry in layer if isinstance(entry, (dict, list))]
        layer = [inner for entry in containers for inner in (entry.values() if isinstance(entry, dict) else entry)]
        levels += bool(containers)
    return levels


def _find_kind(header: dict[str, Any]) -> type[Message]:
    name = Name().check(header.get("t"), "t")
    version = header.get("v")
    if type(version) is not int:
        raise BadFrame("v is not a whole number.")
    kind = BY_TYPE.get(name)
    readable = kind is not None and kind.always_readable
    if not readable and not SPEAKS[0] <= version <= SPEAKS[1]:
        raise VersionMismatch(
            f"The other side speaks version {str(version)[:12]} of the protocol, this side {SPEAKS[0]} to {SPEAKS[1]}.",
            "Run install.py again: it brings both sides to the same release.",
        )
    if kind is None:
        raise BadFrame(f"There is no message “{name}”.")
    return kind


def _read_frames(specifications: Any, parts: Sequence[Buffer]) -> dict[str, Frame]:
    if not isinstance(specifications, list) or len(specifications) != len(parts):
        raise BadFrame(f"“frames” does not describe the {len(parts)} frames of the message.")
    frames: dict[str, Frame] = {}
    for specification, part in zip(specifications, parts):
        if not isinstance(specification, dict):
            raise BadFrame("An entry of “frames” is not an object.")
        name = Name().check(specification.get("name"), "name of a frame")
        if name in frames:
            raise BadFrame(f"There are two frames “{name}”.")
        frame = Frame(specification.get("dtype"), specification.get("shape"), part)  # type: ignore[arg-type]
        found = memoryview(part).nbytes
        if found != frame.nbytes:
            raise BadFrame(f"Frame “{name}” has {found} bytes; {frame.shape} of {frame.dtype} are {frame.nbytes}.")
        frames[name] = frame
    _check_sizes(list(frames.values()))
    return frames


def _check_sizes(frames: list[Frame]) -> None:
    largest = max((frame.nbytes for frame in frames), default=0)
    if largest > MAX_FRAME:
        raise TooLarge(f"A frame has {largest} bytes; {MAX_FRAME} are allowed.", "Use a smaller picture or selection.")
    total = sum(frame.nbytes for frame in frames)
    if total > MAX_TOTAL:
        raise TooLarge(f"The frames have {total} bytes; {MAX_TOTAL} are allowed.", "Use a smaller picture.")
