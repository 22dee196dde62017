"""The harness itself: the tests built on it are worth no more than it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from desktop import Desktop
from krita_session import KritaError, Start
from PIL import Image

PAPER = (250, 240, 230)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (300, 200), PAPER).save(path)
    return path


def test_code_runs_inside_and_pixels_come_out(start_krita: Start, picture: Path) -> None:
    krita = start_krita(document=picture)
    assert krita.run("k.version()").startswith(("5.", "6."))
    assert krita.run("doc = k.activeDocument(); answer = [doc.width(), doc.height()]") == [300, 200]
    assert krita.run("doc.pixelData(299, 199, 1, 1)") == bytes((*reversed(PAPER), 255))
    with pytest.raises(KritaError, match="ZeroDivisionError"):
        krita.run("1 / 0")
    assert krita.quit() == 0


def test_mouse_keys_and_screenshots_are_real(start_krita: Start, desktop: Desktop, picture: Path) -> None:
    krita = start_krita(document=picture)
    krita.run("doc = k.activeDocument(); k.action('KritaShape/KisToolBrush').trigger()")
    pixels = "doc.pixelData(0, 0, 300, 200).data()"
    krita.run(f"before = {pixels}")
    centre = [size / 2 for size in desktop.size]
    shot = krita.folder / "screen.png"
    desktop.screenshot(shot)
    with Image.open(shot) as screen:
        assert screen.size == desktop.size
        assert screen.convert("RGB").getpixel((round(centre[0]), round(centre[1]))) == PAPER
    desktop.drag([centre, (centre[0] + 40, centre[1] + 20)])
    krita.until(f"{pixels} != before")
    desktop.key("ctrl+z")
    krita.until(f"{pixels} == before")


def test_two_kritas_live_side_by_side(start_krita: Start, picture: Path) -> None:
    first, second = start_krita(document=picture), start_krita()
    first.run("mine = 1")
    assert first.run("len(k.documents())") == 1
    assert second.run("len(k.documents())") == 0
    assert second.run("'mine' in globals()") is False
    assert second.process and second.process.poll() is None
    first.close()
    assert second.run("1 + 1") == 2


def test_a_krita_that_dies_ends_the_call(start_krita: Start) -> None:
    krita = start_krita()
    with pytest.raises(KritaError, match=r"went away|No answer"):
        krita.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
