"""What the installer remembers, and how it removes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "krita_plugin"))

from installing.record import State, discard


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"torch": 1, "running": "", "done": 3}'])
def test_a_damaged_record_counts_as_nothing_done(text: str, tmp_path: Path) -> None:
    (tmp_path / "install.json").write_text(text)
    assert State.load(tmp_path / "install.json") == State(tmp_path / "install.json")


def test_the_record_comes_back(tmp_path: Path) -> None:
    state = State(tmp_path / "install.json", "cuda", "engine", {"torch": "key"})
    state.save()
    assert State.load(state.path) == state
    assert [path.name for path in tmp_path.iterdir()] == ["install.json"]


def test_removing_a_link_leaves_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model").write_text("mine")
    (tmp_path / "models").symlink_to(tmp_path / "elsewhere")
    discard(tmp_path / "models", tmp_path)
    assert not (tmp_path / "models").is_symlink()
    assert (tmp_path / "elsewhere" / "model").exists()
