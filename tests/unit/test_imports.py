"""Who may import whom (docs/architecture.md): parse every file and fail on a violation."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "krita_plugin" / "krita_drag"
STDLIB = sys.stdlib_module_names
QT = {"PyQt5", "PyQt6", "pykrita"}
KRITA_MODULES = {"__init__", "extension", "failure", "document", "canvas", "docker", "markers"}
THIRD_PARTY = {"torch", "numpy", "PIL", "zmq", "safetensors", "tqdm"}
WITH_ZMQ = {"client", "connection", "keys"}
FOR_THE_ENGINE = tuple(
    f"krita_drag.{name}" for name in ("wire", "client", "connection", "engine_files", "file_lock", "keys", "places")
)

FILES = sorted(
    path
    for folder in ("engine", "stylegan2", "krita_plugin")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of every module that a file imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield ("." * node.level) + (node.module or "")


def allowed(path: Path, module: str) -> bool:
    """Decide whether the file may import the module."""
    top = module.split(".")[0]
    if top in STDLIB:
        return True
    if path.is_relative_to(PLUGIN / "wire"):
        return module.startswith("krita_drag.wire") or (module.startswith(".") and not module.startswith(".."))
    if path.is_relative_to(PLUGIN):
        return (
            module.startswith((".", "krita_drag"))
            or (top in QT and path.stem == "qt")
            or (top == "zmq" and path.stem in WITH_ZMQ)
            or (top == "krita" and path.stem in KRITA_MODULES)
        )
    if path.is_relative_to(ROOT / "krita_plugin" / "installing"):
        return top == "installing" or module == "engine.krita_finder"  # no environment yet: standard library only
    if path.is_relative_to(ROOT / "stylegan2"):
        in_checkpoints = path.parent.name == "checkpoints"
        return top in {"torch", "safetensors", "stylegan2"} or (top == "numpy" and in_checkpoints)
    if path.is_relative_to(ROOT / "engine"):
        return top in THIRD_PARTY | {"engine", "stylegan2"} or module.startswith(FOR_THE_ENGINE)
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_import_rules(path: Path) -> None:
    modules = list(imported(ast.parse(path.read_text(encoding="utf-8"))))
    assert [module for module in modules if not allowed(path, module)] == []


def test_the_rules_bite() -> None:
    assert not allowed(PLUGIN / "wire" / "codec.py", "torch")
    assert not allowed(PLUGIN / "wire" / "codec.py", "..client")
    assert not allowed(PLUGIN / "geometry.py", "krita")
    assert not allowed(PLUGIN / "docker.py", "PyQt5.QtWidgets")
    assert not allowed(ROOT / "krita_plugin" / "installing" / "plugin.py", "engine.paths")
    assert not allowed(ROOT / "stylegan2" / "ops.py", "numpy")
    assert not allowed(ROOT / "stylegan2" / "ops.py", "engine.models")
    assert not allowed(ROOT / "engine" / "cli.py", "krita_drag.docker")
    assert allowed(ROOT / "engine" / "cli.py", "krita_drag.wire.errors")


def test_the_finder_of_krita_needs_no_environment() -> None:
    tree = ast.parse((ROOT / "engine" / "krita_finder.py").read_text(encoding="utf-8"))
    assert {module.split(".")[0] for module in imported(tree)} <= STDLIB


def test_gateway_and_command_line_start_without_torch() -> None:
    """What must answer at once may not load torch when it is imported."""
    for name in ("cli", "arguments", "torch_check"):
        tree = ast.parse((ROOT / "engine" / f"{name}.py").read_text(encoding="utf-8"))
        top_level = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any(module.split(".")[0] == "torch" for node in top_level for module in imported(node))
