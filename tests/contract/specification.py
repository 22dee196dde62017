"""docs/protocol.md against the specification in `krita_drag.wire`.

`python tests/contract/specification.py` prints the sections that the document must have, for copying.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from krita_drag.wire.fields import ITEM_BYTES, FrameOf, Specified
from krita_drag.wire.messages import BY_TYPE, Device, Message, ModelEntry, SessionEntry, Status

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
RECORDS: tuple[type[Specified], ...] = (Device, ModelEntry, SessionEntry, Status)
_WAY = {"client": "client → engine", "engine": "engine → client"}


def title(kind: type[Specified]) -> str:
    """Return the heading under which a message or record is documented."""
    return f"### {kind.type}" if issubclass(kind, Message) else f"### {kind.__name__}"


def section(kind: type[Specified]) -> str:
    """Render heading, meaning and table of a message or record, as the document must show them."""
    lines = [title(kind), ""]
    if issubclass(kind, Message):
        lines += [f"*{_WAY[kind.sender]}*", ""]
    lines += [inspect.getdoc(kind) or "", "", "| field | | value | meaning |", "|---|---|---|---|"]
    lines += [_row(field) for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return "\n".join(lines) + "\n"


def _row(field: dataclasses.Field[Any]) -> str:
    kind = field.metadata["kind"]
    needed = "required" if field.default is dataclasses.MISSING else "optional"
    shown = f"frame {kind.words()}" if isinstance(kind, FrameOf) else kind.words()
    default = field.default
    has_default = default is not dataclasses.MISSING and default is not None and default not in ((), "")
    says = field.metadata["says"] + (f" (default {json.dumps(default)})" if has_default else "")
    return f"| `{field.name}` | {needed} | {shown} | {says} |"


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield type and header of every example in the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for heading, block in re.findall(r"^### (\w+)$(?:(?!^#).)*?^```json\n(.*?)^```$", text, re.M | re.S):
        yield heading, json.loads(block)


def parts(header: dict[str, Any]) -> list[bytes]:
    """Return an example as it would travel, its frames filled with zeros."""
    frames = []
    for frame in header.get("frames", []):
        size = ITEM_BYTES[frame["dtype"]]
        for side in frame["shape"]:
            size *= side
        frames.append(bytes(size))
    return [json.dumps(header).encode(), *frames]


if __name__ == "__main__":
    for one in [*BY_TYPE.values(), *RECORDS]:
        print(section(one))
