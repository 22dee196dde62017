"""Where Krita keeps things, for every system and way of installing it, on a disk laid out like theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import krita_finder
from engine.krita_finder import Profile, embedded_python, kind_of, profiles, setting

WINDOWS = {"APPDATA": "{home}/AppData/Roaming", "LOCALAPPDATA": "{home}/AppData/Local"}
STORE = "AppData/Local/Packages/49800Krita_abc/LocalCache"
APPIMAGE = "Applications/krita-5.2.9-x86_64.appimage.home"


@pytest.mark.parametrize(
    ("system", "variables", "folders", "expected"),
    [
        ("linux", {}, [], {"usual": (".local/share/krita", ".config/kritarc"),
                           "flatpak": (".var/app/org.kde.krita/data/krita", ".var/app/org.kde.krita/config/kritarc"),
                           "snap": ("snap/krita/current/.local/share/krita", "snap/krita/current/.config/kritarc")}),
        ("linux", {"XDG_DATA_HOME": "{home}/d", "XDG_CONFIG_HOME": "{home}/c"}, [],
         {"usual": ("d/krita", "c/kritarc")}),
        ("linux", {"XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}, [],
         {"usual": (".local/share/krita", ".config/kritarc")}),
        ("linux", {}, [APPIMAGE], {"appimage": (f"{APPIMAGE}/.local/share/krita", f"{APPIMAGE}/.config/kritarc")}),
        ("win32", WINDOWS, [], {"usual": ("AppData/Roaming/krita", "AppData/Local/kritarc")}),
        ("win32", {}, [], {"usual": ("AppData/Roaming/krita", "AppData/Local/kritarc")}),
        ("win32", WINDOWS, [STORE], {"store": (f"{STORE}/Roaming/krita", f"{STORE}/Local/kritarc")}),
        ("darwin", {}, [],
         {"usual": ("Library/Application Support/krita", "Library/Preferences/kritarc")}),
    ],
)  # fmt: skip
def test_profiles(
    system: str, variables: dict[str, str], folders: list[str], expected: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        if folder.endswith(".home"):
            (tmp_path / folder).with_suffix("").touch()
    given = {name: value.format(home=tmp_path) for name, value in variables.items()}
    found = {profile.kind: profile for profile in profiles(system, given, tmp_path)}
    for kind, (resources, settings) in expected.items():
        assert found[kind] == Profile(kind, tmp_path / resources, tmp_path / settings)
    assert ("store" in found) == (STORE in folders) and ("appimage" in found) == (APPIMAGE in folders)


def test_a_resource_folder_that_the_user_moved(tmp_path: Path) -> None:
    settings = tmp_path / ".config" / "kritarc"
    settings.parent.mkdir()
    settings.write_text(f"ResourceDirectory={tmp_path}/moved\n[python]\nResourceDirectory=/other\n")
    standard = tmp_path / ".local/share/krita"
    assert profiles("linux", {}, tmp_path)[0].resources == standard  # the folder is gone: Krita falls back, too
    (tmp_path / "moved").mkdir()
    assert profiles("linux", {}, tmp_path)[0].resources == tmp_path / "moved"


@pytest.mark.parametrize(
    ("program", "beside", "content", "release"),
    [
        ("usr/bin/krita", "usr/lib/x86_64-linux-gnu/kritaplugins/kritapykrita.so", b"\0libpython3.11.so.1.0\0",
         (3, 11)),
        ("usr/bin/krita", "usr/lib64/kritaplugins/kritapykrita.so", b"libpython3.9.so", (3, 9)),
        ("usr/bin/krita", "usr/lib/elsewhere.so", b"libpython3.9.so", None),
        ("flatpak/exports/bin/org.kde.krita",
         "flatpak/app/org.kde.krita/current/active/files/lib/kritaplugins/kritapykrita.so", b"libpython3.13.so",
         (3, 13)),
        ("Krita (x64)/bin/krita.exe", "Krita (x64)/bin/python310.dll", b"", (3, 10)),
        ("Krita (x64)/bin/krita.exe", "Krita (x64)/bin/python3.dll", b"", None),
        ("krita.app", "krita.app/Contents/Frameworks/Python.framework/Versions/3.10/Python", b"", (3, 10)),
        ("Downloads/krita-5.2.2-x86_64.appimage", "Downloads/kritapykrita.so", b"libpython3.10.so", None),
    ],
)  # fmt: skip
def test_the_python_inside(
    program: str, beside: str, content: bytes, release: tuple[int, int] | None, tmp_path: Path
) -> None:
    for path, data in ((tmp_path / program / "x" if program.endswith(".app") else tmp_path / program, b""),
                       (tmp_path / beside, content)):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert embedded_python(tmp_path / program) == release


def test_kinds_of_programs(tmp_path: Path) -> None:
    assert kind_of(Path("/usr/bin/krita")) == "usual"
    assert kind_of(Path("/var/lib/flatpak/exports/bin/org.kde.krita")) == "flatpak"
    assert kind_of(Path("/snap/bin/krita")) == "snap"
    appimage = tmp_path / "krita.appimage"
    assert kind_of(appimage) == "usual"
    (tmp_path / "krita.appimage.home").mkdir()
    assert kind_of(appimage) == "appimage"


@pytest.mark.parametrize("folder", ["Downloads", "Applications", ".local/bin"])
def test_appimages_are_looked_for_where_people_keep_them(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(krita_finder.sys, "platform", "linux")
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "Krita-5.3.AppImage").touch()
    assert tmp_path / folder / "Krita-5.3.AppImage" in krita_finder.find_programs()


def test_settings_are_read_as_krita_writes_them(tmp_path: Path) -> None:
    kritarc = tmp_path / "kritarc"
    assert setting(kritarc, "python", "x") is None
    kritarc.write_text(
        "Top=1\n\n[a][b]\nx=2\n[python]\nx=3\nx=4\nempty=\n[python]\ny=100%\nbare\n  z=5\n[broken\n", "utf-8"
    )
    assert [setting(kritarc, "", "Top"), setting(kritarc, "python", "x")] == ["1", "4"]
    assert [setting(kritarc, "python", name) for name in ("y", "empty", "bare", "z")] == ["100%", "", None, "5"]
    assert setting(kritarc, "", "x") is None
