"""Texts for the user in their language: `translations/LANGUAGE.json` holds English -> translated.

`translations/template.json` lists every text there is; a test keeps it complete.
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent / "translations"
_texts: dict[str, str] = {}


def load(language: str) -> None:
    """Use a language from here on.

    Args:
        language: as Qt names it, "pt_BR"; falls back to "pt", then to English.
    """
    _texts.clear()
    for name in (language, language.split("_")[0]):
        path = FOLDER / f"{name}.json"
        if path.is_file():
            _texts.update(json.loads(path.read_text("utf-8")))
            return


def tr(text: str, **values: object) -> str:
    """Return a text in the user's language, with the values of its {places} filled in."""
    return _texts.get(text, text).format(**values)
