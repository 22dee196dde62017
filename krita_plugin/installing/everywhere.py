"""The plugin in every Krita of this user: what install.py calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from engine.krita_finder import Profile, find_programs, kind_of, profiles
from installing import plugin, wheels
from installing.needs import releases_without_zmq

Download = Callable[[str, list[str]], None]  # what for, arguments for `pip download`; raises when it fails


def used_profiles() -> list[Profile]:
    """Return the profiles that a Krita has used, or will: its program is there."""
    kinds = {kind_of(program) for program in find_programs()}
    return [profile for profile in profiles() if profile.resources.is_dir() or profile.kind in kinds]


def install(source: Path, home: Path, download: Download) -> Iterator[str]:
    """Bring every profile to this version of the plugin.

    Args:
        source: the checkout's folder `krita_plugin`.
        home: krita-drag's data folder.
        download: fetches wheels.

    Yields:
        One line for each profile.

    Raises:
        OSError: a profile cannot be written.
    """
    programs, system = find_programs(), wheels.this_system()
    for profile in used_profiles():
        wanted = wheels.kinds(releases_without_zmq(profile, programs), [system] if system else [])
        outcome = plugin.install(profile, source, home, partial(_fill, wanted, home / "wheels", download))
        yield f"{profile.resources}: plugin {outcome}"


def write_archive(source: Path, archive: Path, cache: Path, download: Download) -> None:
    """Write the plugin for Krita's importer, with pyzmq for every Krita that krita.org has published.

    Raises:
        OSError: it cannot be written.
    """
    wanted = wheels.kinds(wheels.OFFICIAL, wheels.PLATFORMS)
    plugin.write_archive(source, archive, partial(_fill, wanted, cache, download))


def installed_files() -> list[Path]:
    """Return what is there of the plugin in any profile."""
    return [path for profile in profiles() for path in plugin.installed_files(profile)]


def uninstall() -> None:
    """Take the plugin out of every profile.

    Raises:
        OSError: something cannot be removed.
    """
    for profile in profiles():
        if plugin.installed_files(profile):
            plugin.uninstall(profile)


def _fill(wanted: list[wheels.Kind], cache: Path, download: Download, vendor: Path) -> None:
    def fetch(kind: wheels.Kind, arguments: list[str]) -> None:
        download(f"pyzmq for Krita's Python {kind.release[0]}.{kind.release[1]} ({kind.system})", arguments)

    wheels.unpack(wanted, vendor, cache, fetch)
