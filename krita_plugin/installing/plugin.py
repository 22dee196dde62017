"""The plugin's way into a profile of Krita, and out again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.krita_finder import PLUGIN, Profile, setting
from installing import kritarc

ENABLE = f"enable_{PLUGIN}"
HOW_TO_ENABLE = "Settings > Configure Krita > Python Plugin Manager > Krita Drag, then start Krita again"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "py.typed", "vendor", "installed.json")


def install(profile: Profile, source: Path, home: Path, fill_vendor: Callable[[Path], None]) -> str:
    """Bring a profile to this version of the plugin and switch it on; the user's settings stay.

    Args:
        profile: where to.
        source: the checkout's folder `krita_plugin`.
        home: krita-drag's data folder, which the plugin cannot always guess: sandboxes move it.
        fill_vendor: puts what Krita's Python lacks into a folder.

    Returns:
        What happened and what is left to do, as one sentence without its full stop.

    Raises:
        OSError: it cannot be written.
    """
    plugins = profile.resources / "pykrita"
    target = plugins / PLUGIN
    if target.is_symlink():
        return f"{target} is a link, left as it is"
    was_there = target.exists()
    plugins.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{PLUGIN}-", dir=plugins) as scratch:
        new = Path(scratch, "new")
        copy_tree(source, new, home, fill_vendor)
        _exchange(new / PLUGIN, target, Path(scratch, "old"))
        for path, place in _single_files(profile):
            if (new / path).exists():
                place.parent.mkdir(exist_ok=True)
                shutil.copyfile(new / path, place)
    return ("updated" if was_there else "installed") + _enable(profile, was_there)


def uninstall(profile: Profile) -> None:
    """Take the plugin out of a profile; where Krita runs, it forgets about it by itself.

    Raises:
        OSError: it cannot be removed.
    """
    for path in installed_files(profile):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if setting(profile.settings, "python", ENABLE) is not None and not is_running(profile):
        kritarc.put(profile.settings, "python", ENABLE, None)


def installed_files(profile: Profile) -> list[Path]:
    """Return what is there of the plugin."""
    places = [profile.resources / "pykrita" / PLUGIN, *(place for _, place in _single_files(profile))]
    return [path for path in places if path.exists() or path.is_symlink()]


def write_archive(source: Path, archive: Path, fill_vendor: Callable[[Path], None]) -> None:
    """Write the zip file for Krita's Tools > Scripts > Import Python Plugin from File.

    Krita finds nothing in an archive without entries for the folders, which `make_archive` writes.

    Raises:
        OSError: it cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=f".{PLUGIN}-", dir=archive.parent) as scratch:
        copy_tree(source, Path(scratch, "content"), None, fill_vendor)
        made = shutil.make_archive(str(Path(scratch, PLUGIN)), "zip", Path(scratch, "content"))
        Path(made).replace(archive)


def copy_tree(source: Path, target: Path, home: Path | None, fill_vendor: Callable[[Path], None]) -> None:
    """Copy what belongs to Krita, as Krita's importer lays it out."""
    shutil.copytree(source / PLUGIN, target / PLUGIN, ignore=_LEFT_OUT)
    for path in source.glob(f"{PLUGIN}.*"):
        shutil.copyfile(path, target / path.name)
    if home is not None:
        (target / PLUGIN / "installed.json").write_text(json.dumps({"home": str(home)}) + "\n", "utf-8")
    fill_vendor(target / PLUGIN / "vendor")


def is_running(profile: Profile) -> bool:
    """Tell whether a Krita uses this profile now: when it ends, it writes its settings over ours."""
    if sys.platform == "linux":
        return any(path.is_relative_to(profile.resources) for path in _open_files())
    if sys.platform == "win32":
        command = ["tasklist", "/FO", "CSV", "/NH", "/FI", "IMAGENAME eq krita.exe"]
        return b"krita.exe" in subprocess.run(command, capture_output=True, check=False).stdout
    return subprocess.run(["pgrep", "-x", "krita"], capture_output=True, check=False).returncode == 0


def _open_files() -> list[Path]:
    """Return the files that Kritas of this user hold open; each has its database of resources among them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == "krita":
                found += [path.readlink() for path in (process / "fd").iterdir()]
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


def _exchange(new: Path, target: Path, old: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise


def _single_files(profile: Profile) -> list[tuple[str, Path]]:
    """Return the files beside the folder: name in the checkout, place in the profile."""
    return [
        (f"{PLUGIN}.desktop", profile.resources / "pykrita" / f"{PLUGIN}.desktop"),
        (f"{PLUGIN}.action", profile.resources / "actions" / f"{PLUGIN}.action"),
    ]


def _enable(profile: Profile, was_there: bool) -> str:
    """Switch the plugin on unless the user switched it off; return what to add to the sentence."""
    running = is_running(profile)
    chosen = setting(profile.settings, "python", ENABLE)
    if chosen == "true":
        return "; start Krita again to use it" if running else ""
    if chosen is not None and was_there:
        return f"; it is switched off in Krita, to switch it on: {HOW_TO_ENABLE}"
    if running:
        return f"; Krita is running, so switch it on there: {HOW_TO_ENABLE}"
    kritarc.put(profile.settings, "python", ENABLE, "true")
    return " and switched on"
