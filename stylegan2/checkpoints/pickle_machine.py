"""Read a pickle without unpickling it: a machine for its instructions that builds inert values only.

`pickle` itself is a language in which a file may call anything. Here an instruction can push plain values, fill
dicts, lists and sets, and mention names. What a mentioned name means is decided by `pickle_names`: nothing is
imported, called or changed on behalf of the file. Instructions that writers of model files do not use are refused.
`pickletools` in the standard library documents the instructions.
"""

from __future__ import annotations

import pickle as op  # for the codes of its instructions, nothing else
import pickletools
import struct
import sys
from collections.abc import Callable
from itertools import count

from stylegan2.checkpoints.inert import STEPS_PER_CHECK, Budget
from stylegan2.checkpoints.pickle_names import Names, checked_key
from stylegan2.errors import CheckpointError, UnsafeCheckpoint

MAX_INTEGER_BYTES = 64
MAX_NAME_BYTES = 1024
LONG_TEXT = 1024  # bytes; shorter ones are limited by the instructions
MAX_PROTOCOL = 5
_MARK = object()


class Reader:
    """Bytes of a file from front to back; slices are views, never copies."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._position = data, 0

    def take(self, length: int) -> memoryview:
        """The next `length` bytes."""
        start, end = self._position, self._position + length
        if length < 0 or end > len(self._data):
            raise CheckpointError(f"{length:,} bytes are announced where {len(self._data) - start:,} are left")
        self._position = end
        return self._data[start:end]

    def byte(self) -> int:
        """The next byte."""
        if self._position >= len(self._data):
            raise CheckpointError("it ends in the middle")
        self._position += 1
        return self._data[self._position - 1]

    def number(self, form: str) -> int:
        """The next whole number, stored as `struct` describes it."""
        number: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return number

    def line(self) -> str:
        """The next short line of ASCII text."""
        line = bytes(self._data[self._position : self._position + MAX_NAME_BYTES]).partition(b"\n")
        if not line[1]:
            raise CheckpointError("a name in it has no end")
        self._position += len(line[0]) + 1
        return line[0].decode("ascii", "backslashreplace")


class PickleMachine:
    """Reads one pickle.

    Args:
        reader: where it begins; afterwards, where it ended.
        names: what names in it mean.
        budget: what it may use.
    """

    def __init__(self, reader: Reader, names: Names, budget: Budget) -> None:
        self._reader, self._names, self._budget = reader, names, budget
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def run(self) -> object:
        """Read to the end.

        Returns:
            Plain values, or one of the records in `inert`.

        Raises:
            CheckpointError: it is damaged or beyond the limits.
            UnsafeCheckpoint: it names or does what no model needs.
        """
        next_code, operations = self._reader.byte, _OPERATIONS
        for step in count(1):
            code = next_code()
            if code == op.STOP[0]:
                break
            if code not in operations:
                raise UnsafeCheckpoint(f"it uses the pickle instruction {_instruction(code)}, which no model needs")
            operations[code](self)
            if step % STEPS_PER_CHECK == 0:
                self._budget.take_steps(STEPS_PER_CHECK, len(self._stack))
        self._budget.take_steps(step % STEPS_PER_CHECK, len(self._stack))
        result = self._pop()
        if self._stack:
            raise CheckpointError("values are left over at its end")
        return result

    # The stack

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _top(self) -> object:
        if not self._stack or self._stack[-1] is _MARK:
            raise CheckpointError("a value is missing")
        return self._stack[-1]

    def _pop(self) -> object:
        value = self._top()
        del self._stack[-1]
        return value

    def _pop_to_mark(self) -> list[object]:
        for i in range(len(self._stack) - 1, -1, -1):
            if self._stack[i] is _MARK:
                values = self._stack[i + 1 :]
                del self._stack[i:]
                return values
        raise CheckpointError("the beginning of a list of values is missing")

    # Plain values

    def _protocol(self) -> None:
        version = self._reader.byte()
        if version > MAX_PROTOCOL:
            raise CheckpointError(f"it is a pickle of version {version}; {MAX_PROTOCOL} is the newest known")

    def _push_double(self) -> None:
        self._push(struct.unpack(">d", self._reader.take(8))[0])

    def _push_long(self, form: str) -> None:
        length = self._reader.number(form)
        if not 0 <= length <= MAX_INTEGER_BYTES:
            raise CheckpointError(f"a number in it has {length:,} bytes")
        self._push(int.from_bytes(self._reader.take(length), "little", signed=True))

    def _push_text(self, form: str) -> None:
        raw = self._reader.take(self._reader.number(form))
        if len(raw) > self._budget.limits.text_bytes:
            raise CheckpointError(f"a text in it has {len(raw):,} bytes")
        try:
            text = str(raw, "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise CheckpointError("a text in it is garbled") from error
        if len(raw) > LONG_TEXT:
            self._budget.take_bytes(sys.getsizeof(text))  # up to four bytes for each in the file
        self._push(text)

    def _push_bytes(self, form: str) -> None:
        self._push(self._reader.take(self._reader.number(form)))

    # Collections

    def _tuple(self, length: int) -> None:
        values = [self._pop() for _ in range(length)]
        self._push(tuple(reversed(values)))

    def _append(self, values: list[object]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise UnsafeCheckpoint(f"it appends to {_kind(target)}")
        target.extend(values)

    def _set_items(self, values: list[object]) -> None:
        target = self._top()
        if not isinstance(target, dict):
            raise UnsafeCheckpoint(f"it sets items of {_kind(target)}")
        if len(values) % 2:
            raise CheckpointError("a key in it has no value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[checked_key(key)] = value

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _add_to_set(self) -> None:
        values, target = self._pop_to_mark(), self._top()
        if not isinstance(target, set):
            raise UnsafeCheckpoint(f"it adds elements to {_kind(target)}")
        target.update(checked_key(value) for value in values)

    def _frozen_set(self) -> None:
        self._push(frozenset(checked_key(value) for value in self._pop_to_mark()))

    # Memory of values that are referred to again

    def _remember(self, key: int) -> None:
        self._memo[key] = self._top()

    def _recall(self, key: int) -> None:
        if key not in self._memo:
            raise CheckpointError("it refers to a value that it does not have")
        self._push(self._memo[key])

    # Names, and what the file wants to do with them

    def _global(self) -> None:
        module, name = self._reader.line(), self._reader.line()
        self._push(self._names.find(module, name))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise UnsafeCheckpoint("it takes a name from something that is no text")
        self._push(self._names.find(module, name))

    def _instance_by_name(self) -> None:
        module, name = self._reader.line(), self._reader.line()
        self._names.find(module, name)
        raise UnsafeCheckpoint("it uses the pickle instruction INST, which no model needs")

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        self._push(self._names.call(function, arguments))

    def _new_object(self) -> None:
        arguments, kind = self._pop(), self._pop()
        self._push(self._names.instantiate(kind, arguments))

    def _build(self) -> None:
        state = self._pop()
        self._names.set_state(self._top(), state)

    def _persistent(self) -> None:
        self._push(self._names.persistent(self._pop()))


def _instruction(code: int) -> str:
    return next((known.name for known in pickletools.opcodes if known.code == chr(code)), f"0x{code:02x}")


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


Operation = Callable[[PickleMachine], object]
_BYTE, _SHORT, _INT, _LONG = "<B", "<H", "<I", "<Q"


def _constant(make: Callable[[], object]) -> Operation:
    return lambda machine: machine._push(make())


def _number(form: str) -> Operation:
    return lambda machine: machine._push(machine._reader.number(form))


def _with_form(method: Callable[[PickleMachine, str], None], form: str) -> Operation:
    return lambda machine: method(machine, form)


def _with_number(method: Callable[[PickleMachine, int], None], form: str) -> Operation:
    return lambda machine: method(machine, machine._reader.number(form))


def _tuple_of(length: int) -> Operation:
    return lambda machine: machine._tuple(length)


_M = PickleMachine
_OPERATIONS: dict[int, Operation] = {
    code[0]: operation
    for code, operation in {
        op.PROTO: _M._protocol,
        op.FRAME: lambda machine: machine._reader.take(8),  # a hint for readers of streams
        op.MARK: _constant(lambda: _MARK),
        op.POP: _M._pop,
        op.POP_MARK: _M._pop_to_mark,
        op.NONE: _constant(lambda: None),
        op.NEWTRUE: _constant(lambda: True),
        op.NEWFALSE: _constant(lambda: False),
        op.BININT: _number("<i"),
        op.BININT1: _number(_BYTE),
        op.BININT2: _number(_SHORT),
        op.LONG1: _with_form(_M._push_long, _BYTE),
        op.LONG4: _with_form(_M._push_long, "<i"),
        op.BINFLOAT: _M._push_double,
        op.SHORT_BINUNICODE: _with_form(_M._push_text, _BYTE),
        op.BINUNICODE: _with_form(_M._push_text, _INT),
        op.BINUNICODE8: _with_form(_M._push_text, _LONG),
        op.SHORT_BINBYTES: _with_form(_M._push_bytes, _BYTE),
        op.BINBYTES: _with_form(_M._push_bytes, _INT),
        op.BINBYTES8: _with_form(_M._push_bytes, _LONG),
        op.BYTEARRAY8: _with_form(_M._push_bytes, _LONG),
        op.EMPTY_TUPLE: _constant(tuple),
        op.TUPLE1: _tuple_of(1),
        op.TUPLE2: _tuple_of(2),
        op.TUPLE3: _tuple_of(3),
        op.TUPLE: lambda machine: machine._push(tuple(machine._pop_to_mark())),
        op.EMPTY_LIST: _constant(list),
        op.APPEND: lambda machine: machine._append([machine._pop()]),
        op.APPENDS: lambda machine: machine._append(machine._pop_to_mark()),
        op.EMPTY_DICT: _constant(dict),
        op.SETITEM: _M._set_item,
        op.SETITEMS: lambda machine: machine._set_items(machine._pop_to_mark()),
        op.EMPTY_SET: _constant(set),
        op.ADDITEMS: _M._add_to_set,
        op.FROZENSET: _M._frozen_set,
        op.MEMOIZE: lambda machine: machine._remember(len(machine._memo)),
        op.BINPUT: _with_number(_M._remember, _BYTE),
        op.LONG_BINPUT: _with_number(_M._remember, _INT),
        op.BINGET: _with_number(_M._recall, _BYTE),
        op.LONG_BINGET: _with_number(_M._recall, _INT),
        op.GLOBAL: _M._global,
        op.STACK_GLOBAL: _M._stack_global,
        op.INST: _M._instance_by_name,
        op.REDUCE: _M._reduce,
        op.NEWOBJ: _M._new_object,
        op.BUILD: _M._build,
        op.BINPERSID: _M._persistent,
    }.items()
}
