"""A real Krita in throw-away folders, asked and steered from outside through the probe plugin."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from desktop import Desktop, end

PROBE = Path(__file__).parent / "probe"
_TOP = "globalSnapImageBounds=false\nglobalSnapImageCenter=false\n"  # the line tool is to draw where the mouse is
_FOLDERS = ("config", "data", "cache", "run", "tmp")


class KritaError(AssertionError):
    """Krita did not do what a test asked for; the message holds what it printed."""


class Profile:
    """Home and XDG folders of one Krita.

    A Krita that finds no resource database builds one, which takes half a minute; a copy of a profile that has one
    starts in a few seconds.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()  # Krita hangs on relative XDG folders
        self.resources = self.root / "data" / "krita"
        self.kritarc = self.root / "config" / "kritarc"

    def make(self, opengl: str = "none", settings: str = "") -> Profile:
        """Create what is missing: folders, the probe, and settings that keep Krita quiet and apart from others."""
        for name in _FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "run").chmod(0o700)
        plugins = self.resources / "pykrita"
        plugins.mkdir(parents=True, exist_ok=True)
        for path in PROBE.iterdir():
            if not (plugins / path.name).is_symlink():
                (plugins / path.name).symlink_to(path)
        self.kritarc.write_text(f"{_TOP}{settings}[python]\nenable_krita_drag_probe=true\n")
        display = f"[General]\nOpenGLRenderer={opengl}\nEnableSingleApplication=false\nLogUsage=false\n"
        (self.root / "config" / "kritadisplayrc").write_text(display)
        return self

    def variables(self) -> dict[str, str]:
        """Return the environment variables that make Krita live here."""
        xdg = {"CONFIG_HOME": "config", "DATA_HOME": "data", "CACHE_HOME": "cache", "RUNTIME_DIR": "run"}
        folders = {f"XDG_{name}": str(self.root / folder) for name, folder in xdg.items()}
        return {**folders, "HOME": str(self.root), "TMPDIR": str(self.root / "tmp")}

    def copy_to(self, root: Path) -> Profile:
        """Copy without what belongs to one run."""
        passing = shutil.ignore_patterns("tmp", "run", "kritarc", "kritadisplayrc", "pykrita", "*.log")
        shutil.copytree(self.root, root, symlinks=True, ignore=passing)
        return Profile(root)


class KritaSession:
    """Krita on a desktop; use as a context manager.

    Args:
        folder: for logs and the socket; must exist.
        desktop: where its windows appear.
        profile: made already.
        document: file to open.
        env: more environment variables.
    """

    def __init__(
        self,
        folder: Path,
        desktop: Desktop,
        profile: Profile,
        document: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.desktop, self.profile, self.document = folder, desktop, profile, document
        self.extra_env = dict(env or {})
        self.output = folder / "krita.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._buffer = b""

    def __enter__(self) -> KritaSession:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self, timeout_s: float = 180) -> KritaSession:
        """Start Krita and wait until its window, and the document, can be used."""
        # a path of a socket may have no more than 107 bytes
        address = Path(tempfile.mkdtemp(prefix="kd-")) / "probe"
        env = {
            **self.desktop.environment(),
            **self.profile.variables(),
            "KRITA_DRAG_PROBE": str(address),
            "KRITA_DRAG_PROBE_DOCUMENT": "1" if self.document else "",
            "QT_QPA_PLATFORM": "xcb",
            "QT_ACCESSIBILITY": "0",
            "NO_AT_BRIDGE": "1",
            "KDE_DEBUG": "1",  # a crash ends the process instead of leaving a crash handler
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.extra_env,
        }
        command = ["krita", "--nosplash", *([str(self.document)] if self.document else [])]
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            self._connect(address, time.monotonic() + timeout_s)
        finally:
            shutil.rmtree(address.parent)
        return self

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def run(self, code: str, timeout_s: float = 60, **given: object) -> Any:
        """Run Python on Krita's GUI thread and return its value (see probe/); `given` are names that it can use."""
        if self._socket is None:
            raise KritaError("Krita is not running.")
        request = json.dumps({"code": code, "given": given}).encode("ascii") + b"\n"
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(request)
            while b"\n" not in self._buffer:
                chunk = self._socket.recv(1 << 20)
                if not chunk:
                    raise KritaError(f"Krita went away.\n{self.printed()}")
                self._buffer += chunk
        except OSError as error:
            raise KritaError(f"No answer to {code!r}: {error}\n{self.printed()}") from error
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply = json.loads(line, object_hook=_decode)
        if "error" in reply:
            raise KritaError(reply["error"])
        return reply["value"]

    def until(self, code: str, timeout_s: float = 60, **given: object) -> Any:
        """Ask again and again until the value is true, and return it."""
        deadline = time.monotonic() + timeout_s
        while not (value := self.run(code, **given)):
            if time.monotonic() > deadline:
                raise KritaError(f"Still not true after {timeout_s:g} s: {code}\n{self.printed()}")
            time.sleep(0.05)
        return value

    def printed(self) -> str:
        """Return what Krita wrote to its standard output and error."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def quit(self, timeout_s: float = 60) -> int:
        """Close Krita as the menu does, unsaved changes dropped, and return its exit code."""
        assert self.process
        self.run("[d.setModified(False) for d in k.documents()]")
        later = "from PyQt5.QtCore import QTimer; QTimer.singleShot(0, k.action('file_quit').trigger)"
        self.run(later)
        code = self.process.wait(timeout_s)
        self._disconnect()
        return code

    def close(self) -> None:
        """End Krita however it stands; its children in other sessions are left to themselves."""
        with contextlib.suppress(KritaError, subprocess.TimeoutExpired):
            if self._socket is not None and self.running:
                self.quit(timeout_s=20)
        self._disconnect()
        if self.process:
            end(self.process, 10)

    def _connect(self, address: Path, deadline: float) -> None:
        assert self.process
        while True:
            with contextlib.suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.connect(str(address))
                return
            self._disconnect()
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise KritaError(f"Krita did not come up (exit code {self.process.poll()}).\n{self.printed()}")
            time.sleep(0.05)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._buffer = b""


def template_profile() -> Profile:
    """Return a profile with a resource database of the Krita installed here, made once for each version of it."""
    program = Path(shutil.which("krita") or "krita").resolve().stat()
    folder = Path(tempfile.gettempdir()) / f"krita-drag-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    root = folder / f"profile-{program.st_size}-{program.st_mtime_ns}"
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once: the second waits for the first one's work
        if not root.exists():
            with tempfile.TemporaryDirectory(dir=folder) as name:
                made = _build_template(Path(name))
                made.copy_to(Path(name) / "template").root.rename(root)
    return Profile(root)


def _build_template(folder: Path) -> Profile:
    profile = Profile(folder / "profile").make()
    with Desktop(folder) as desktop, KritaSession(folder, desktop, profile) as krita:
        code = krita.quit()
        assert code == 0, f"Krita ended with {code}.\n{krita.printed()}"
    return profile


def _decode(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if set(value) == {"base64"} else value


Start = Callable[..., KritaSession]  # starts one for a test, see conftest.py
