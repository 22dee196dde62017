"""What the user chose last: a dataclass, stored as one JSON text in Krita's own settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Callable

from .wire.vocabulary import PRESETS, SOLVERS


@dataclass(frozen=True)
class Settings:
    """Every choice with its default; immutable, replaced as a whole.

    Attributes:
        model: name of the model that opens new edits.
        live: the picture follows while an end is pulled.
        stay_close: 0 (anything the model can do) to 1 (hardly leave the picture).
        solver: one of the protocol's `SOLVERS`.
        max_steps: after which a drag ends wherever it is.
        preset: of preparing a photo, one of the protocol's `PRESETS`.
        preview_px: longest side of a preview.
        animation: Apply puts the way there on the timeline instead of one layer.
        separate_mask: Apply puts the feathered edge into a transparency mask.
        remote_address: a paired engine on another machine; empty: the local one.
        advanced_open: whether the folded part of the docker is open.
    """

    model: str = "faces"
    live: bool = False
    stay_close: float = 0.5
    solver: str = "newton"
    max_steps: int = 300
    preset: str = "balanced"
    preview_px: int = 512
    animation: bool = False
    separate_mask: bool = True
    remote_address: str = ""
    advanced_open: bool = False

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Settings:
        """Read stored settings; a key that is unknown or wrong is left at its default."""
        try:
            stored = json.loads(text) if text else {}
        except ValueError:
            stored = {}
        if not isinstance(stored, dict):
            stored = {}
        names = {field.name for field in fields(Settings)}
        return Settings(**{key: value for key, value in stored.items() if key in names and is_valid(key, value)})


def is_valid(key: str, value: Any) -> bool:
    """Whether a value may be stored under a key."""
    return type(value) in _types(key) and _CHECKS.get(key, lambda _: True)(value)


def _types(key: str) -> tuple[type, ...]:
    kind = type(getattr(Settings, key))
    return (float, int) if kind is float else (kind,)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "model": lambda name: 0 < len(name) <= 100,
    "stay_close": lambda value: 0 <= value <= 1,
    "solver": lambda name: name in SOLVERS,
    "max_steps": lambda count: 1 <= count <= 5000,
    "preset": lambda name: name in PRESETS,
    "preview_px": lambda size: 128 <= size <= 1024,
    "remote_address": lambda address: len(address) <= 500,
}
