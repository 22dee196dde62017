"""A checkout that install.py can install in seconds, without a network: real pip, real wheels, tiny packages.

The engine, PyTorch and pytest are stand-ins of a few lines; install.py, the virtual environments and pip are real.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNREACHABLE = "http://127.0.0.1:9"  # the discard service, which nobody runs: connections are refused

PYPROJECT = """
[build-system]
requires = []
build-backend = "tiny_backend"
backend-path = ["krita_plugin"]

[project]
name = "krita-drag"
version = "0.1.0"
"""

# Waits when told to, so that a test can kill the installer in the middle of pip's work.
BACKEND = """
import os, time, zipfile
from pathlib import Path

INFO = "krita_drag-0.1.0.dist-info/"

def _build(folder, files):
    while os.environ.get("STANDIN_WAIT"):
        Path(os.environ["STANDIN_WAIT"]).touch()
        time.sleep(0.05)
    name = "krita_drag-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        metadata = "Metadata-Version: 2.1\\nName: krita-drag\\nVersion: 0.1.0\\nProvides-Extra: test\\n"
        wheel.writestr(INFO + "METADATA", metadata + "Requires-Dist: pytest; extra == 'test'\\n")
        tags = "Generator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(INFO + "WHEEL", "Wheel-Version: 1.0\\n" + tags)
        wheel.writestr(INFO + "entry_points.txt", "[console_scripts]\\nkrita-drag = engine.__main__:main\\n")
        wheel.writestr(INFO + "RECORD", "")
    return name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    return _build(folder, {f"engine/{path.name}": path.read_text("utf-8") for path in Path("engine").glob("*.py")})

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _build(folder, {"krita_drag_editable.pth": f"import sys; sys.path.append({os.getcwd()!a})\\n"})
"""

ENGINE = """
import os, sys
from pathlib import Path

ANSWER = 1

def main():
    words, home = sys.argv[1:], Path(os.environ["KRITA_DRAG_HOME"])
    if os.environ.get("STANDIN_FAIL") in words:
        sys.exit("error: the stand-in was told to fail")
    if words[0] == "models":
        (home / "models" / words[2]).mkdir(parents=True, exist_ok=True)
        print("licence of the model")
    else:
        for name in ("-o", "--report"):
            Path(words[words.index(name) + 1]).write_text(" ".join(words), "utf-8")

if __name__ == "__main__":
    main()
"""

PYTEST = """
import os, sys
import torch
print("arguments:", sys.argv[1:], "in", os.getcwd())
sys.exit(5)
"""


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a wheel with these files and return its path."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info/"
    with zipfile.ZipFile(path, "w") as wheel:
        for inner, text in files.items():
            wheel.writestr(inner, text)
        wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            info + "WHEEL", "Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(info + "RECORD", "")
    return path


def make_torch(folder: Path, version: str = "2.13.0", claims: str = "2.13.0") -> Path:
    """Write a stand-in for PyTorch that says it is version `claims`."""
    return make_wheel(folder, "torch", version, {"torch/__init__.py": f"__version__ = {claims!r}\n"})


class Checkout:
    """A copy of install.py in a folder of its own, with stand-ins around it.

    Attributes:
        root: the checkout.
        home: krita-drag's data directory for its runs.
        wheels: the folder that pip takes everything from.
        env: environment of its runs.
        user: the home folder of its runs, where a Krita may have left its profile.
    """

    def __init__(self, folder: Path) -> None:
        self.user = folder / "user"
        self.root, self.home, self.wheels = folder / "Jürgen 画", folder / "data 画", folder / "wheels"
        for path in (self.root / "engine", self.root / "krita_plugin", self.wheels):
            path.mkdir(parents=True)
        (self.root / "pyproject.toml").write_text(PYPROJECT, "utf-8")
        (self.root / "krita_plugin" / "tiny_backend.py").write_text(BACKEND, "utf-8")
        (self.root / "engine" / "__init__.py").write_text("", "utf-8")
        (self.root / "engine" / "__main__.py").write_text(ENGINE, "utf-8")
        for name in ("install.py", "engine/krita_finder.py"):
            shutil.copyfile(ROOT / name, self.root / name)
        for name in ("krita_drag", "installing"):
            source = ROOT / "krita_plugin" / name
            shutil.copytree(source, self.root / "krita_plugin" / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.use_cpu_index(UNREACHABLE)
        shutil.copyfile(ROOT / "krita_plugin" / "krita_drag.desktop", self.root / "krita_plugin" / "krita_drag.desktop")
        make_torch(self.wheels)
        make_wheel(self.wheels, "pytest", "9.0", {"pytest/__init__.py": "", "pytest/__main__.py": PYTEST})
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "XDG_"))}
        self.env.update(HOME=str(self.user), APPDATA=str(self.user), LOCALAPPDATA=str(self.user))
        self.env.update(KRITA_DRAG_HOME=str(self.home), PIP_CONFIG_FILE=os.devnull, NO_PROXY="127.0.0.1")
        self.env.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=self.wheels.as_uri(), PIP_NO_CACHE_DIR="1")

    def use_cpu_index(self, url: str) -> None:
        """Put another address in the place of PyTorch's CPU index."""
        path = Path("krita_plugin", "installing", "torch_choice.py")
        text = (ROOT / path).read_text("utf-8")
        official = "https://download.pytorch.org/whl/cpu"
        assert official in text
        (self.root / path).write_text(text.replace(official, url), "utf-8")

    def command(self, *arguments: str, python: Path | str = sys.executable) -> list[str]:
        """Return the command line of a run."""
        return [str(python), str(self.root / "install.py"), *arguments]

    def install(
        self, *arguments: str, python: Path | str = sys.executable, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run install.py to its end, from a working directory that has nothing to do with it."""
        command = self.command(*arguments, python=python)
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", env={**self.env, "PYTHONIOENCODING": "utf-8", **env},
            stdin=subprocess.DEVNULL, cwd=self.root.parent, check=False,
        )  # fmt: skip

    def stop_in_pip(self, number: int, *arguments: str) -> tuple[int, str]:
        """Start a run and send it a signal while pip builds the engine.

        Returns:
            Exit code and messages; after a SIGKILL, the messages of a second run while the first one's pip still lives.
        """
        waiting = self.root.parent / "waiting"
        child = subprocess.Popen(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
            env={**self.env, "STANDIN_WAIT": str(waiting)}, start_new_session=True,
        )  # fmt: skip
        while not waiting.exists():
            assert child.poll() is None, child.communicate()[0]
        (os.killpg if number == signal.SIGINT else os.kill)(child.pid, number)  # a terminal tells the whole group
        if number == signal.SIGKILL:
            child.wait()
            output = self.install(*arguments).stderr  # pip is still at work
            os.killpg(child.pid, number)
            assert child.stdout
            child.stdout.close()
        else:
            output = child.communicate()[0]
            with contextlib.suppress(ProcessLookupError):  # a build that only waits would wait for ever
                os.killpg(child.pid, signal.SIGKILL)
        waiting.unlink()
        return child.returncode, output

    def files(self) -> dict[str, bytes]:
        """Return everything in the checkout."""
        return {str(path): path.read_bytes() for path in sorted(self.root.rglob("*")) if path.is_file()}

    def python(self) -> Path:
        """Return the Python of the installed environment."""
        return self.home / "engine-venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def take_over(self, finished: Checkout) -> None:
        """Begin with a copy of what another checkout has installed (the Python of an environment can be moved)."""
        shutil.copytree(finished.home, self.home, symlinks=True)
        record = json.loads((self.home / "install.json").read_text("utf-8"))
        key = record["done"]["environment"].replace(str(finished.home), str(self.home))
        record["done"]["environment"] = key
        (self.home / "install.json").write_text(json.dumps(record), "utf-8")
