"""install.py on this very checkout: what it installs is whole and starts on its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "engine": ROOT / "engine",
    "stylegan2": ROOT / "stylegan2",
    "krita_drag": ROOT / "krita_plugin" / "krita_drag",
}


def test_the_installed_engine_is_whole(tmp_path: Path) -> None:
    home = tmp_path / "Jürgen 画"
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(ROOT / "install.py"), "--reuse-torch", "--no-model", "--no-krita"]
    command += ["--home", str(home)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", env=env, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    scripts = home / "engine-venv" / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([scripts / "krita-drag", "--version"], cwd=tmp_path, check=True)
    modules = sorted(
        ".".join((name, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
        for name, folder in FOLDERS.items()
        for path in folder.rglob("*.py")
    )
    code = (
        "import importlib.util, sys; "
        "found = {n: importlib.util.find_spec(n) for n in sys.argv[1:]}; "
        "print(*[n for n, spec in found.items() if not spec or 'engine-venv' not in spec.origin])"
    )
    missing = subprocess.run(
        [scripts / "python", "-I", "-c", code, *modules], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (missing.stdout.strip(), missing.stderr) == ("", "")
