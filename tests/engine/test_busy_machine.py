"""What is set up before torch is loaded, so that other programs do not slow the engine down out of measure."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

POLICY = "OMP_WAIT_POLICY"


@pytest.mark.skipif(sys.platform != "linux", reason="others print their settings in other words")
@pytest.mark.parametrize(("chosen", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_openmp_is_told_to_let_waiting_threads_sleep(chosen: str | None, kept: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != POLICY}
    environment |= {} if chosen is None else {POLICY: chosen}
    done = subprocess.run(
        [sys.executable, "-c", "import engine.device"],  # which loads torch
        env=environment | {"OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{POLICY} = '{kept}'" in done.stderr
