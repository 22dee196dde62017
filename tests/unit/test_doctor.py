"""The doctor: what it finds, what it hides, and when it calls something broken."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path

import pytest

from engine import __version__, krita_finder
from engine.cli import main
from engine.doctor import Diagnosis, diagnose
from engine.machine import memory_bytes, processors, redact
from engine.torch_check import parse_version


def test_a_sound_installation_has_no_problems(home: Path) -> None:
    found = diagnose()
    assert found.problems == []
    assert found.sections["versions"]["krita-drag"] == __version__
    assert found.sections["versions"]["torch"][0].isdigit()
    assert "not installed" in found.sections["models"]["faces"]
    assert "not made yet" in found.sections["data"]["folder"]
    assert not home.exists(), "looking changes nothing"


def test_text_and_json_tell_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    for library in ("torch", "numpy", "pillow", "pyzmq"):
        assert found["versions"][library] in text
    assert text.rstrip().endswith("no problems found")


@pytest.mark.parametrize(
    "place",
    ["a file", "a file/below", pytest.param("/proc/foo", marks=pytest.mark.skipif("sys.platform != 'linux'"))],
)
def test_a_folder_that_takes_no_files_is_a_problem(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("KRITA_DRAG_HOME", str(tmp_path / place))
    found = diagnose()
    assert any("cannot be used" in problem and "KRITA_DRAG_HOME" in problem for problem in found.problems)
    assert "free" in found.sections["data"]


def test_a_damaged_model_is_a_problem(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "models" / "faces"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"not a model")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "damaged" in text
    assert "problem: " in text


def test_the_user_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user_home = tmp_path / "Jürgen 画"
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(user_home))
    for variable in ("USER", "USERNAME"):
        monkeypatch.setenv(variable, "Jürgen 画")
    found = Diagnosis({"data": {"folder": str(user_home / "models")}}, [f"{Path('/mnt/Jürgen 画/x')} is full."])
    for text in (found.as_text(), json.dumps(found.as_dict(), ensure_ascii=False)):
        assert "Jürgen" not in text
    assert f"~{'/' if sys.platform != 'win32' else chr(92)}models" in found.as_text()


def test_redaction_keeps_words_that_only_look_like_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setenv("USERNAME", "ann")
    assert redact("the channel annex") == "the channel annex"
    assert redact("/mnt/ann/photos") == "/mnt/USER/photos"
    assert redact("/mnt/annex/photos") == "/mnt/annex/photos"


def test_nothing_of_this_user_is_shown(home: Path) -> None:
    text = diagnose().as_text()
    assert str(Path.home()) + "/" not in text
    assert f"/{getpass.getuser()}/" not in text


def test_machine_facts_are_plausible() -> None:
    memory = memory_bytes()
    assert memory is None or memory > 2**28
    assert processors() >= 1


@pytest.mark.parametrize(
    ("text", "expected"), [("2.13.0+cpu", (2, 13)), ("2.4", (2, 4)), ("1.13.1", (1, 13)), ("", None), ("git", None)]
)
def test_versions_are_numbers_not_text(text: str, expected: tuple[int, int] | None) -> None:
    assert parse_version(text) == expected


@pytest.fixture
def profile(tmp_path: Path) -> krita_finder.Profile:
    return krita_finder.Profile("usual", tmp_path / "krita", tmp_path / "kritarc")


def install_plugin(profile: krita_finder.Profile) -> None:
    package = profile.resources / "pykrita" / "krita_drag"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (profile.resources / "pykrita" / "krita_drag.desktop").touch()


def test_plugin_states(profile: krita_finder.Profile) -> None:
    assert krita_finder.plugin_state(profile) == "not installed"
    install_plugin(profile)
    assert krita_finder.plugin_state(profile) == "installed, not enabled"
    profile.settings.write_text("globalSnap=false\n[python]\nenable_other=true\nenable_krita_drag=true\n", "utf-8")
    assert krita_finder.plugin_state(profile) == "installed, enabled"
    profile.settings.write_bytes(b"\xff\xfe[[[ = no settings")
    assert krita_finder.plugin_state(profile) == "installed, not enabled"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folders of Linux")
def test_krita_and_its_profiles_are_found_on_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    programs = [tmp_path / "bin/krita", tmp_path / ".local/share/flatpak/exports/bin/org.kde.krita"]
    for program in programs:
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    assert set(programs) <= set(krita_finder.find_programs())
    places = {profile.kind: profile for profile in krita_finder.profiles()}
    assert places["usual"].resources == tmp_path / ".local/share/krita"
    assert places["flatpak"].settings == tmp_path / ".var/app/org.kde.krita/config/kritarc"
    assert set(places) == {"usual", "flatpak", "snap"}
    places["flatpak"].resources.mkdir(parents=True)
    install_plugin(places["flatpak"])
    assert "not enabled" in diagnose().sections["krita"]["profile flatpak"]


def test_without_krita_the_plugin_has_its_line_too(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert diagnose().sections["krita"]["plugin"].startswith("not installed")
