"""Nothing leaves a guarded function: Krita would show it as a modal traceback."""

from __future__ import annotations

import logging

import pytest
from krita_drag.guard import guarded


class Slots:
    def __init__(self) -> None:
        self.seen: list[object] = []

    @guarded
    def plain(self) -> None:
        self.seen.append("plain")

    @guarded
    def with_value(self, value: int) -> int:
        return 10 // value

    @guarded
    def with_any(self, *values: object) -> int:
        return len(values)


def test_arguments_that_the_slot_does_not_take_are_dropped() -> None:
    slots = Slots()
    slots.plain(True, 3)
    assert slots.seen == ["plain"]
    assert slots.with_value(2, "surplus") == 5
    assert slots.with_any(1, 2, 3) == 3


def test_failures_are_logged_with_their_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "krita_drag"):
        assert Slots().with_value(0) is None
    assert "Slots.with_value failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
