"""Documents of every kind: those that can be edited keep their colours, the others get a sentence with a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desktop import Desktop
from krita_session import Profile
from numpy.typing import NDArray
from PIL import Image
from plugin_session import PluginSession, plugin_running

SRGB = "sRGB-elle-V2-srgbtrc.icc"
WHOLE = (0, 0, 512, 512)


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
            profile=profile,
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


def test_an_empty_selection(krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new()
    krita.run("layers()[0].setPixelData(bytes((200, 150, 100, 255)) * 256 * 256, 0, 0, 256, 256)")
    krita.run("from krita import Selection; doc.setSelection(Selection()); doc.setActiveNode(layers()[0])")
    krita.settle()
    assert "selection is empty" in refusal(krita)


def test_a_document_without_layers(krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new()
    krita.run("[node.remove() for node in layers()]")
    krita.until("not layers()")
    krita.settle()
    assert "Select the layer with the picture" in refusal(krita)


def test_a_huge_canvas(krita: PluginSession, open_new: Callable[..., None]) -> None:
    open_new(30_000, 2_000)
    krita.run("layers()[0].setPixelData(bytes((200, 150, 100, 255)), 29_999, 1_999, 1, 1)")
    krita.run("layers()[0].setPixelData(bytes((200, 150, 100, 255)), 0, 0, 1, 1); doc.setActiveNode(layers()[0])")
    krita.settle()
    assert "Select the part" in refusal(krita)


def open_photo(krita: PluginSession, path: Path, *space: str) -> None:
    """Open a picture and convert it to colour model, depth and profile."""
    krita.run("doc = k.openDocument(path); k.activeWindow().addView(doc)", path=str(path))
    krita.until("docker._edit is not None and docker._edit.document.krita == k.activeDocument()")
    assert krita.run("answer = doc.setColorSpace(*space); doc.waitForDone()", space=list(space))
    krita.settle()


def drag_the_mouth(krita: PluginSession) -> str:
    """Prepare, pull the corner of the mouth, drag and apply with the mouse; return the new layer's name."""
    krita.prepare(steps=6)
    krita.view(2)
    krita.place_pair((209.0, 144.0), (203.0, 138.0))
    krita.drag()
    return krita.apply()


def seen(krita: PluginSession) -> NDArray[np.int64]:
    """Return the document as a screen shows it, (height, width, BGR)."""
    picture = (
        "image = k.activeDocument().projection(0, 0, 512, 512)\n"
        "answer = image.constBits().asstring(image.sizeInBytes())"
    )
    return np.frombuffer(krita.run(picture), np.uint8).reshape(512, 512, 4)[..., :3].astype(int)


def what_the_engine_drew(krita: PluginSession) -> NDArray[np.int64]:
    """Return the latest state that the engine sent, (height, width, BGR), black around it."""
    (x, y, w, h), data = krita.run(
        "p = edit().session.shown.patch; answer = [[p.box.x, p.box.y, p.box.w, p.box.h], bytes(p.bgra)]"
    )
    drawn = np.zeros((512, 512, 3), int)
    drawn[y : y + h, x : x + w] = np.frombuffer(data, np.uint8).reshape(h, w, 4)[..., :3]
    return drawn


def raw(data: bytes, channels: int, kind: type) -> NDArray[Any]:
    return np.frombuffer(data, kind).reshape(512, 512, channels)


@pytest.mark.parametrize(
    ("space", "channels", "kind", "astray", "note"),
    [
        (("RGBA", "U16", SRGB), 4, np.uint16, 0.01, "8 bits a channel"),
        (("CMYKA", "U8", "Chemical proof.icc"), 5, np.uint8, 8, "(CMYKA) are converted to RGB and back"),
    ],
    ids=["16 bit", "CMYK"],
)
def test_the_result_has_the_colours_of_the_document(
    space: tuple[str, str, str],
    channels: int,
    kind: type,
    astray: float,
    note: str,
    krita: PluginSession,
    open_new: Callable[..., None],
    photo: Path,
) -> None:
    open_photo(krita, photo, *space)
    space_there = krita.run("[doc.colorModel(), doc.colorDepth(), doc.colorProfile()]")
    before, photo_seen = krita.pixels("Background", WHOLE), seen(krita)
    assert len(before) == 512 * 512 * channels * kind(0).itemsize
    krita.run("said = []; docker._desk.changed.connect(lambda: said.append(docker.view().message))")
    name = drag_the_mouth(krita)
    assert krita.run("any(m is not None and note in m.text for m in said)", note=note)
    assert (
        krita.run("n = layer(name); answer = [n.colorModel(), n.colorDepth(), n.colorProfile()]", name=name)
        == space_there
    )
    assert krita.pixels("Background", WHOLE) == before
    alpha = raw(krita.pixels(name, WHOLE), channels, kind)[..., -1]
    shown = raw(krita.run("k.activeDocument().pixelData(0, 0, 512, 512)"), channels, kind)
    outside, inside = alpha == 0, alpha == np.iinfo(kind).max
    assert np.array_equal(shown[outside], raw(before, channels, kind)[outside])
    changed = np.abs(seen(krita) - photo_seen).max(axis=-1)
    assert np.abs(seen(krita) - what_the_engine_drew(krita))[inside].mean() < astray
    assert changed[130:160, 195:245].max() > 30, "the corner of the mouth did not move"
    krita.run("k.action('edit_undo').trigger()")
    krita.until("[n.name() for n in layers()] == ['Background', 'Drag markers']")
    krita.settle()
    assert krita.run("k.activeDocument().pixelData(0, 0, 512, 512)") == before


@pytest.mark.parametrize("named", [b"ClayRGB", b"MyOwn18"], ids=["known", "unknown"])
def test_a_photo_with_a_profile_of_its_own(
    named: bytes, krita: PluginSession, open_new: Callable[..., None], photo: Path, tmp_path: Path
) -> None:
    """A profile embedded in the file, whether Krita knows it already or not; no engine needed."""
    profile = (Path("/usr/share/color/icc/krita") / "ClayRGB-elle-V2-g22.icc").read_bytes()
    path = tmp_path / f"{named.decode()}.png"
    with Image.open(photo) as picture:
        picture.save(path, icc_profile=profile.replace(b"ClayRGB", named))
    krita.run("doc = k.openDocument(path); k.activeWindow().addView(doc)", path=str(path))
    krita.until("docker._edit is not None and docker._edit.document.krita == k.activeDocument()")
    name = krita.run("doc.colorProfile()")
    assert named.decode() in name
    read = krita.run(
        "from krita_drag.geometry import Box as PartOf\n"
        "part = PartOf(0, 0, 512, 512)\n"
        "answer = b''.join(edit().document.read(layers()[0], [part]))"
    )
    as_srgb = np.frombuffer(read, np.uint8).reshape(512, 512, 4)[..., :3].astype(int)
    assert np.abs(as_srgb - seen(krita)).mean() < 1
    with Image.open(photo) as picture:
        raw_numbers = np.asarray(picture)[..., ::-1].astype(int)
    assert np.abs(as_srgb - raw_numbers).mean() > 3, "nothing was converted"
    before = seen(krita)
    krita.run(
        "pixels = b''.join(edit().document.read(layers()[0], [part]))\n"
        "edit().document.add_result(layers()[0], 'back', part, pixels, 'edge')"
    )
    krita.until("len(layers()) == 2")
    krita.settle()
    assert krita.run("layer('back').colorProfile()") == name
    assert np.abs(seen(krita) - before).mean() < 1.5, "the way there and back changed the colours"


def test_a_picture_of_the_models_own(krita: PluginSession, open_new: Callable[..., None]) -> None:
    krita.click_button("Advanced")
    krita.until("button('New picture') is not None")
    seed = "docker._advanced._seed"
    krita.run(f"docker.findChildren(QScrollArea)[0].ensureWidgetVisible({seed})")
    krita.settle_layout(seed)
    krita.desktop.click_middle(krita.run(f"on_screen({seed})"))
    krita.until(f"{seed}.hasFocus()")
    krita.desktop.key("ctrl+a")
    krita.desktop.type("7")
    krita.click_button("New picture")
    krita.until("docker._edit is not None and edit().session.stage.value == 'ready'", 120)
    krita.until("docker._overlay is not None and docker._overlay.editing")
    assert krita.run("[k.activeDocument().width(), k.activeDocument().height()]") == [1024, 1024]
    assert krita.run("[n.name() for n in layers()]") == ["faces 7", "Drag markers"]
    krita.view(0.5)
    before = krita.pixels("faces 7", (0, 0, 1024, 1024))
    assert len(set(before[::4])) > 100, "a picture has many colours"
    krita.pull((600.0, 760.0), (640.0, 740.0))
    krita.until("len(edit().editor.pairs) == 1")
    krita.drag()
    name = krita.apply()
    assert krita.run("[n.name() for n in layers()]") == ["faces 7", name, "Drag markers"]
    shown = np.frombuffer(krita.run("k.activeDocument().pixelData(0, 0, 1024, 1024)"), np.uint8)
    changed = np.abs(shown.astype(int) - np.frombuffer(before, np.uint8)).reshape(1024, 1024, 4).max(axis=-1)
    assert changed[720:780, 590:660].mean() > 5
    assert krita.pixels("faces 7", (0, 0, 1024, 1024)) == before
    krita.click_button("Advanced")
