"""Which Pythons the Kritas on this computer embed, and which of them lack pyzmq."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from engine.krita_finder import Profile, embedded_python, kind_of
from installing.wheels import OFFICIAL


def releases_without_zmq(profile: Profile, programs: Sequence[Path]) -> list[tuple[int, int]]:
    """Return the releases of Python for which the plugin has to bring pyzmq along.

    Args:
        profile: of the Krita in question.
        programs: all Kritas found; with none of this kind, or one that cannot be looked into, it may be any of
            those that krita.org has published.
    """
    own = [program for program in programs if kind_of(program) == profile.kind]
    found = {program: embedded_python(program) for program in own}
    lacking = {
        release for program, release in found.items() if release and not (_is_systems(program) and _has_zmq(release))
    }
    return sorted(lacking | (set(OFFICIAL) if not own or None in found.values() else set()))


def _is_systems(program: Path) -> bool:
    """Tell whether a program is the distribution's, which uses the Python of the system with its packages."""
    return program.resolve().parent in (Path("/usr/bin"), Path("/bin"))


def _has_zmq(release: tuple[int, int]) -> bool:
    python = f"/usr/bin/python{release[0]}.{release[1]}"
    code = "import sys, zmq; sys.exit(not zmq.has('curve'))"
    try:
        return subprocess.run([python, "-I", "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
