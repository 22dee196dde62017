"""What the docker says about the engine, and what becomes of the engine's process, with real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from plugin_session import PluginSession

Open = Callable[..., PluginSession]


def is_alive(pid: int) -> bool:
    """Tell whether a process does anything; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def test_no_engine_is_a_sentence_with_a_way_out(open_plugin: Open, photo: Path, tmp_path: Path) -> None:
    krita = open_plugin(document=photo, engine=False)
    krita.until("docker.view().engine_text == 'Engine not installed'")
    assert "install.py" in krita.message
    assert krita.run("[docker.view().can_prepare, docker.view().can_drag]") == [False, False]
    assert krita.run("button('Install…') is not None")
    home = tmp_path / "krita-drag"
    home.mkdir(exist_ok=True)
    (home / "install.json").write_text(json.dumps({"python": sys.executable, "done": {"engine": "tests"}}))
    krita.wait_for_engine()  # by itself
    krita.until("'install.py' not in (docker.view().message.text if docker.view().message else '')")


def test_an_engine_that_does_not_start_says_why(open_plugin: Open, photo: Path, tmp_path: Path) -> None:
    home = tmp_path / "krita-drag"
    home.mkdir()
    python = home / "python"
    python.write_text("#!/bin/sh\necho libtorch.so is missing >&2\nexit 1\n")
    python.chmod(0o755)
    (home / "install.json").write_text(json.dumps({"python": str(python), "done": {"engine": "tests"}}))
    krita = open_plugin(document=photo)
    krita.until("docker.view().engine_text == 'Engine does not start'", 120)
    assert "libtorch.so is missing" in krita.message
    (home / "install.json").write_text(json.dumps({"python": sys.executable, "done": {"engine": "tests"}}))
    krita.click_button("Retry")
    krita.wait_for_engine()


@pytest.mark.parametrize("end", ["quit", "kill"])
def test_the_engine_goes_with_krita(end: str, open_plugin: Open) -> None:
    krita = open_plugin()
    krita.wait_for_engine()
    engine = krita.engine_pid()
    assert is_alive(engine)
    if end == "quit":
        assert krita.krita.quit() == 0
    else:
        assert krita.krita.process
        krita.krita.process.send_signal(signal.SIGKILL)
        krita.krita.process.wait()
    until_gone(engine)


def test_two_kritas_share_an_engine_and_the_second_gets_its_own(open_plugin: Open) -> None:
    first = open_plugin()
    first.wait_for_engine()
    engine = first.engine_pid()
    second = open_plugin()
    second.wait_for_engine()
    assert second.run("docker._desk.link._process_status.adopted")
    assert first.krita.quit() == 0
    until_gone(engine)
    second.until("not docker._desk.link._process_status.adopted")
    second.wait_for_engine()
    assert is_alive(second.engine_pid())


def test_an_engine_that_is_killed_is_replaced(open_plugin: Open) -> None:
    krita = open_plugin()
    krita.wait_for_engine()
    engine = krita.engine_pid()
    os.kill(engine, signal.SIGKILL)
    krita.until("not docker.view().engine_text.startswith('Engine ready')")
    krita.wait_for_engine()
    assert krita.engine_pid() != engine
