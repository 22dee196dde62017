"""Where Krita and its plugins are on this computer; looks only at files, starts nothing.

Standard library only: install.py uses it before there is an environment.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

PLUGIN = "krita_drag"


@dataclass(frozen=True)
class Profile:
    """One place where a Krita keeps its user's files.

    Attributes:
        kind: how that Krita was installed: "usual", "flatpak", "snap", "appimage" (with a home of its own) or "store".
        resources: folder with brushes, palettes and `pykrita`.
        settings: its kritarc.
    """

    kind: str
    resources: Path
    settings: Path


def find_programs() -> list[Path]:
    """Return the Krita programs found; AppImages only in the folders where people keep them."""
    on_path = shutil.which("krita")
    candidates = [Path(on_path)] if on_path else []
    home = Path.home()
    if sys.platform == "win32":
        roots = [os.environ.get(name) for name in ("ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA")]
        candidates += [
            Path(root) / folder / "bin" / "krita.exe" for root in roots if root for folder in ("Krita (x64)", "Krita")
        ]
    elif sys.platform == "darwin":
        candidates += [root / "krita.app" for root in (Path("/Applications"), home / "Applications")]
    else:
        exports = Path("flatpak/exports/bin/org.kde.krita")
        candidates += [Path("/var/lib") / exports, home / ".local/share" / exports, Path("/snap/bin/krita")]
        candidates += _appimages(home)
    return list(dict.fromkeys(path for path in candidates if path.exists()))


def _appimages(home: Path) -> list[Path]:
    folders = [Path("/opt"), *(home / name for name in ("Applications", "bin", ".local/bin", "Downloads", "Desktop"))]
    return [path for folder in folders for path in sorted(folder.glob("[Kk]rita*.[Aa]pp[Ii]mage"))]


def _own_home(appimage: Path) -> Path:
    """Return the folder that an AppImage uses instead of the user's, if it is there."""
    return appimage.with_name(f"{appimage.name}.home")


def kind_of(program: Path) -> str:
    """Return the kind of profile that a program uses."""
    if program.name == "org.kde.krita":
        return "flatpak"
    if _own_home(program).is_dir():
        return "appimage"
    return "snap" if program.parts[:2] == ("/", "snap") else "usual"


def embedded_python(program: Path) -> tuple[int, int] | None:
    """Return the release of the Python inside a Krita, None where that cannot be seen (in an AppImage)."""
    if program.suffix.lower() == ".exe":
        found = [path.name for path in program.parent.glob("python3*.dll")]
    elif program.suffix == ".app":
        found = [
            f"python3{path.name[1:]}" for path in program.glob("Contents/Frameworks/Python.framework/Versions/3.*")
        ]
    else:
        found = [name for path in _python_plugins(program) for name in _linked_pythons(path)]
    numbers = [int(match[1]) for name in found if (match := re.search(r"python3\.?(\d+)", name))]
    return (3, max(numbers)) if numbers else None


def _python_plugins(program: Path) -> list[Path]:
    """Return Krita's own plugin that runs Python plugins, on Linux."""
    if kind_of(program) == "flatpak":
        roots = [program.parents[2] / "app/org.kde.krita/current/active/files"]
    elif kind_of(program) == "snap":
        roots = [Path("/snap/krita/current/usr"), Path("/snap/krita/current")]
    else:
        roots = [program.resolve().parents[1]]
    folders = ("lib/*/kritaplugins", "lib*/kritaplugins")
    return [path for root in roots for folder in folders for path in root.glob(f"{folder}/kritapykrita.so")]


def _linked_pythons(library: Path) -> list[str]:
    try:
        return [name.decode("ascii") for name in re.findall(rb"libpython3\.\d+", library.read_bytes())]
    except OSError:
        return []


def profiles(
    system: str = sys.platform, variables: Mapping[str, str] | None = None, home: Path | None = None
) -> list[Profile]:
    """Return the profiles of every kind of Krita that a system can have, whether they exist or not.

    Args:
        system: as in `sys.platform`.
        variables: the environment; default: ours.
        home: the user's folder; default: ours.
    """
    variables = os.environ if variables is None else variables
    home = home or Path.home()
    return [_where_moved(profile) for profile in _standard_profiles(system, variables, home)]


def _standard_profiles(system: str, variables: Mapping[str, str], home: Path) -> list[Profile]:
    if system == "win32":
        roaming = Path(variables.get("APPDATA", home / "AppData/Roaming"))
        local = Path(variables.get("LOCALAPPDATA", home / "AppData/Local"))
        store = [
            Profile("store", cache / "Roaming/krita", cache / "Local/kritarc")
            for cache in sorted(local.glob("Packages/*Krita*/LocalCache"))
        ]
        return [Profile("usual", roaming / "krita", local / "kritarc"), *store]
    if system == "darwin":
        library = home / "Library"
        return [Profile("usual", library / "Application Support/krita", library / "Preferences/kritarc")]
    data = Path(variables.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    flatpak = home / ".var/app/org.kde.krita"
    snap = home / "snap/krita/current"
    return [
        Profile("usual", data / "krita", config / "kritarc"),
        Profile("flatpak", flatpak / "data/krita", flatpak / "config/kritarc"),
        Profile("snap", snap / ".local/share/krita", snap / ".config/kritarc"),
        *(
            Profile("appimage", own / ".local/share/krita", own / ".config/kritarc")
            for own in map(_own_home, _appimages(home))
            if own.is_dir()
        ),
    ]


def _where_moved(profile: Profile) -> Profile:
    """Follow the folder that the user chose in Krita's settings, if any."""
    chosen = setting(profile.settings, "", "ResourceDirectory")
    return replace(profile, resources=Path(chosen)) if chosen and Path(chosen).is_dir() else profile


def plugin_state(profile: Profile) -> str:
    """Return "not installed", "installed, not enabled" or "installed, enabled" for our plugin in a profile."""
    folder = profile.resources / "pykrita"
    if not (folder / PLUGIN / "__init__.py").exists() or not (folder / f"{PLUGIN}.desktop").exists():
        return "not installed"
    enabled = setting(profile.settings, "python", f"enable_{PLUGIN}") == "true"
    return "installed, enabled" if enabled else "installed, not enabled"


def setting(kritarc: Path, group: str, key: str) -> str | None:
    """Return a value of Krita's settings file, None where it is not set; no group: the keys above all groups."""
    # Krita writes keys above the first section and repeats some, neither of which plain INI allows
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    top = "(top)"
    try:
        text = kritarc.read_text(encoding="utf-8", errors="replace")
        parser.read_string(f"[{top}]\n" + re.sub(r"(?m)^[ \t]+", "", text))  # no indented line goes on with another
    except (OSError, configparser.Error):
        return None
    value = parser.get(group or top, key, fallback=None)
    return None if value is None else value.strip()
