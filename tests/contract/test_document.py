"""docs/protocol.md says what the specification says, and its examples are messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from krita_drag.wire.codec import decode, encode
from krita_drag.wire.fields import Specified
from krita_drag.wire.messages import BY_TYPE, VERSION
from specification import DOCUMENT, RECORDS, examples, parts, section, title

KINDS: list[type[Specified]] = [*BY_TYPE.values(), *RECORDS]
EXAMPLES = list(examples())


@pytest.mark.parametrize("kind", KINDS, ids=title)
def test_table_is_that_of_the_specification(kind: type[Specified]) -> None:
    assert section(kind) in DOCUMENT.read_text(encoding="utf-8"), section(kind)


def test_every_message_has_one_example_and_nothing_else_has() -> None:
    assert [name for name, _ in EXAMPLES] == list(BY_TYPE)


def test_the_document_is_of_this_version() -> None:
    assert DOCUMENT.read_text(encoding="utf-8").splitlines()[0].endswith(f"version {VERSION}")


@pytest.mark.parametrize(("name", "header"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_example_survives_decoding_and_encoding(name: str, header: dict[str, Any]) -> None:
    message = decode(parts(header))
    assert type(message) is BY_TYPE[name]
    sent = encode(message)
    again = json.loads(bytes(sent[0]))
    assert {key: again[key] for key in header} == header
    assert [bytes(part) for part in sent[1:]] == parts(header)[1:]
    assert decode(sent) == message
