"""The codec: what goes in comes out, and whatever else comes in is refused with one of our errors."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from krita_drag.wire.codec import MAX_FRAME, MAX_HEADER, decode, encode
from krita_drag.wire.errors import BadFrame, BadPoints, Busy, KritaDragError, ProtocolError, TooLarge, VersionMismatch
from krita_drag.wire.messages import (
    BY_TYPE,
    SPEAKS,
    Ack,
    Done,
    Drag,
    Error,
    Frame,
    Hello,
    Live,
    ModelEntry,
    Open,
    Ping,
    Preview,
    Status,
    Welcome,
    is_terminal,
    new_id,
)

RID, SID = "0123456789abcdef" * 2, "fedcba9876543210" * 2
PATCH = Frame("u1", (2, 3, 4), bytes(range(24)))


def packed(header: dict[str, Any], *frames: bytes) -> list[bytes]:
    return [json.dumps(header).encode(), *frames]


def test_frames_and_fields_come_back() -> None:
    sent = Done(
        RID,
        SID,
        reason="landed",
        step=7,
        rect=(10, 20, 3, 2),
        handles=((1.5, 2.5),),
        confidence=(0.25,),
        lost=(False,),
        notes=("Ünïcode, and a\nline.",),
        status=Status("1.0", 1, 2.0, 3, 4, 5, (), ()),
        patch=PATCH,
    )
    parts = encode(sent)
    assert bytes(parts[1]) == PATCH.data
    assert decode(parts) == sent
    assert encode(decode(parts)) == parts


def test_a_frame_is_not_copied() -> None:
    data = bytearray(24)
    message = decode([*encode(Preview(RID, SID, 1, (0, 0, 6, 4), PATCH))[:1], data])
    assert isinstance(message, Preview)
    data[5] = 99
    assert memoryview(message.patch.data)[5] == 99


def test_unknown_fields_frames_and_values_are_left_out() -> None:
    header = {
        "v": 1,
        "t": "done",
        "re": RID,
        "reason": "a-reason-of-tomorrow",
        "mood": {"of": ["tomorrow"]},
        "frames": [{"name": "depth", "dtype": "f4", "shape": [2], "colour": 1}],
    }
    assert decode(packed(header, b"12345678")) == Done(RID, reason="a-reason-of-tomorrow")


def test_the_greeting_is_read_in_any_version() -> None:
    hello = {"v": 77, "t": "hello", "app": "krita", "app_version": "9", "proto_min": 70, "proto_max": 77}
    assert decode(packed(hello)) == Hello("krita", "9", 70, 77)
    with pytest.raises(VersionMismatch, match=r"version 77 .* this side 1 to 1"):
        decode(packed({"v": 77, "t": "ping", "time": 0}))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"v": 1},
        {"v": True, "t": "list_models", "id": RID},
        {"v": 1.0, "t": "list_models", "id": RID},
        {"v": 1, "t": "no-such-message"},
        {"v": 1, "t": 5},
        {"v": 1, "t": "list_models"},
        {"v": 1, "t": "list_models", "id": RID.upper()},
        {"v": 1, "t": "list_models", "id": RID + "\n"},
        {"v": 1, "t": "list_models", "id": None},
        {"v": 1, "t": "list_models", "id": RID, "frames": {}},
        {"v": 1, "t": "list_models", "id": RID, "frames": [{}]},
        {"v": 1, "t": "ping", "time": "1"},
        {"v": 1, "t": "ping", "time": -1},
        {"v": 1, "t": "ping", "time": 10**400},
        {"v": 1, "t": "ping", "time": True},
        {"v": 1, "t": "ping", "time": 1, "sids": [SID] * 65},
        {"v": 1, "t": "ping", "time": 1, "sids": SID},
        {"v": 1, "t": "credit", "sid": SID, "n": 5},
        {"v": 1, "t": "credit", "sid": SID, "n": 1.0},
        {"v": 1, "t": "drag", "id": RID, "sid": SID, "points": [[1, 2, 3]]},
        {"v": 1, "t": "drag", "id": RID, "sid": SID, "points": [[1, 2, 3, "4"]]},
        {"v": 1, "t": "drag", "id": RID, "sid": SID, "points": [[1, 2, 3, 4]], "weights": [1, 1]},
        {"v": 1, "t": "drag", "id": RID, "sid": SID, "points": [[1, 2, 3, 4]], "onward": 1},
        {"v": 1, "t": "live", "id": RID, "sid": SID, "phase": "hover", "seq": 1, "points": []},
        {"v": 1, "t": "open", "id": RID, "sid": SID, "model": "faces"},
        {"v": 1, "t": "open", "id": RID, "sid": SID, "model": "faces", "image": [1, 2]},
        {"v": 1, "t": "open", "id": RID, "sid": SID, "model": "\ud800", "seed": 1},
        {"v": 1, "t": "open", "id": RID, "sid": SID, "model": "a\x1b[2J", "seed": 1},
        {"v": 1, "t": "done", "re": RID, "rect": [0, 0, 1, 1]},
        {"v": 1, "t": "done", "re": RID, "status": [1]},
        {"v": 1, "t": "done", "re": RID, "status": {"pid": 1}},
        {"v": 1, "t": "hello", "app": "a" * 65, "app_version": "1", "proto_min": 1, "proto_max": 1},
        {"v": 1, "t": "list_models", "id": RID, "deep": [[[[[[[[1]]]]]]]]},
    ],
    ids=lambda header: json.dumps(header)[:80],
)
def test_headers_beyond_the_specification_are_refused(header: dict[str, Any]) -> None:
    with pytest.raises(BadFrame):
        decode(packed(header))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{",
        b"[" * 60_000,
        b'{"v": 1, "t": "ping", "time": NaN}',
        b'{"v": 1, "t": "ping", "time": -Infinity}',
        b'{"v": 1, "t": "ping", "time": 1e999}',
        b'{"v": 1, "t": "ping", "time": ' + b"9" * 50_000 + b"}",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_headers_that_are_no_json_are_refused(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        decode([raw])


@pytest.mark.parametrize(
    "frames",
    [
        [],
        "image",
        [1],
        [{"name": "image", "dtype": "u1", "shape": [2, 2, 4]}] * 2,
        [{"name": "Image", "dtype": "u1", "shape": [2, 2, 4]}],
        [{"name": "image", "dtype": "u4", "shape": [4]}],
        [{"name": "image", "dtype": ["u1"], "shape": [4]}],
        [{"name": "image", "dtype": "u1", "shape": [2, 2, 3]}],
        [{"name": "image", "dtype": "u1", "shape": [16]}],
        [{"name": "image", "dtype": "u1", "shape": [2, 8]}],
        [{"name": "image", "dtype": "u1", "shape": [-2, -2, 4]}],
        [{"name": "image", "dtype": "u1", "shape": [2, 2.0, 4]}],
        [{"name": "image", "dtype": "u1", "shape": [True, 4, 4]}],
        [{"name": "image", "dtype": "u1", "shape": []}],
        [{"name": "image", "dtype": "u1", "shape": [1, 1, 1, 4, 4]}],
        [{"name": "image", "dtype": "u1", "shape": [1 << 40, 1, 4]}],
        [{"name": "model", "dtype": "u1", "shape": [16]}],
    ],
    ids=lambda frames: json.dumps(frames)[:80],
)
def test_frames_that_do_not_fit_are_refused(frames: Any) -> None:
    header = {"v": 1, "t": "open", "id": RID, "sid": SID, "model": "faces", "frames": frames}
    with pytest.raises(BadFrame):
        decode(packed(header, bytes(16)))
    if isinstance(frames, list) and len(frames) == 2:
        with pytest.raises(BadFrame, match="two frames"):
            decode(packed(header, bytes(16), bytes(16)))


def test_a_refusal_names_the_request_when_it_can() -> None:
    for header, expected in (
        ({"v": 1, "t": "undo", "id": RID}, RID),
        ({"v": 9, "t": "undo", "id": RID, "sid": SID}, RID),
        ({"v": 1, "t": "nonsense", "id": RID}, RID),
        ({"v": 1, "t": "undo", "id": 5, "sid": SID}, None),
    ):
        with pytest.raises(ProtocolError) as refused:
            decode(packed(header))
        assert refused.value.re == expected


def test_limits_of_size() -> None:
    with pytest.raises(BadFrame, match="1 to 9 parts"):
        decode([])
    with pytest.raises(BadFrame, match="1 to 9 parts"):
        decode([b"{}"] * 10)
    with pytest.raises(TooLarge):
        decode([b" " * (MAX_HEADER + 1)])
    huge = memoryview(bytearray(MAX_FRAME + 4))
    image = Frame("u1", (1, len(huge) // 4, 4), huge)
    with pytest.raises(TooLarge):
        encode(Open(RID, SID, "faces", image=image))
    header = {"v": 1, "t": "open", "id": RID, "sid": SID, "model": "faces"}
    header["frames"] = [{"name": "image", "dtype": "u1", "shape": list(image.shape)}]
    with pytest.raises(TooLarge):
        decode([json.dumps(header).encode(), huge])
    part = huge[: MAX_FRAME - MAX_FRAME % 4]
    shape = [1, len(part) // 4, 4]
    header["frames"] = [{"name": name, "dtype": "u1", "shape": shape} for name in ("image", "b", "c")]
    with pytest.raises(TooLarge, match="frames have"):
        decode([json.dumps(header).encode(), part, part, part])
    entry = ModelEntry("m", "無" * 200, 512, False, licence="無" * 200)
    with pytest.raises(TooLarge):
        encode(Done(RID, models=(entry,) * 100))


def test_a_message_is_valid_from_the_moment_it_is_made() -> None:
    with pytest.raises(BadFrame):
        Ack("not an id")
    with pytest.raises(BadFrame):
        Drag(RID, SID, ((1, 2, 3, math.nan),))
    with pytest.raises(BadFrame):
        Done(RID, rect=(0, 0, 2, 2), patch=PATCH)
    with pytest.raises(BadFrame):
        Done(RID, patch=PATCH)
    with pytest.raises(BadFrame, match="23 bytes"):
        Preview(RID, SID, 1, (0, 0, 3, 2), Frame("u1", (2, 3, 4), bytes(23)))
    with pytest.raises(BadFrame):
        Live(RID, SID, "move", 1, ((1, 2, 3, 4),), weights=(1, 2))
    assert Drag(RID, SID, ((1, 2, 3, 4),)).points == ((1.0, 2.0, 3.0, 4.0),)
    assert Ping(1).sids == ()
    assert new_id() != new_id()


def test_failures_travel_as_they_are() -> None:
    told = Error.of(Busy("Full.", "Wait.", retry_s=2.0), RID, SID)
    assert decode(encode(told)) == told
    back = told.exception()
    assert (type(back), back.message, back.hint, back.retry_s, back.retryable) == (Busy, "Full.", "Wait.", 2.0, True)
    assert isinstance(Error.of(BadPoints("Bad.", at=3)).exception(), BadPoints)
    assert Error.of(VersionMismatch("Old.")).speaks == SPEAKS
    tomorrow = Error("a-code-of-tomorrow", "New.").exception()
    assert (type(tomorrow), tomorrow.code) == (KritaDragError, "a-code-of-tomorrow")
    assert Error.of(KritaDragError("x\x00" * 400)).message == "x?" * 250


def test_what_ends_a_request() -> None:
    assert is_terminal(Done(RID))
    assert is_terminal(Error("busy", "Full.", re=RID))
    assert not is_terminal(Error("bad-frame", "What?"))
    assert not is_terminal(Welcome(RID, "1", 1))
    assert {"hello", "drag", "done", "status"} <= set(BY_TYPE)
