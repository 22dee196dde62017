"""Settings survive being stored; what is wrong in them is left at its default, key by key."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krita_drag.settings import Settings, is_valid
from krita_drag.wire.vocabulary import SOLVERS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=5
)
NAMES = [field.name for field in fields(Settings)]


def test_what_is_stored_is_read_back() -> None:
    chosen = Settings(model="mine", live=True, stay_close=1, solver=SOLVERS[1], remote_address="drag://Jürgen:1/画")
    assert Settings.from_json(chosen.to_json()) == chosen


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), JSON))
def test_every_key_is_either_taken_or_left_at_its_default(stored: dict) -> None:
    settings = asdict(Settings.from_json(json.dumps(stored)))
    defaults = asdict(Settings())
    for name in NAMES:
        valid = name in stored and is_valid(name, stored[name])
        assert settings[name] == (stored[name] if valid else defaults[name])


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"'])
def test_text_that_is_not_settings_gives_the_defaults(text: str) -> None:
    assert Settings.from_json(text) == Settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [("stay_close", 1.1), ("stay_close", "0.5"), ("max_steps", True), ("solver", "magic"), ("live", 1), ("model", "")],
)
def test_wrong_values_are_refused(key: str, value: object) -> None:
    assert not is_valid(key, value)
