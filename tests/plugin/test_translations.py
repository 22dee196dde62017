"""Every text for the user is in the template, so that a translation can be complete, and none is there for nothing.

`python tests/plugin/test_translations.py` writes the template anew.
"""

from __future__ import annotations

import ast
import json
import string
from pathlib import Path

import krita_drag
import pytest

PLUGIN = Path(krita_drag.__file__).parent
TEMPLATE = PLUGIN / "translations" / "template.json"
TABLES = {
    "PHASES": "docker_view.py",
    "REFUSALS": "docker_view.py",
    "EDIT_ACTIONS": "actions.py",
    "DESK_ACTIONS": "actions.py",
}


def texts() -> set[str]:
    """Return the arguments of all calls of `tr`, and the texts of the tables that are given to it."""
    found = set()
    for path in PLUGIN.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                found |= {one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)}
            name = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(value, ast.Dict) and isinstance(name, ast.Name) and TABLES.get(name.id) == path.name:
                entries = [one.elts[0] if isinstance(one, ast.Tuple) else one for one in value.values]
                found |= {one.value for one in entries if isinstance(one, ast.Constant)}
            if isinstance(node, ast.ClassDef) and node.name == "Remedy":
                found |= {one.value.value for one in node.body if isinstance(one, ast.Assign)}
    return {text for text in found if isinstance(text, str) and text}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_template_lists_exactly_the_texts_there_are() -> None:
    assert set(json.loads(TEMPLATE.read_text("utf-8"))) == texts()


@pytest.mark.parametrize("path", sorted(TEMPLATE.parent.glob("*.json")), ids=lambda path: path.stem)
def test_translations_fit_the_texts(path: Path) -> None:
    translations = json.loads(path.read_text("utf-8"))
    assert set(translations) == texts(), "a translation that is there is complete"
    for text, translated in translations.items():
        assert places(translated) == places(text), text


if __name__ == "__main__":
    TEMPLATE.parent.mkdir(exist_ok=True)
    lines = {text: text for text in sorted(texts())}
    TEMPLATE.write_text(json.dumps(lines, indent=2, ensure_ascii=False) + "\n", "utf-8")
