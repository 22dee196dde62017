"""Hypothesis strategies made from the specification: every valid message, and what is nearly one."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from hypothesis import strategies as st
from krita_drag.wire.fields import (
    ITEM_BYTES,
    Choice,
    Flag,
    Frame,
    FrameOf,
    Identifier,
    Kind,
    Many,
    Name,
    Real,
    RecordOf,
    Specified,
    Text,
    Whole,
)
from krita_drag.wire.messages import BY_TYPE, Message

IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,31}", fullmatch=True)
SIDES = st.integers(1, 5)
LONGEST_LIST = 4


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Everything that a kind takes, within sizes that keep tests quick."""
    if isinstance(kind, Identifier):
        return IDS
    if isinstance(kind, Name):
        return NAMES | (st.sampled_from(kind.known) if kind.known else NAMES)
    if isinstance(kind, Choice):
        return st.sampled_from(kind.values)
    if isinstance(kind, Flag):
        return st.booleans()
    if isinstance(kind, Text):
        signs = st.characters(exclude_categories=("Cc", "Cs")) | st.just("\n")
        return st.text(signs, max_size=min(kind.longest, 40))
    if isinstance(kind, Whole):
        return st.integers(kind.lowest, kind.highest)
    if isinstance(kind, Real):
        return st.floats(kind.lowest, kind.highest)
    if isinstance(kind, Many):
        longest = max(kind.shortest, min(kind.longest, LONGEST_LIST))
        return st.lists(values(kind.item), min_size=kind.shortest, max_size=longest).map(tuple)
    if isinstance(kind, RecordOf):
        return instances(kind.record)
    assert isinstance(kind, FrameOf), kind
    return frames(kind)


@st.composite
def frames(draw: st.DrawFn, kind: FrameOf) -> Frame:
    """Frames of a kind with arbitrary bytes."""
    shape = tuple(draw(SIDES) if isinstance(side, str) else side for side in kind.sides)
    size = math.prod(shape) * ITEM_BYTES[kind.dtype]
    return Frame(kind.dtype, shape, draw(st.binary(min_size=size, max_size=size)))


@st.composite
def instances(draw: st.DrawFn, kind: type[Specified]) -> Any:
    """Valid messages or records of a type; what must fit together is made to."""
    given: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING or draw(st.booleans()):
            given[field.name] = draw(values(field.metadata["kind"]))
    if kind is BY_TYPE["open"]:
        given.pop("seed" if "image" in given else "image", None)
        if "image" not in given:
            given.setdefault("seed", 1)
    if "weights" in given:
        given["weights"] = tuple(1.0 for _ in given["points"])
    if kind in (BY_TYPE["done"], BY_TYPE["cancelled"]):
        given.pop("rect", None)
        if "patch" in given:
            height, width, _ = given["patch"].shape
            given["rect"] = (draw(st.integers(0, 1 << 20)), 0, width, height)
    return kind(**given)


def messages() -> st.SearchStrategy[Message]:
    """Valid messages of all types, each type as often as any other."""
    return st.sampled_from(sorted(BY_TYPE)).flatmap(lambda name: instances(BY_TYPE[name]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | IDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

__all__ = ["JSON", "instances", "messages", "values"]
