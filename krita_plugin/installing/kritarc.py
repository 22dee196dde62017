"""Krita's settings file: one key switched without touching anything else.

It is KDE's format: keys above the first [group] belong to no group, groups and keys may be repeated, the last counts.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

_GROUP = re.compile(r"\s*\[(?P<name>.*)\]\s*$")


def put(path: Path, group: str, key: str, value: str | None) -> None:
    """Set a key of a group, or remove it with None; the file is replaced in one go, with its mode kept.

    Args:
        path: kritarc; made if missing.
        group: not empty.
        key: without meaning for regular expressions or KDE, such as `enable_krita_drag`.
        value: one line of text.

    Raises:
        OSError: the file cannot be read or written.
    """
    text = _read(path)
    end = "\r\n" if "\r\n" in text else "\n"
    lines, current, place = [], "", None
    for line in text.splitlines():
        if header := _GROUP.match(line):
            current = header["name"]
        if current == group and line.partition("=")[0].strip() == key:
            continue
        lines.append(line)
        if current == group and header:
            place = len(lines)
    if value is not None:
        if place is None:
            lines += [*([""] if lines else []), f"[{group}]"]
            place = len(lines)
        lines.insert(place, f"{key}={value}")
    _replace(path, "".join(line + end for line in lines))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()  # people keep their settings in a repository and link them
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        Path(name).chmod(target.stat().st_mode & 0o777 if target.exists() else 0o600)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise
