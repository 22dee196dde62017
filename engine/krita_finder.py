"""Where Krita and its plugins are on this computer; looks only at files, starts nothing."""

from __future__ import annotations

import configparser
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

PLUGIN = "krita_drag"


@dataclass(frozen=True)
class Profile:
    """One place where a Krita keeps its user's files.

    Attributes:
        kind: how that Krita was installed: "usual", "flatpak", "snap" or "store".
        resources: folder with brushes, palettes and `pykrita`.
        settings: its kritarc.
    """

    kind: str
    resources: Path
    settings: Path


def find_programs() -> list[Path]:
    """Return the Krita programs found; an AppImage or a portable Krita can lie anywhere and is not looked for."""
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
    return list(dict.fromkeys(path for path in candidates if path.exists()))


def profiles() -> list[Profile]:
    """Return the profiles of every kind of Krita that this system can have, whether they exist or not."""
    home = Path.home()
    if sys.platform == "win32":
        roaming = Path(os.environ.get("APPDATA", home / "AppData/Roaming"))
        local = Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local"))
        store = [
            Profile("store", cache / "Roaming/krita", cache / "Local/kritarc")
            for cache in sorted(local.glob("Packages/*Krita*/LocalCache"))
        ]
        return [Profile("usual", roaming / "krita", local / "kritarc"), *store]
    if sys.platform == "darwin":
        library = home / "Library"
        return [Profile("usual", library / "Application Support/krita", library / "Preferences/kritarc")]
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    flatpak = home / ".var/app/org.kde.krita"
    snap = home / "snap/krita/current"
    return [
        Profile("usual", data / "krita", config / "kritarc"),
        Profile("flatpak", flatpak / "data/krita", flatpak / "config/kritarc"),
        Profile("snap", snap / ".local/share/krita", snap / ".config/kritarc"),
    ]


def plugin_state(profile: Profile) -> str:
    """Return "not installed", "installed, not enabled" or "installed, enabled" for our plugin in a profile."""
    folder = profile.resources / "pykrita"
    if not (folder / PLUGIN / "__init__.py").exists() or not (folder / f"{PLUGIN}.desktop").exists():
        return "not installed"
    return "installed, enabled" if _enabled(profile.settings) else "installed, not enabled"


def _enabled(kritarc: Path) -> bool:
    # Krita writes keys above the first section and repeats some, neither of which plain INI allows
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    try:
        parser.read_string("[top]\n" + kritarc.read_text(encoding="utf-8", errors="replace"))
    except (OSError, configparser.Error):
        return False
    return parser.get("python", f"enable_{PLUGIN}", fallback="false").strip().lower() == "true"
