"""The plugin's way into Krita's folders: settings kept, upgrades whole, nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krita_drag.vendoring import provide_zmq, wheel_names

from engine.krita_finder import Profile, setting

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "krita_plugin"
sys.path.insert(0, str(SOURCE))

from installing import everywhere, kritarc, needs, plugin, wheels  # noqa: E402


def no_wheels(vendor: Path) -> None:
    """Fill nothing: this Krita has pyzmq."""


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile("usual", tmp_path / "data 画" / "krita", tmp_path / "config" / "kritarc")


def test_install_switches_on_and_keeps_every_setting(profile: Profile, tmp_path: Path) -> None:
    profile.settings.parent.mkdir()
    before = "FavouritePresets=b) Basic\n\n[python]\nenable_other=true\n\n[theme]\nTheme=Krita dark\n"
    profile.settings.write_text(before)
    assert plugin.install(profile, SOURCE, tmp_path / "home", no_wheels) == "installed and switched on"
    after = profile.settings.read_text()
    assert after == before.replace("[python]\n", "[python]\nenable_krita_drag=true\n")
    folder = profile.resources / "pykrita"
    assert sorted(path.name for path in folder.iterdir()) == ["krita_drag", "krita_drag.desktop"]
    assert json.loads((folder / "krita_drag" / "installed.json").read_text("utf-8")) == {"home": str(tmp_path / "home")}
    assert (folder / "krita_drag" / "wire" / "errors.py").exists()
    assert not list(folder.rglob("__pycache__"))


def test_an_upgrade_replaces_the_folder_and_respects_the_switch(profile: Profile, tmp_path: Path) -> None:
    plugin.install(profile, SOURCE, tmp_path, no_wheels)
    stale = profile.resources / "pykrita" / "krita_drag" / "of_an_older_version.py"
    stale.touch()
    assert plugin.install(profile, SOURCE, tmp_path, no_wheels) == "updated"
    assert not stale.exists()
    kritarc.put(profile.settings, "python", plugin.ENABLE, "false")
    assert "switched off" in plugin.install(profile, SOURCE, tmp_path, no_wheels)
    assert setting(profile.settings, "python", plugin.ENABLE) == "false"
    plugin.uninstall(profile)
    assert plugin.install(profile, SOURCE, tmp_path, no_wheels) == "installed and switched on"


def test_a_failing_upgrade_keeps_the_old_plugin(profile: Profile, tmp_path: Path) -> None:
    plugin.install(profile, SOURCE, tmp_path, no_wheels)
    folder = profile.resources / "pykrita"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    def no_network(vendor: Path) -> None:
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        plugin.install(profile, SOURCE, tmp_path, no_network)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_uninstalling_leaves_what_is_not_ours(profile: Profile, tmp_path: Path) -> None:
    profile.settings.parent.mkdir()
    profile.settings.write_text("[python]\nenable_other=true\n[krita_drag]\nsettings={}\n")
    other = profile.resources / "pykrita" / "other.desktop"
    other.parent.mkdir(parents=True)
    other.touch()
    plugin.install(profile, SOURCE, tmp_path, no_wheels)
    plugin.uninstall(profile)
    assert plugin.installed_files(profile) == []
    assert other.exists()
    assert profile.settings.read_text() == "[python]\nenable_other=true\n[krita_drag]\nsettings={}\n"


def test_the_link_of_a_developer_is_left_alone(profile: Profile, tmp_path: Path) -> None:
    link = profile.resources / "pykrita" / "krita_drag"
    link.parent.mkdir(parents=True)
    link.symlink_to(SOURCE / "krita_drag")
    assert "is a link" in plugin.install(profile, SOURCE, tmp_path, no_wheels)
    assert link.is_symlink()
    plugin.uninstall(profile)
    assert not link.is_symlink() and (SOURCE / "krita_drag" / "__init__.py").exists()


KRITARC_LINES = st.lists(
    st.sampled_from(["", "[python]", "[theme]", "[a][b]", "x=1", "enable_krita_drag=false", "y", "# [python]", "Ä=%"])
)


@given(lines=KRITARC_LINES, end=st.sampled_from(["\n", "\r\n"]), value=st.sampled_from(["true", "false", None]))
def test_putting_a_setting_touches_nothing_else(
    lines: list[str], end: str, value: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rc") / "kritarc"
    path.write_bytes("".join(line + end for line in lines).encode())
    names = [(group, key) for group in ("", "theme", "a][b") for key in ("x", "ä", plugin.ENABLE)] + [("python", "x")]
    others = [setting(path, *name) for name in names]
    kritarc.put(path, "python", plugin.ENABLE, value)
    assert setting(path, "python", plugin.ENABLE) == value
    assert [setting(path, *name) for name in names] == others
    written = path.read_bytes().decode()
    kept = [line for line in written.splitlines() if line and not line.startswith(plugin.ENABLE)]
    expected = [line for line in lines if line and not line.startswith(plugin.ENABLE)]
    assert kept in (expected, [*expected, "[python]"])
    assert not lines or written.count(end) == written.count("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links of POSIX")
def test_kritarc_keeps_its_mode_and_its_place(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "kritarc"
    real.write_bytes(b"[python]\n\xff=kept\n")
    real.chmod(0o640)
    (tmp_path / "kritarc").symlink_to(real)
    kritarc.put(tmp_path / "kritarc", "python", "a", "b")
    assert (tmp_path / "kritarc").is_symlink()
    assert real.read_bytes() == b"[python]\na=b\n\xff=kept\n"
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_running_krita_is_told_by_its_open_database(profile: Profile, tmp_path: Path) -> None:
    profile.resources.mkdir(parents=True)
    database = profile.resources / "resourcecache.sqlite"
    database.touch()
    script = tmp_path / "krita"
    script.write_text('#!/bin/sh\nexec 3<"$1"\necho ready\nread line\n')
    script.chmod(0o755)
    assert not plugin.is_running(profile)
    with subprocess.Popen([script, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as krita:
        assert krita.stdout and krita.stdout.readline() == b"ready\n"
        assert plugin.is_running(profile)
        outcome = plugin.install(profile, SOURCE, tmp_path, no_wheels)
        krita.communicate(b"\n")
    assert "Krita is running" in outcome and "Python Plugin Manager" in outcome
    assert not profile.settings.exists()


def test_the_file_for_kritas_importer_has_entries_for_folders(tmp_path: Path) -> None:
    def one_wheel(vendor: Path) -> None:
        (vendor / "cp310-win_amd64" / "zmq").mkdir(parents=True)

    plugin.write_archive(SOURCE, tmp_path / "krita_drag.zip", one_wheel)
    names = zipfile.ZipFile(tmp_path / "krita_drag.zip").namelist()
    assert {"krita_drag/", "krita_drag/wire/", "krita_drag/vendor/cp310-win_amd64/zmq/"} <= set(names)
    assert {"krita_drag.desktop", "krita_drag/__init__.py"} <= set(names)
    assert [path.name for path in tmp_path.iterdir()] == ["krita_drag.zip"]


def test_which_wheel_for_which_python() -> None:
    found = wheels.kinds([(3, 8), (3, 10), (3, 12), (3, 13), (3, 14)], ["win_amd64"])
    assert [kind.folder for kind in found] == ["cp38-win_amd64", "cp310-win_amd64", "cp312-abi3-win_amd64"]
    assert wheels.this_system("win32", "AMD64") == "win_amd64"
    assert wheels.this_system("darwin", "arm64") == "macosx"
    assert wheels.this_system("linux", "x86_64") == "manylinux_x86_64"
    assert wheels.this_system("linux", "aarch64") == "manylinux_aarch64"
    assert wheels.this_system("linux", "riscv64") is None


def test_the_plugin_looks_where_the_installer_puts() -> None:
    system = wheels.this_system()
    assert system
    kind = wheels.Kind((sys.version_info[0], sys.version_info[1]), system)
    assert kind.folder in wheel_names()


def fake_krita(folder: Path, release: str) -> Path:
    library = folder / "lib" / "kritaplugins" / "kritapykrita.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(f"libpython{release}.so".encode())
    (folder / "bin").mkdir()
    (folder / "bin" / "krita").touch()
    return folder / "bin" / "krita"


def test_which_pythons_lack_pyzmq(profile: Profile, tmp_path: Path) -> None:
    assert needs.releases_without_zmq(profile, []) == list(wheels.OFFICIAL)
    own_build = fake_krita(tmp_path / "own", "3.12")
    assert needs.releases_without_zmq(profile, [own_build]) == [(3, 12)]
    appimage = tmp_path / "krita.appimage"
    assert needs.releases_without_zmq(profile, [own_build, appimage]) == sorted({*wheels.OFFICIAL, (3, 12)})


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vendor folder with the wheel for this Python, from the real package index."""
    vendor = tmp_path_factory.mktemp("vendor")
    system = wheels.this_system()
    assert system
    wanted = wheels.kinds([(sys.version_info[0], sys.version_info[1])], [system])

    def download(what: str, arguments: list[str]) -> None:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", *arguments], check=True)

    cache = tmp_path_factory.mktemp("cache") / "wheels"
    everywhere._fill(wanted, cache, download, vendor)

    def never(what: str, arguments: list[str]) -> None:
        raise AssertionError("the cache was not used")

    everywhere._fill(wanted, cache, never, vendor)
    return vendor


def test_the_vendored_pyzmq_works_where_there_is_none(downloaded: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from krita_drag.vendoring import provide_zmq\n"
        "provide_zmq(Path(sys.argv[2]))\n"
        "import zmq; assert zmq.has('curve'); zmq.curve_keypair(); print(zmq.__file__)"
    )
    base = Path(sys.base_prefix) / ("python.exe" if sys.platform == "win32" else "bin/python3")
    command = [base, "-I", "-S", "-c", code, SOURCE, downloaded]  # -S: without any installed package
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(downloaded) in done.stdout


def test_no_pyzmq_at_all_is_a_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from krita_drag.vendoring import provide_zmq, wheel_names\n"
        "from krita_drag.wire.errors import NotInstalled\n"
        "broken = Path(sys.argv[2]) / wheel_names()[0] / 'zmq'; broken.mkdir(parents=True)\n"
        "(broken / '__init__.py').write_text('import zmq.missing')\n"
        "before = list(sys.path)\n"
        "try: provide_zmq(Path(sys.argv[2]))\n"
        "except NotInstalled as error: print(error)\n"
        "assert sys.path == before and 'zmq' not in sys.modules"
    )
    base = Path(sys.base_prefix) / ("python.exe" if sys.platform == "win32" else "bin/python3")
    done = subprocess.run([base, "-I", "-S", "-c", code, SOURCE, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no working pyzmq" in done.stdout and "install.py" in done.stdout


def test_pyzmq_that_is_there_is_used(tmp_path: Path) -> None:
    before = list(sys.path)
    provide_zmq(tmp_path)
    assert sys.path == before
