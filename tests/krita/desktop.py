"""An X server of the tests' own, with a window manager, real mouse and keyboard events, and screenshots."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

PROGRAMS = ("Xvfb", "openbox", "xdotool", "import")
# Of the environment of the tests, these would reach into Krita: Python's paths, the developer's desktop and themes.
_DROPPED = ("PYENV", "PYTHON", "QT_", "DBUS_", "XDG_", "WAYLAND", "DISPLAY", "VIRTUAL_ENV", "LC_", "LD_")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """End a process that was started in a session of its own, and whatever it left in that session."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


class Desktop:
    """Xvfb on a display that it picks itself, so that several can run at once, and openbox.

    Args:
        folder: where the logs go.
        size: width and height of the screen in pixels.
        dpi: what the screen claims; 192 makes Qt scale by 2 where that is switched on.
    """

    def __init__(self, folder: Path, size: tuple[int, int] = (1600, 1000), dpi: int = 96) -> None:
        self.folder, self.size, self.dpi = folder, size, dpi
        self.display = ""
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Desktop:
        try:
            self._start_server()
            self._spawn(["openbox", "--sm-disable"], self.environment())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def environment(self) -> dict[str, str]:
        """Return an environment that shows programs on this desktop and little of ours."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
        return {**kept, "PATH": _SYSTEM_PATH, "DISPLAY": self.display, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}

    def close(self) -> None:
        """End the window manager, then the server."""
        while self._processes:
            end(self._processes.pop(), 5)

    def xdotool(self, *words: object) -> str:
        """Run one chain of xdotool's commands; they reach the programs as events of a real device would."""
        command = ["xdotool", *(str(word) for word in words)]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def click(self, xy: Sequence[float], button: int = 1) -> None:
        """Press and release at a point of the screen."""
        self.xdotool("mousemove", *_pixel(xy), "sleep", 0.05, "mousedown", button, "sleep", 0.05, "mouseup", button)

    def click_middle(self, box: Sequence[float]) -> None:
        """Click the middle of a part of the screen (x, y, width, height)."""
        x, y, width, height = box
        self.click((x + width / 2, y + height / 2))

    def drag(
        self, path: Iterable[Sequence[float]], button: int = 1, pause_s: float = 0.02, modifiers: Sequence[str] = ()
    ) -> None:
        """Press at the first point of the screen, move through the others, release at the last."""
        first, *others = path
        words: list[object] = [word for name in modifiers for word in ("keydown", name)]
        words += ["mousemove", *_pixel(first), "sleep", 0.05, "mousedown", button, "sleep", 0.05]
        for point in others:
            words += ["mousemove", *_pixel(point), "sleep", pause_s]
        words += ["sleep", 0.05, "mouseup", button]
        self.xdotool(*words, *(word for name in modifiers for word in ("keyup", name)))

    def press(self, xy: Sequence[float], button: int = 1) -> None:
        """Press at a point of the screen, and hold."""
        self.xdotool("mousemove", *_pixel(xy), "sleep", 0.05, "mousedown", button)

    def move(self, path: Iterable[Sequence[float]], pause_s: float = 0.02) -> None:
        """Move the pointer through points of the screen, with whatever is held."""
        self.xdotool(*(word for point in path for word in ("mousemove", *_pixel(point), "sleep", pause_s)))

    def release(self, button: int = 1) -> None:
        """Let go where the pointer is."""
        self.xdotool("mouseup", button)

    def key(self, *names: str) -> None:
        """Press and release keys, by their X names, such as `ctrl+z` or `Escape`."""
        self.xdotool("key", "--delay", 30, *names)

    def type(self, text: str) -> None:
        """Type a text where the keyboard's focus is."""
        self.xdotool("type", "--delay", 5, text)

    def screenshot(self, path: Path, rect: Sequence[int] | None = None) -> None:
        """Save the screen or the part (x, y, width, height) of it as a picture."""
        crop = ["-crop", "{2}x{3}+{0}+{1}".format(*rect), "+repage"] if rect else []
        command = ["import", "-silent", "-window", "root", *crop, str(path)]
        subprocess.run(command, env=self.environment(), timeout=60, check=True)

    def _start_server(self) -> None:
        reader, writer = os.pipe()
        width, height = self.size
        screen = ["-screen", "0", f"{width}x{height}x24", "-dpi", str(self.dpi), "-nolisten", "tcp", "-noreset"]
        try:
            self._spawn(["Xvfb", "-displayfd", str(writer), *screen], dict(os.environ), pass_fds=(writer,))
            os.close(writer)
            number = b""
            while not number.endswith(b"\n"):
                if not select.select([reader], [], [], 30)[0] or not (chunk := os.read(reader, 16)):
                    raise RuntimeError(f"Xvfb did not start: {(self.folder / 'Xvfb.log').read_text(errors='replace')}")
                number += chunk
        finally:
            os.close(reader)
        self.display = f":{number.decode().strip()}"

    def _spawn(self, command: list[str], env: dict[str, str], pass_fds: tuple[int, ...] = ()) -> None:
        with (self.folder / f"{command[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, pass_fds=pass_fds,
            )  # fmt: skip
        self._processes.append(process)


def _pixel(xy: Sequence[float]) -> list[int]:
    return [round(value) for value in xy]
