"""Engines that are not this release's own on this machine: of another version, and on another computer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from krita_drag.wire import messages as wire
from plugin_session import PluginSession, install_engine

from benchmarks.service.running_engine import Engine, running

sys.path.append(str(Path(__file__).parents[1] / "plugin"))

from fake_engine import FakeEngine

Open = Callable[..., PluginSession]


@pytest.fixture
def remote(tmp_path: Path, models_folder: Path) -> Iterator[Engine]:
    """A real engine with a home of its own, as on another computer."""
    home = tmp_path / "studio"
    home.mkdir()
    (home / "models").symlink_to(models_folder)
    with running(home, "--bind", "127.0.0.1") as engine:
        yield engine


def invited(home: Path) -> tuple[subprocess.Popen[str], str]:
    """Run `krita-drag pair` beside an engine; returns its process and the address that it shows."""
    inviting = subprocess.Popen(
        [sys.executable, "-I", "-m", "engine", "pair"],
        env={**os.environ, "KRITA_DRAG_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert inviting.stdout is not None
    found = re.search(r"drag://\S+#[A-Z0-9]+", inviting.stdout.readline())
    assert found
    return inviting, found[0]


def enter_address(krita: PluginSession, address: str) -> None:
    """Type an address into the docker's field, with the keyboard, and connect."""
    field = "docker._advanced._address"
    krita.run(f"docker.findChildren(QScrollArea)[0].ensureWidgetVisible({field})")
    krita.desktop.click_middle(krita.run(f"on_screen({field})"))
    krita.until(f"{field}.hasFocus()")
    krita.desktop.key("ctrl+a")
    krita.desktop.type(address)
    krita.until(f"{field}.text() == address", address=address)
    krita.click_button("Connect")


def test_an_engine_of_another_version_is_a_sentence_with_a_way_out(
    open_plugin: Open, photo: Path, tmp_path: Path, models_folder: Path
) -> None:
    home = tmp_path / "krita-drag"
    install_engine(home, models_folder)
    old = FakeEngine(home, speaks=(50, 60))
    try:
        krita = open_plugin(document=photo)
        krita.until("docker.view().engine_text == 'Engine of another release'")
        assert "install.py" in krita.message and "50 to 60" in krita.message
        assert krita.run("[docker.view().can_prepare, docker.view().can_drag]") == [False, False]
        krita.no_dialog()
        assert old.asked(wire.Open) == []
    finally:
        old.stop()
    krita.click_button("Retry")
    krita.wait_for_engine()


def test_an_engine_on_another_computer(open_plugin: Open, photo: Path, tmp_path: Path, remote: Engine) -> None:
    krita = open_plugin(document=photo, engine=False)
    krita.until("docker.view().engine_text == 'Engine not installed'")
    krita.click_button("Advanced")
    address = remote_address(remote)
    enter_address(krita, address)
    krita.until("docker.view().engine_text == 'Engine does not know this computer'")
    assert "krita-drag pair" in krita.message
    inviting, with_code = invited(remote.home)
    enter_address(krita, address)  # whoever comes while the door is ajar is let in only with the code
    krita.until("docker.view().engine_text == 'Engine does not know this computer'")
    enter_address(krita, f"{address}#WRONGCODE1")
    krita.until("docker.view().engine_text == 'Pairing failed'")
    take_back(inviting)
    inviting, with_code = invited(remote.home)
    enter_address(krita, with_code)
    krita.wait_for_engine()
    inviting.communicate(timeout=60)
    krita.prepare(steps=6)
    krita.view(2)
    krita.place_pair((209.0, 144.0), (203.0, 138.0))
    krita.drag()
    name = krita.apply()
    assert np.frombuffer(krita.pixels(name, (0, 0, 512, 512)), np.uint8)[3::4].max() == 255
    asked = [line["type"] for line in remote.events("request")]
    assert {"open", "invert", "drag", "save"} <= set(asked)
    assert not (krita.home / "engine" / "connection.json").exists(), "an engine was started here as well"
    assert krita.run("docker._desk.settings.remote_address") == address, "the code is of no use any more"
    assert krita.krita.quit() == 0
    again = open_plugin(document=photo, engine=False, settings={"remote_address": address})
    again.wait_for_engine()
    assert remote.process.poll() is None, "the engine of others goes on"


def remote_address(engine: Engine) -> str:
    """Return the address without a code, as somebody might copy it."""
    inviting, address = invited(engine.home)
    take_back(inviting)
    return address.split("#")[0]


def take_back(inviting: subprocess.Popen[str]) -> None:
    """Close the door again, as Ctrl-C does, unless it is closed already."""
    if inviting.poll() is None:
        inviting.send_signal(signal.SIGINT)
    inviting.communicate(timeout=60)
