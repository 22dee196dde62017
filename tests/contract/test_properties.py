"""What holds for every message, valid or not; 3000 examples in all, others in every run."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from krita_drag.wire.codec import MAX_DEPTH, decode, encode
from krita_drag.wire.errors import KritaDragError, ProtocolError
from krita_drag.wire.messages import BY_TYPE, Error, Message
from strategies import JSON, messages

EXAMPLES = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sound_or_refused(parts: list[bytes]) -> Message | None:
    """Decode; what is accepted must come back the same."""
    try:
        message = decode(parts)
    except ProtocolError as refused:
        assert refused.message
        assert Error.of(refused).code in ("bad-frame", "too-large", "version-mismatch")
        return None
    assert decode(encode(message)) == message
    return message


@EXAMPLES
@given(messages())
def test_every_message_survives_the_way(message: Message) -> None:
    parts = encode(message)
    assert decode(parts) == message
    assert encode(decode(parts)) == parts


@EXAMPLES
@given(messages(), st.data())
def test_one_changed_field_is_understood_or_refused(message: Message, data: st.DataObject) -> None:
    first, *frames = [bytes(part) for part in encode(message)]
    header: dict[str, Any] = json.loads(first)
    name = data.draw(st.sampled_from(sorted(header)) | st.text(max_size=10))
    header[name] = data.draw(JSON)
    sound_or_refused([json.dumps(header).encode(), *frames])


@EXAMPLES
@given(messages(), st.data())
def test_flipped_bytes_and_wrong_frames_are_understood_or_refused(message: Message, data: st.DataObject) -> None:
    parts = [bytearray(bytes(part)) for part in encode(message)]
    for _ in range(data.draw(st.integers(1, 4))):
        part = parts[data.draw(st.integers(0, len(parts) - 1))]
        if part:
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    change = data.draw(st.sampled_from(["none", "drop", "double", "cut", "grow"]))
    if change == "drop":
        parts.pop()
    elif change == "double":
        parts.append(parts[-1])
    elif change == "cut":
        del parts[-1][len(parts[-1]) // 2 :]
    elif change == "grow":
        parts[-1] += b"\x00"
    sound_or_refused([bytes(part) for part in parts])


@EXAMPLES
@given(st.lists(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), max_size=4))
def test_garbage_is_refused(parts: list[bytes]) -> None:
    assert sound_or_refused(parts) is None


@EXAMPLES
@given(st.sampled_from(sorted(BY_TYPE)), st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_fields_of_tomorrow_change_nothing(name: str, more: dict[str, Any]) -> None:
    known = {"v": 1, "t": name, "id": "0" * 32, "sid": "1" * 32, "re": "2" * 32}
    strange = {f"x-{key}": value for key, value in more.items()}

    def outcome(header: dict[str, Any]) -> Any:
        try:
            return decode([json.dumps(header).encode()])
        except KritaDragError as refused:
            return refused.message

    before, after = outcome(known), outcome({**known, **strange})
    if depth(strange) < MAX_DEPTH - 1 and "NaN" not in json.dumps(strange) and "Infinity" not in json.dumps(strange):
        assert after == before
    else:
        assert after == before or isinstance(after, str)


def depth(value: Any) -> int:
    """Count levels of containers."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)
