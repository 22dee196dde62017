"""Kinds of fields: what a value in a message may be, checked when it comes in and when it goes out.

A kind turns what JSON gave (lists, floats for whole numbers excepted) into an immutable value, or refuses it. Each
says in words what it takes, and docs/protocol.md shows those words.
"""

from __future__ import annotations

import dataclasses
import math
import re
import unicodedata
import uuid
from typing import TYPE_CHECKING, Any

from .errors import BadFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    Buffer = bytes | bytearray | memoryview

_ID = re.compile(r"[0-9a-f]{32}\Z")
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}\Z")
ITEM_BYTES = {"u1": 1, "u2": 2, "f2": 2, "f4": 4}
MAX_SIDE = 1 << 26


def new_id() -> str:
    """Return a fresh identifier: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def _matching(pattern: re.Pattern[str], value: Any, where: str, words: str) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise BadFrame(f"{where} is not {words}.")
    return value


class Kind:
    """What one field may hold."""

    def check(self, value: Any, where: str) -> Any:
        """Return the value in its immutable form.

        Args:
            value: from JSON, or from the code that builds a message.
            where: name of the field, for the sentence.

        Raises:
            BadFrame: it is not of this kind.
        """
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """Return what JSON shows of a checked value."""
        return value

    def words(self) -> str:
        """Say what is allowed, for the documentation."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Identifier(Kind):
    """32 hexadecimal digits, lower case."""

    def check(self, value: Any, where: str) -> str:
        return _matching(_ID, value, where, "32 hexadecimal digits")

    def words(self) -> str:
        return "identifier"


@dataclasses.dataclass(frozen=True)
class Name(Kind):
    """A short word for programs; values that a peer does not know are allowed, so that lists of them can grow."""

    known: tuple[str, ...] = ()

    def check(self, value: Any, where: str) -> str:
        return _matching(_NAME, value, where, "a name of a-z, 0-9, dot, dash and underscore")

    def words(self) -> str:
        return "name: " + ", ".join(self.known) if self.known else "name"


@dataclasses.dataclass(frozen=True)
class Choice(Kind):
    """One of a closed list."""

    values: tuple[str, ...]

    def check(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in self.values:
            raise BadFrame(f"{where} is not one of {', '.join(self.values)}.")
        return value

    def words(self) -> str:
        return " or ".join(f'"{value}"' for value in self.values)


@dataclasses.dataclass(frozen=True)
class Text(Kind):
    """Characters that a terminal shows as they are, and line breaks."""

    longest: int

    def check(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or len(value) > self.longest:
            raise BadFrame(f"{where} is not a text of at most {self.longest} characters.")
        if any(unicodedata.category(sign) in ("Cc", "Cs") and sign != "\n" for sign in value):
            raise BadFrame(f"{where} holds control characters.")
        return value

    def words(self) -> str:
        return f"text, at most {self.longest} characters"


@dataclasses.dataclass(frozen=True)
class Flag(Kind):
    """True or false."""

    def check(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise BadFrame(f"{where} is not true or false.")
        return value

    def words(self) -> str:
        return "true or false"


@dataclasses.dataclass(frozen=True)
class Whole(Kind):
    """A whole number."""

    lowest: int
    highest: int

    def check(self, value: Any, where: str) -> int:
        if type(value) is not int or not self.lowest <= value <= self.highest:
            raise BadFrame(f"{where} is not a whole number from {self.lowest} to {self.highest}.")
        return value

    def words(self) -> str:
        return f"whole number, {self.lowest} to {self.highest}"


@dataclasses.dataclass(frozen=True)
class Real(Kind):
    """A finite number."""

    lowest: float = -1e9
    highest: float = 1e9

    def check(self, value: Any, where: str) -> float:
        # comparing NaN is false, and huge whole numbers compare without becoming floats
        if type(value) not in (int, float) or not self.lowest <= value <= self.highest:
            raise BadFrame(f"{where} is not a number from {self.lowest:g} to {self.highest:g}.")
        return float(value)

    def words(self) -> str:
        return f"number, {self.lowest:g} to {self.highest:g}"


@dataclasses.dataclass(frozen=True)
class Many(Kind):
    """A list of one kind; a tuple in Python."""

    item: Kind
    longest: int
    shortest: int = 0

    def check(self, value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or not self.shortest <= len(value) <= self.longest:
            raise BadFrame(f"{where} is not a list of {self._count()} entries.")
        return tuple(self.item.check(entry, f"{where}[{index}]") for index, entry in enumerate(value))

    def plain(self, value: Any) -> Any:
        return [self.item.plain(entry) for entry in value]

    def words(self) -> str:
        return f"list of {self._count()}: {self.item.words()}"

    def _count(self) -> str:
        return str(self.longest) if self.shortest == self.longest else f"{self.shortest} to {self.longest}"


@dataclasses.dataclass(frozen=True)
class Frame:
    """An array that travels as a frame of its own, rows packed without gaps.

    Attributes:
        dtype: "u1", "u2", "f2" or "f4": unsigned or float, bytes per item, little endian.
        shape: rows first, as numpy counts.
        data: the items; bytes, or a view of memory that must not change while the message is on its way.
    """

    dtype: str
    shape: tuple[int, ...]
    data: Buffer = dataclasses.field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.dtype, str) or self.dtype not in ITEM_BYTES:
            raise BadFrame(f"A frame's dtype is one of {', '.join(ITEM_BYTES)}.")
        shape = self.shape
        if not isinstance(shape, (list, tuple)) or not 1 <= len(shape) <= 4:
            raise BadFrame("A frame's shape has 1 to 4 numbers.")
        if any(type(side) is not int or not 0 < side <= MAX_SIDE for side in shape):
            raise BadFrame(f"A frame's sides are whole numbers from 1 to {MAX_SIDE}.")
        object.__setattr__(self, "shape", tuple(shape))

    @property
    def nbytes(self) -> int:
        """Size that dtype and shape ask for, bytes."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclasses.dataclass(frozen=True)
class FrameOf(Kind):
    """A frame of a dtype and shape; letters in the shape stand for any side."""

    dtype: str
    sides: tuple[int | str, ...]

    def check(self, value: Any, where: str) -> Frame:
        if not isinstance(value, Frame) or value.dtype != self.dtype or not self._fits(value.shape):
            raise BadFrame(f"{where} is not a frame of {self.words()}.")
        view = memoryview(value.data)
        if view.nbytes != value.nbytes or not view.c_contiguous:
            raise BadFrame(f"{where} holds {view.nbytes} bytes; {value.shape} of {value.dtype} are {value.nbytes}.")
        return value

    def words(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.sides))}]"

    def _fits(self, shape: Sequence[int]) -> bool:
        return len(shape) == len(self.sides) and all(
            isinstance(asked, str) or asked == side for asked, side in zip(self.sides, shape)
        )


@dataclasses.dataclass(frozen=True)
class RecordOf(Kind):
    """An object with fields of its own."""

    record: type[Specified]

    def check(self, value: Any, where: str) -> Specified:
        if isinstance(value, self.record):
            return value
        if not isinstance(value, dict):
            raise BadFrame(f"{where} is not an object.")
        return self.record.from_plain(value, where)

    def plain(self, value: Any) -> Any:
        return value.to_plain()

    def words(self) -> str:
        return self.record.__name__


def field(kind: Kind, says: str, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field of a message.

    Args:
        kind: what it may hold.
        says: what it means, with its unit; shown in docs/protocol.md.
        default: makes it optional; a field that is None does not travel.
    """
    metadata = {"kind": kind, "says": says}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Specified:
    """Base of frozen dataclasses whose fields are declared with `field`; an instance is always valid."""

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if value is None and one.default is None:
                continue
            object.__setattr__(self, one.name, one.metadata["kind"].check(value, one.name))

    @classmethod
    def from_plain(cls, plain: dict[str, Any], where: str) -> Any:
        """Build an instance from a JSON object; fields that it does not know are left out.

        Raises:
            BadFrame: a field is missing or not of its kind.
        """
        given = {}
        for one in dataclasses.fields(cls):  # type: ignore[arg-type]
            if one.name in plain:
                given[one.name] = plain[one.name]
            elif one.default is dataclasses.MISSING:
                raise BadFrame(f"{where} lacks “{one.name}”.")
        return cls(**given)

    def to_plain(self) -> dict[str, Any]:
        """Return the JSON object of this instance, without frames and without fields that are None."""
        return {
            one.name: one.metadata["kind"].plain(getattr(self, one.name))
            for one in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, one.name) is not None and not isinstance(one.metadata["kind"], FrameOf)
        }

    def frames(self) -> dict[str, Frame]:
        """Return the frames of this instance by the names of their fields."""
        values = ((one.name, getattr(self, one.name)) for one in dataclasses.fields(self))  # type: ignore[arg-type]
        return {name: value for name, value in values if isinstance(value, Frame)}
