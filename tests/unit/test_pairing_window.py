"""The pairing window: one code, a short time, few tries."""

from __future__ import annotations

import pytest
from krita_drag.wire.errors import PairingFailed

from engine.pairing import CODE_LENGTH, TRIES, PairingWindow, new_code


class Clock:
    """Seconds that a test lets pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_codes_are_long_and_new() -> None:
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100
    assert {len(code) for code in codes} == {CODE_LENGTH}


def test_the_right_code_works_once() -> None:
    window = PairingWindow(Clock())
    window.open("CODE", 120)
    window.use("CODE")
    assert not window.is_open
    with pytest.raises(PairingFailed, match="No pairing code"):
        window.use("CODE")


def test_the_window_closes_by_itself() -> None:
    clock = Clock()
    window = PairingWindow(clock)
    window.open("CODE", 120)
    clock.now = 119.9
    assert window.is_open
    clock.now = 120.0
    with pytest.raises(PairingFailed, match="No pairing code"):
        window.use("CODE")


def test_guessing_closes_it() -> None:
    window = PairingWindow(Clock())
    window.open("CODE", 120)
    for _ in range(TRIES):
        assert window.is_open
        with pytest.raises(PairingFailed, match="wrong"):
            window.use("CODÉ")
    with pytest.raises(PairingFailed, match="No pairing code"):
        window.use("CODE")


def test_without_a_window_no_code_is_right() -> None:
    window = PairingWindow(Clock())
    with pytest.raises(PairingFailed):
        window.use("")
    window.open("CODE", 120)
    window.close()
    with pytest.raises(PairingFailed):
        window.use("")
