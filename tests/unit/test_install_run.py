"""install.py at work: real virtual environments and the real pip, on a stand-in checkout and without a network."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from file_server import serving
from standin_checkout import Checkout, make_torch, make_wheel

STEPS = ["environment", "torch", "engine", "model", "demo"]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and permissions")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout that was installed as a newcomer would, with Krita's variables around and nothing writable."""
    checkout = Checkout(tmp_path_factory.mktemp("finished"))
    for path in checkout.root.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = checkout.files()
    result = checkout.install(PYTHONPATH=str(checkout.root), PYTHONHOME=sys.base_prefix, PIP_TARGET="/nowhere")
    assert result.returncode == 0, result.stdout + result.stderr
    assert checkout.files() == before
    for path in checkout.root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return checkout


@pytest.fixture
def installed(checkout: Checkout, finished: Checkout) -> Checkout:
    """A checkout whose data directory is a copy of a finished one."""
    checkout.take_over(finished)
    return checkout


def record(checkout: Checkout) -> dict[str, object]:
    content: dict[str, object] = json.loads((checkout.home / "install.json").read_text("utf-8"))
    return content


def done(checkout: Checkout) -> list[str]:
    """Return the steps that count as finished, which is what Krita asks."""
    steps = record(checkout)["done"]
    assert isinstance(steps, dict)
    return list(steps)


def skipped(result: subprocess.CompletedProcess[str]) -> list[bool]:
    assert result.returncode == 0, result.stdout + result.stderr
    return [line.endswith("already done") for line in result.stdout.splitlines() if line.startswith("[")]


def test_a_first_run_ends_with_a_picture(finished: Checkout) -> None:
    assert record(finished)["running"] == "" and done(finished) == STEPS
    assert "--seed" in (finished.home / "demo.png").read_text("utf-8")
    assert (finished.home / "demo-report.png").exists()
    assert (finished.home / "models" / "faces").is_dir()
    log = (finished.home / "install.log").read_text("utf-8")
    assert "Successfully installed torch-2.13.0" in log and "out of reach and left out" in log
    leftovers = [path.name for path in finished.home.iterdir() if path.name.startswith(".install-")]
    assert leftovers == [".install-lock"]


def test_a_second_run_does_nothing(installed: Checkout) -> None:
    result = installed.install()
    assert skipped(result) == [True] * 5
    assert str(installed.home / "demo.png") in result.stdout
    assert "krita-drag" in result.stdout
    assert skipped(installed.install("--no-demo")) == [True] * 4


def test_a_newer_checkout_updates_the_engine_only(installed: Checkout) -> None:
    main = installed.root / "engine" / "__main__.py"
    main.write_text(main.read_text("utf-8").replace("ANSWER = 1", "ANSWER = 2"), "utf-8")
    assert skipped(installed.install()) == [True, True, False, True, True]
    code = "from engine.__main__ import ANSWER; print(ANSWER)"
    answer = subprocess.run([installed.python(), "-I", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "2"


def to_do(checkout: Checkout) -> int:
    """Count the steps that the next run would do."""
    return checkout.install("--dry-run", "--no-model").stdout.count("would be done")


def test_a_broken_environment_is_made_anew(installed: Checkout) -> None:
    assert to_do(installed) == 0
    info = next(installed.home.rglob("torch-*.dist-info"))
    info.rename(info.with_name("away"))
    assert to_do(installed) == 3
    info.with_name("away").rename(info)
    (installed.home / "install.json").rename(installed.home / "away.json")
    (installed.home / "install.json").write_text("{", "utf-8")
    assert to_do(installed) == 3
    (installed.home / "away.json").replace(installed.home / "install.json")
    assert to_do(installed) == 0
    moved = installed.home.rename(installed.home.with_name("moved"))
    assert "would be done" in installed.install("--dry-run", "--home", str(moved)).stdout
    moved.rename(installed.home)
    installed.python().unlink()
    assert to_do(installed) == 3
    assert skipped(installed.install("--no-model")) == [False] * 3
    assert to_do(installed) == 0


def test_an_environment_of_somebody_else_is_left_alone(checkout: Checkout) -> None:
    precious = checkout.home / "engine-venv" / "precious"
    precious.parent.mkdir(parents=True)
    precious.touch()
    for _ in range(2):
        result = checkout.install("--no-model")
        assert result.returncode == 1 and "not from here" in result.stderr and "--repair" in result.stderr
        assert precious.exists() and len(list(checkout.home.iterdir())) == 1


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_a_sentence(number: signal.Signals, installed: Checkout) -> None:
    (installed.root / "engine" / "new.py").touch()
    code, output = installed.stop_in_pip(number)
    assert code == 130
    assert "Stopped. Run the same command again to continue." in output and "Traceback" not in output
    assert record(installed)["running"] == "engine" and "engine" not in done(installed)
    assert to_do(installed) == 3  # pip was at work: its leavings are not trusted


@posix_only
def test_a_killed_run_is_continued(installed: Checkout) -> None:
    (installed.root / "engine" / "new.py").touch()
    code, output = installed.stop_in_pip(signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert "Another installation is at work" in output
    assert record(installed)["running"] == "engine" and "engine" not in done(installed)
    assert skipped(installed.install()) == [False, False, False, True, True]
    assert record(installed)["running"] == "" and sorted(done(installed)) == sorted(STEPS)
    assert not list(installed.home.glob(".install-*-*"))


def test_a_torch_that_is_not_to_be_had(installed: Checkout) -> None:
    result = installed.install("--torch", "torch==99.0", "--no-model")
    assert result.returncode == 1
    assert "no such torch" in result.stderr and "--torch SPEC" in result.stderr and "install.log" in result.stderr
    assert "Traceback" not in result.stderr
    assert "torch" not in done(installed)
    make_torch(installed.wheels, "99.0", claims="99.0")
    assert skipped(installed.install("--torch", "torch==99.0", "--no-model")) == [True, False, False]
    assert skipped(installed.install("--no-model")) == [True] * 3  # the choice is kept


def test_a_torch_that_lies_about_its_version(installed: Checkout) -> None:
    make_torch(installed.wheels, claims="1.13.1")
    result = installed.install("--repair", "--no-model")
    assert result.returncode == 1
    assert "torch 1.13.1 is too old" in result.stderr and "Traceback" not in result.stderr
    assert to_do(installed) == 3


def test_the_cpu_index_comes_first_when_it_answers(installed: Checkout) -> None:
    wheel = make_torch(installed.wheels)
    files = {"/cpu/torch/": f'<a href="/{wheel.name}">{wheel.name}</a>'.encode(), f"/{wheel.name}": wheel.read_bytes()}
    wheel.unlink()
    installed.env.pop("PIP_NO_INDEX")
    with serving(files) as server:
        installed.use_cpu_index(f"{server.url}/cpu")
        installed.env["PIP_INDEX_URL"] = f"{server.url}/none"
        result = installed.install("--repair", "--no-model", "--torch", "cpu")
    assert skipped(result) == [False] * 3
    assert f"Looking in indexes: {server.url}/cpu" in (installed.home / "install.log").read_text("utf-8")


def test_torch_of_the_running_python_is_reused(installed: Checkout, tmp_path: Path) -> None:
    venv = tmp_path / "other venv"
    python = venv / installed.python().relative_to(installed.home / "engine-venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    refused = installed.install("--reuse-torch", "--no-model", python=python)
    assert refused.returncode == 1
    assert "PyTorch does not load" in refused.stderr and "--torch auto" in refused.stderr
    assert to_do(installed) == 0  # what worked before was not given up for it
    torch = next(venv.rglob("site-packages")) / "torch"
    torch.mkdir()
    (torch / "__init__.py").write_text("raise OSError('libgomp.so.1 is missing')")
    assert "libgomp.so.1 is missing" in installed.install("--reuse-torch", python=python).stderr
    (torch / "__init__.py").write_text("__version__ = '2.4.1'")
    result = installed.install("--reuse-torch", "--no-model", python=python)
    assert "torch 2.4.1, reused" in result.stdout and skipped(result) == [False] * 3
    code = "import torch, engine; print(torch.__version__)"
    shown = subprocess.run([installed.python(), "-I", "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "2.4.1"


@pytest.mark.parametrize("word", ["models", "drag"])
def test_when_the_engine_fails_its_words_are_passed_on(word: str, installed: Checkout) -> None:
    shutil.rmtree(installed.home / "models")
    (installed.home / "demo.png").unlink()
    result = installed.install(STANDIN_FAIL=word)
    assert result.returncode == 1
    assert "error: the stand-in was told to fail" in result.stderr
    assert f"krita-drag {word} did not succeed" in result.stderr
    assert skipped(installed.install()) == [True, True, True, word == "drag", False]


def test_uninstalling_keeps_the_models_unless_told(installed: Checkout) -> None:
    for name in ("models.lock", "pins.json", "sketch.kra"):
        (installed.home / name).touch()
    result = installed.install("--uninstall")
    assert result.returncode == 1 and "--yes" in result.stderr and installed.python().exists()
    assert installed.install("--uninstall", "--yes").returncode == 0
    assert {path.name for path in installed.home.iterdir()} == {"models", "models.lock", "pins.json", "sketch.kra"}
    assert installed.install("--uninstall", "--yes", "--purge").returncode == 0
    assert [path.name for path in installed.home.iterdir()] == ["sketch.kra"]
    assert "nothing to remove" in installed.install("--uninstall", "--yes").stdout


def test_the_test_command_passes_arguments_and_exit_code(checkout: Checkout) -> None:
    for _ in range(2):
        result = checkout.install("--test", "-k", "some thing", "-x")
        assert result.returncode == 5, result.stdout + result.stderr
        assert f"arguments: ['-k', 'some thing', '-x'] in {checkout.root}" in result.stdout
    assert result.stdout.count("already done") == 3
    assert not checkout.home.exists()


def flatpak(checkout: Checkout) -> Path:
    """Let the user have a Krita of an unknown make, and the package index have pyzmq for it; return its resources."""
    resources = checkout.user / ".var/app/org.kde.krita/data/krita"
    resources.mkdir(parents=True)
    for python in ("cp38-cp38", "cp310-cp310", "cp311-cp311", "cp312-abi3"):
        for system in ("manylinux2014_x86_64", "manylinux2014_aarch64", "win_amd64", "macosx_11_0_universal2"):
            wheel = make_wheel(checkout.wheels, "pyzmq", "27.0", {"zmq/__init__.py": "", "zmq/tests/test.py": ""})
            wheel.rename(wheel.with_name(f"pyzmq-27.0-{python}-{system}.whl"))
    return resources


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Flatpak")
def test_the_plugin_goes_into_krita_and_out_again(installed: Checkout) -> None:
    resources = flatpak(installed)
    settings = installed.user / ".var/app/org.kde.krita/config/kritarc"
    assert f"plugin for Krita, {resources}: would be" in installed.install("--dry-run").stdout
    assert not (resources / "pykrita").exists()
    assert installed.install("--no-krita").returncode == 0
    assert not (resources / "pykrita").exists()
    result = installed.install()
    assert skipped(result) == [True] * 5
    assert f"{resources}: plugin installed and switched on" in result.stdout
    plugin = resources / "pykrita" / "krita_drag"
    assert json.loads((plugin / "installed.json").read_text("utf-8")) == {"home": str(installed.home)}
    vendored = {path.name.partition("-")[0] for path in (plugin / "vendor").iterdir()}
    assert vendored == {"cp38", "cp310", "cp311", "cp312"}
    assert not list(plugin.rglob("test.py"))
    assert "enable_krita_drag=true" in settings.read_text("utf-8")
    for wheel in installed.wheels.glob("pyzmq*"):
        wheel.unlink()
    assert "plugin updated" in installed.install().stdout  # what was fetched is kept
    listed = installed.install("--uninstall", "--dry-run").stdout
    assert f"To be removed: {plugin}" in listed and plugin.exists()
    assert installed.install("--uninstall", "--yes").returncode == 0
    assert not plugin.exists() and "enable_krita_drag" not in settings.read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Flatpak")
def test_pyzmq_that_is_not_to_be_had(installed: Checkout) -> None:
    resources = flatpak(installed)
    for wheel in installed.wheels.glob("pyzmq*"):
        wheel.unlink()
    result = installed.install()
    assert result.returncode == 1
    assert "Fetching pyzmq for Krita's Python 3.8" in result.stderr and "Traceback" not in result.stderr
    assert not list(resources.rglob("krita_drag*"))


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Flatpak")
def test_a_file_for_kritas_importer(checkout: Checkout) -> None:
    flatpak(checkout)
    archive = checkout.root.parent / "krita_drag.zip"
    result = checkout.install("--zip", str(archive))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Import Python Plugin from File" in result.stdout
    names = set(zipfile.ZipFile(archive).namelist())
    assert {"krita_drag/", "krita_drag/__init__.py", "krita_drag.desktop"} <= names
    assert {name.partition("/")[0] for name in names} == {"krita_drag", "krita_drag.desktop"}
    vendored = {name.split("/")[2] for name in names if name.startswith("krita_drag/vendor/") and name.count("/") > 2}
    assert len(vendored) == 16
    assert done(checkout) == ["environment"]  # and Krita does not take that for the engine
    assert not list(checkout.user.rglob("pykrita"))
