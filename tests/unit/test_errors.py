"""Every error has one code, and every code its paragraph in docs/errors.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from krita_drag.wire import errors
from krita_drag.wire.errors import HashMismatch, KritaDragError

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"


def leaves(parent: type[KritaDragError]) -> Iterator[type[KritaDragError]]:
    for child in parent.__subclasses__():
        if child.__module__ != errors.__name__:
            continue
        if child.__subclasses__():
            yield from leaves(child)
        else:
            yield child


def test_codes_are_the_anchors_of_the_document() -> None:
    codes = [leaf.code for leaf in leaves(KritaDragError)]
    anchors = re.findall(r"^## (\S+)$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    assert codes == anchors
    assert len(set(codes)) == len(codes)


def test_the_module_docstring_shows_the_tree() -> None:
    assert errors.__doc__ is not None
    named = set(re.findall(r"\b[A-Z]\w+\b", errors.__doc__))
    assert {leaf.__name__ for leaf in leaves(KritaDragError)} <= named


def test_reads_as_a_sentence_with_a_way_out() -> None:
    error = HashMismatch("The download is not the file.", "Try again.")
    assert str(error) == "The download is not the file. Try again."
    assert error.retryable
