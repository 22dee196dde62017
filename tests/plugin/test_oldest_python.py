"""Krita's official 5.0 and 5.1 embed Python 3.8: no file of the plugin may need a newer one."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import krita_drag
import pytest

PLUGIN = Path(krita_drag.__file__).parent
FILES = sorted(path for path in PLUGIN.rglob("*.py") if "vendor" not in path.parts)
PURE = ("geometry", "pairs", "marker_shapes", "settings", "session", "docker_view", "wire.messages", "wire.codec")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGIN)))
def test_the_syntax_is_that_of_python_3_8(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    if len(tree.body) == 1:
        return  # a docstring
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert "annotations" in names, "without it, annotations like int | None are evaluated"


@pytest.mark.skipif(shutil.which("python3.8") is None, reason="there is no Python 3.8 here")
def test_python_3_8_itself_imports_what_needs_no_qt() -> None:
    code = "; ".join(f"import krita_drag.{name}" for name in PURE)
    done = subprocess.run(["python3.8", "-c", code], cwd=PLUGIN.parent, capture_output=True, text=True, check=False)
    if "command not found" in done.stderr:  # a shim of pyenv that leads nowhere
        pytest.skip("python3.8 does not run here")
    assert done.returncode == 0, done.stderr
