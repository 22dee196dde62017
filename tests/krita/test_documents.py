"""Documents of every kind: those that can be edited keep their colours, the others get a sentence with a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from desktop import Desktop
from krita_session import Profile
from plugin_session import PluginSession, plugin_running

SRGB = "sRGB-elle-V2-srgbtrc.icc"


@pytest.fixture(scope="module")
def krita(
    template: Profile, desktop: Desktop, models_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSession]:
    folder = tmp_path_factory.mktemp("documents")
    with plugin_running(template, desktop, folder, models_folder) as session:
        session.wait_for_engine()
        yield session
        close_all(session)


@pytest.fixture
def open_new(krita: PluginSession) -> Iterator[Callable[..., None]]:
    """A function that opens an empty document of a size and colour space."""

    def create(
        width: int = 256, height: int = 256, model: str = "RGBA", depth: str = "U8", profile: str = SRGB
    ) -> None:
        krita.run(
            "doc = k.createDocument(width, height, 'test', model, depth, profile, 72.0)\nk.activeWindow().addView(doc)",
            width=width,
            height=height,
            model=model,
            depth=depth,
            profile=SRGB,
        )
        krita.until("docker._edit is not None and docker._edit.document.krita == k.activeDocument()")

    yield create
    krita.no_dialog()
    close_all(krita)


def close_all(krita: PluginSession) -> None:
    krita.run("[(d.setModified(False), d.close()) for d in k.documents()]")
    krita.until("not k.documents() and docker._edit is None")


def refusal(krita: PluginSession) -> str:
    """Press Prepare and return what the docker says."""
    krita.click_button("Prepare photo")
    krita.until("edit().session.problem is not None", 120)
    message = krita.message
    assert krita.run("bool(docker.view().message.hint)"), "there is no way out"
    assert krita.stage == "empty"
    return message


def test_no_document(krita: PluginSession) -> None:
    krita.until("docker._edit is None")
    assert "Open a picture to start" in krita.message
    assert krita.run("[docker.view().can_prepare, docker.view().can_drag, docker.view().can_apply]") == [False] * 3


def test_an_empty_layer(krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new()
    krita.run("n = doc.createNode('empty', 'paintlayer'); doc.rootNode().addChildNode(n, None); doc.setActiveNode(n)")
    krita.settle()
    assert "empty" in refusal(krita)


@pytest.mark.parametrize("kind", ["grouplayer", "vectorlayer", "filterlayer"])
def test_layers_without_pixels_of_their_own(kind: str, krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new()
    krita.run(
        "from krita import InfoObject, Selection\n"
        "whole = Selection(); whole.select(0, 0, 256, 256, 255)\n"
        "n = {'grouplayer': lambda: doc.createGroupLayer('odd'), 'vectorlayer': lambda: doc.createVectorLayer('odd'),\n"
        "     'filterlayer': lambda: doc.createFilterLayer('odd', k.filter('blur'), whole)}[kind]()\n"
        "doc.rootNode().addChildNode(n, None); doc.setActiveNode(n)",
        kind=kind,
    )
    krita.settle()
    krita.until("k.activeDocument().activeNode().name() == 'odd'")
    assert "odd" in refusal(krita)


def test_a_document_without_a_face(krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new()
    krita.run("doc.setActiveNode(layers()[0])")
    krita.run("layers()[0].setPixelData(bytes((200, 150, 100, 255)) * 256 * 256, 0, 0, 256, 256)")
    krita.run("doc.refreshProjection()")
    krita.prepare(steps=2)
    assert "No face was found" in krita.message


def test_a_selection_outside_the_image(krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new()
    krita.run("layers()[0].setPixelData(bytes((200, 150, 100, 255)) * 256 * 256, 0, 0, 256, 256)")
    krita.run(
        "from krita import Selection\n"
        "s = Selection(); s.select(300, 300, 50, 50, 255); doc.setSelection(s); doc.setActiveNode(layers()[0])"
    )
    krita.settle()
    assert "selection" in refusal(krita).lower()


def test_a_huge_canvas(krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new(30_000, 2_000)
    krita.run("layers()[0].setPixelData(bytes((200, 150, 100, 255)), 29_999, 1_999, 1, 1)")
    krita.run("layers()[0].setPixelData(bytes((200, 150, 100, 255)), 0, 0, 1, 1); doc.setActiveNode(layers()[0])")
    krita.settle()
    assert "Select the part" in refusal(krita)


def test_a_sixteen_bit_document_keeps_its_depth(
    krita: PluginSession, open_new: Callable[..., None], photo: Path
) -> None:
    krita.run("doc = k.openDocument(path); k.activeWindow().addView(doc)", path=str(photo))
    krita.until("docker._edit is not None and docker._edit.document.krita == k.activeDocument()")
    krita.run("answer = doc.setColorSpace('RGBA', 'U16', profile); doc.waitForDone()", profile=SRGB)
    krita.settle()
    before = krita.pixels("Background", (0, 0, 512, 512))
    assert len(before) == 512 * 512 * 8
    krita.prepare(steps=6)
    krita.view(2)
    krita.until("edit().editing and docker._overlay is not None and docker._overlay.editing")
    krita.pull((209.0, 144.0), (203.0, 138.0))
    krita.until("len(edit().editor.pairs) == 1")
    krita.drag()
    name = krita.apply()
    assert krita.run("[layer(name).colorDepth(), layer(name).colorProfile()]", name=name) == ["U16", SRGB]
    assert krita.pixels("Background", (0, 0, 512, 512)) == before
    result = np.frombuffer(krita.pixels(name, (0, 0, 512, 512)), np.uint16).reshape(512, 512, 4)
    shown = krita.run("k.activeDocument().pixelData(0, 0, 512, 512)")
    shown = np.frombuffer(shown, np.uint16).reshape(512, 512, 4)
    source = np.frombuffer(before, np.uint16).reshape(512, 512, 4)
    assert result[..., 3].max() == 65535
    assert np.array_equal(shown[result[..., 3] == 0], source[result[..., 3] == 0])
    opaque = result[..., 3] == 65535
    assert np.abs(shown[opaque].astype(int) - source[opaque]).mean() < 65535 / 8, "colours went astray"
