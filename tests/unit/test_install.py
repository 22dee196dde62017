"""install.py without installing: what it decides, what it refuses, and in which words."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "krita_plugin"))

from installing.conditions import check_python, check_space
from installing.record import only_run
from installing.running import Stop

ROOT = Path(__file__).parents[2]


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the real file in a process of its own, for a user without Krita."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    user = str(home.parent)
    env.update(HOME=user, APPDATA=user, LOCALAPPDATA=user, KRITA_DRAG_HOME=str(home), PYTHONIOENCODING="utf-8")
    command = [sys.executable, str(ROOT / "install.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env=env, stdin=subprocess.DEVNULL, check=False
    )


def test_a_torch_that_is_too_old_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    result = run("--torch", "torch==1.13", home=tmp_path / "home")
    assert result.returncode == 1
    assert "too old" in result.stderr and "--torch auto" in result.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("spec", ["", "rocm", "torch>>1", "torch==", "numpy==2.0", "torch==2.13.0; x", "--index-url=x"])
def test_a_torch_that_is_not_understood_is_refused(spec: str, tmp_path: Path) -> None:
    result = run(f"--torch={spec}", home=tmp_path / "home")
    assert result.returncode == 1
    assert "is not understood" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "home").exists()


def test_pythons_that_cannot_carry_the_engine_are_refused() -> None:
    check_python()
    with pytest.raises(Stop, match="32-bit"):
        check_python(32)


def test_an_older_python_can_read_the_file_and_says_what_it_takes() -> None:
    text = (ROOT / "install.py").read_text("utf-8")
    ast.parse(text, feature_version=(3, 6))
    assert "from __future__" not in text, "3.6 refuses that before it reads anything else"
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 18, 'final', 0); "
        f"runpy.run_path({str(ROOT / 'install.py')!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        "install.py: This is Python 3.9; krita-drag needs 3.10 or newer.\nFor example: python3.12 install.py\n"
    )


def test_missing_ensurepip_names_the_debian_package(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.modules['ensurepip'] = None; sys.argv[0] = 'install.py'; "
        f"runpy.run_path({str(ROOT / 'install.py')!r}, run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "--home", str(tmp_path / "home")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "sudo apt-get install python3-venv" in result.stderr
    assert not (tmp_path / "home").exists()


def test_disk_space_is_looked_at_first(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "there" / "yet", 0)
    with pytest.raises(Stop, match=r"GB free; the installation needs 1e\+09 GB") as raised:
        check_space(tmp_path / "not" / "there" / "yet", 1e9)
    assert "--home" in raised.value.hint


@pytest.mark.parametrize("below", [".", "deeper"])
def test_a_file_in_the_place_of_the_data_directory(below: str, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("mine")
    result = run("--home", str(tmp_path / "home" / below), home=tmp_path)
    assert result.returncode == 1
    assert "a file is in its place or above it" in result.stderr and "--home" in result.stderr
    assert (tmp_path / "home").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="folder permissions of POSIX")
def test_a_read_only_data_directory(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    home = tmp_path / "locked" / "home"
    if os.access(tmp_path / "locked", os.W_OK):  # root writes anywhere but to the kernel's folders
        home = Path("/proc/home")
    result = run(home=home)
    assert result.returncode == 1
    assert "cannot be used as a folder" in result.stderr and "--home" in result.stderr


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    with only_run(tmp_path):
        result = run(home=tmp_path)
    assert result.returncode == 1
    assert "Another installation is at work" in result.stderr
    with only_run(tmp_path):
        pass


@pytest.mark.parametrize("arguments", [(), ("--torch", "cpu", "--no-demo"), ("--uninstall", "--purge")])
def test_a_dry_run_touches_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    home = tmp_path / "Jürgen 画"
    result = run("--dry-run", *arguments, home=home)
    assert (result.returncode, result.stderr) == (0, "")
    assert str(home) in result.stdout
    assert not home.exists()


def test_a_folder_of_somebody_else_is_not_emptied(tmp_path: Path) -> None:
    files = {"engine/mine.py": "", "keys/client.key": "-----BEGIN", "install.json": '{"name": "mine"}', "demo.png": ""}
    for name, text in files.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text)
    result = run("--uninstall", "--purge", "--yes", home=tmp_path / "project")
    assert result.returncode == 1 and "no sign of krita-drag" in result.stderr and "--home" in result.stderr
    assert all((tmp_path / "project" / name).exists() for name in files)


def test_install_py_alone_says_what_is_missing(tmp_path: Path) -> None:
    copy = shutil.copy(ROOT / "install.py", tmp_path)
    result = subprocess.run([sys.executable, copy], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Get the whole project" in result.stderr


def test_no_host_but_pytorchs_own_is_named() -> None:
    files = [ROOT / "install.py", *(ROOT / "krita_plugin" / "installing").glob("*.py")]
    hosts = {part.partition("/")[0] for path in files for part in path.read_text("utf-8").split("https://")[1:]}
    assert hosts == {"download.pytorch.org"}
