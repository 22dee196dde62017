"""krita-drag's data folder, as the installer sees it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from krita_drag.keys import load_or_create

from engine.paths import data_dir

sys.path.insert(0, str(Path(__file__).parents[2] / "krita_plugin"))

from installing import data_folder

PATHS = ("KRITA_DRAG_HOME", "XDG_DATA_HOME")


@pytest.mark.parametrize(
    "variables",
    [{}, {"KRITA_DRAG_HOME": "/a b"}, {"KRITA_DRAG_HOME": "~/x"}, {"KRITA_DRAG_HOME": "x"}, {"KRITA_DRAG_HOME": ""},
     {"XDG_DATA_HOME": "/data"}, {"XDG_DATA_HOME": "relative"}, {"XDG_DATA_HOME": ""}],
)  # fmt: skip
def test_the_data_directory_is_the_engines(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PATHS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert data_folder.data_dir() == data_dir()


def test_a_folder_of_ours_is_known_without_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (".install-lock", "engine-venv/pyvenv.cfg", "models.lock"):
        path = tmp_path / Path(name).name / name
        path.parent.mkdir(parents=True)
        path.touch()
        assert data_folder.is_ours(tmp_path / path.name)
    for name in ("keys/client.key", "engine/keys/engine.key"):
        load_or_create(tmp_path / Path(name).name / name)
        assert data_folder.is_ours(tmp_path / Path(name).name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder.is_ours(data_folder.usual_dir())
