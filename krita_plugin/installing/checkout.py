"""The checkout that is installed from: its version, and the files that the engine is built from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "engine", "stylegan2", "krita_plugin")


def version() -> str:
    """Return the version that this checkout installs."""
    match = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    return match[1] if match else "unknown"


def source_files() -> list[Path]:
    """List the files that the engine is built from, relative to the checkout."""
    found = [path for name in SOURCES for path in (ROOT / name, *(ROOT / name).rglob("*")) if path.is_file()]
    return sorted(path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts)


def digest_of(paths: Sequence[Path]) -> str:
    """Return a hash that changes with every change of these files of the checkout."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.as_posix().encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    return digest.hexdigest()
