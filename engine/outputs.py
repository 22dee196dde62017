"""Output paths, checked before the long work starts."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from krita_drag.wire.errors import BadOutput

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


def check_file(path: Path, suffixes: tuple[str, ...]) -> None:
    """Make sure that a file can be written at `path`, without touching what is there.

    Raises:
        BadOutput: the ending is not one of `suffixes`, the folder is missing or takes no files, or `path` is one.
    """
    if path.suffix.lower() not in suffixes:
        ending = f"the ending {path.suffix!r}" if path.suffix else "no ending"
        raise BadOutput(f"{path} has {ending}, which names no known format.", f"Use one of: {' '.join(suffixes)}.")
    if path.is_dir():
        raise BadOutput(f"{path} is a folder.", "Give the name of a file.")
    _check_folder_takes_files(path.absolute().parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise BadOutput(f"{path} exists and is read-only.", "Choose another name or make it writable.")


def check_folder(path: Path) -> None:
    """Make sure that pictures can be written into the folder `path`, which may still have to be made.

    Raises:
        BadOutput: it is a file, or it or the folder above it takes no files.
    """
    if path.exists() and not path.is_dir():
        raise BadOutput(f"{path} is a file.", "Give the name of a folder.")
    _check_folder_takes_files(path if path.exists() else path.absolute().parent)


def check_distinct(paths: list[Path]) -> None:
    """Make sure that no output overwrites another or a file that is read.

    Raises:
        BadOutput: two of the paths are the same file.
    """
    seen: set[Path] = set()
    for path in paths:
        place = path.resolve()
        if place in seen:
            raise BadOutput(f"{path} is named twice.", "Give every output its own name, other than the input's.")
        seen.add(place)


def _check_folder_takes_files(folder: Path) -> None:
    if not folder.is_dir():
        raise BadOutput(f"The folder {folder} does not exist.", "Make it first, or choose another place.")
    try:
        # only a real file tells: permission bits say nothing about read-only disks, quotas and the superuser
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadOutput(f"Nothing can be written into {folder} ({reason}).", "Choose another folder.") from error


def to_json(value: Any) -> str:
    """Write JSON that every reader takes: numbers that are not finite become null."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
