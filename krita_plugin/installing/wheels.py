"""pyzmq for the Python inside Krita, which has neither pip nor, outside Linux distributions, pyzmq.

The wheels are unpacked side by side into the plugin's folder `vendor`, one folder for each kind of Python; the plugin
picks its own (krita_drag/vendoring.py). Python 3.12 and all later ones share a wheel.
"""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 8)
# What the builds of krita.org embed: 5.0 and 5.1, 5.2, from 2026 on. 3.11: the runtime of Flatpak's 5.2.
OFFICIAL = ((3, 8), (3, 10), (3, 11), (3, 13))
STABLE_ABI = (3, 12)
PLATFORMS = {
    "win_amd64": ("win_amd64",),
    "manylinux_x86_64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "manylinux_aarch64": ("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "macosx": ("macosx_11_0_universal2", "macosx_10_15_universal2", "macosx_10_9_universal2"),
}
NEEDLESS = ("zmq/tests/", "zmq/backend/cffi/")


@dataclass(frozen=True, order=True)
class Kind:
    """One wheel's worth of Pythons."""

    release: tuple[int, int]
    system: str  # a key of PLATFORMS

    @property
    def folder(self) -> str:
        """Name of its folder in `vendor`, known to krita_drag/vendoring.py, too."""
        abi = "cp312-abi3" if self.release >= STABLE_ABI else f"cp{self.release[0]}{self.release[1]}"
        return f"{abi}-{self.system}"

    def pip_arguments(self) -> list[str]:
        """Return what makes any pip choose this wheel."""
        platforms = [word for name in PLATFORMS[self.system] for word in ("--platform", name)]
        return ["--python-version", f"{self.release[0]}.{self.release[1]}", "--implementation", "cp", *platforms]


def this_system(system: str = sys.platform, machine: str = "") -> str | None:
    """Return the key of PLATFORMS for this computer; None: there are no wheels for it."""
    machine = (machine or platform.machine()).lower()
    if system == "darwin":
        return "macosx"
    if system == "win32":
        return "win_amd64"  # on ARM, Krita itself runs in emulation
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    name = f"manylinux_{machine}"
    return name if name in PLATFORMS else None


def kinds(releases: Iterable[tuple[int, int]], systems: Iterable[str]) -> list[Kind]:
    """Return the kinds for these Pythons on these systems, each once."""
    found = {Kind(release, system).folder: Kind(release, system) for system in systems for release in releases}
    return sorted(found.values())


def unpack(wanted: Sequence[Kind], vendor: Path, cache: Path, download: Callable[[Kind, list[str]], None]) -> None:
    """Fill `vendor` with the wheels of these kinds.

    Args:
        wanted: what to unpack.
        vendor: folder to fill; made.
        cache: keeps what was downloaded, so that the next run needs no network.
        download: runs pip's `download` with these arguments, or raises.
    """
    for kind in wanted:
        folder = cache / kind.folder
        if not list(folder.glob("*.whl")):
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as scratch:  # half a download is never taken for the whole
                arrived = Path(scratch, "arrived")
                options = ["--no-deps", "--only-binary=:all:", "--dest", str(arrived), *kind.pip_arguments(), "pyzmq"]
                download(kind, options)
                shutil.rmtree(folder, ignore_errors=True)
                arrived.rename(folder)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            members = [member for member in wheel.namelist() if not member.startswith(NEEDLESS)]
            wheel.extractall(vendor / kind.folder, members)
