"""Where an installed program keeps its files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import krita_drag

import engine
from engine.paths import HOME_VARIABLE


def said_by(packages: Path, **variables: str) -> Path:
    """The data folder according to a program in `packages`, asked in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != HOME_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", "from engine.paths import data_dir; print(ascii(str(data_dir())))"],
        env=inherited | {"PYTHONPATH": str(packages)} | variables,
        cwd=packages,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip()[1:-1])


def test_an_installed_program_finds_its_own_home(tmp_path: Path) -> None:
    home = tmp_path / "chosen"
    packages = home / "engine-venv" / "lib" / "site-packages"
    for package in (engine, krita_drag):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, packages / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    assert said_by(packages) not in (home, home.resolve()), "an environment that install.py did not make"
    (home / "install.json").write_text("{}", "utf-8")
    assert said_by(packages) == home.resolve()
    assert said_by(packages, **{HOME_VARIABLE: str(tmp_path)}) == tmp_path


def test_a_checkout_uses_the_usual_folder(tmp_path: Path) -> None:
    assert said_by(Path(__file__).parents[2]).name == "krita-drag"
