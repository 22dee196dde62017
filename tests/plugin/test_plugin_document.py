"""Pixels out of and into a document, and a sentence with a way out for each document that cannot be edited."""

from __future__ import annotations

from typing import Any

import fake_krita
import pytest
from krita_drag.document import KritaDocument, bands_of
from krita_drag.geometry import Box
from krita_drag.wire.errors import DocumentError, LayerChanged, NoLayer, SelectionTooSmall, UnsupportedColor


def pixels(box: Box) -> bytes:
    return bytes((x * 7 + y * 13 + channel) % 256 for y in range(box.h) for x in range(box.w) for channel in range(4))


@pytest.fixture
def subject(document: Any) -> KritaDocument:
    return KritaDocument(document)


def test_the_active_layer_is_the_source(subject: KritaDocument) -> None:
    source = subject.source()
    assert (source.name, source.bounds, source.notes) == ("Photo", Box(0, 0, 64, 48), ())


def test_masks_belong_to_their_layer(subject: KritaDocument, document: Any) -> None:
    layer = document.activeNode()
    document.active = document.add(fake_krita.Node(document, "Mask", "transparencymask"), layer)
    assert subject.source().name == "Photo"


def test_with_the_markers_layer_active_the_layer_below_is_the_source(subject: KritaDocument, document: Any) -> None:
    document.add(fake_krita.VectorLayer(document, "Drag markers"))
    assert subject.source().name == "Photo"


def test_groups_and_vector_layers_are_read_as_they_look(subject: KritaDocument, document: Any) -> None:
    group = document.add(fake_krita.Node(document, "Group", "grouplayer"))
    group.setPixelData(b"abcd", 3, 4, 1, 1)
    assert subject.source().bounds == Box(3, 4, 1, 1)
    assert "becomes a paint layer" in subject.source().notes[0]


@pytest.mark.parametrize(
    ("kind", "filled", "said"),
    [("filterlayer", True, "filter layer"), ("paintlayer", False, "empty inside the canvas")],
)
def test_layers_without_a_picture(subject: KritaDocument, document: Any, kind: str, filled: bool, said: str) -> None:
    layer = document.add(fake_krita.Node(document, "New", kind))
    if filled:
        layer.setPixelData(b"abcd", 0, 0, 1, 1)
    with pytest.raises(NoLayer, match=said) as failure:
        subject.source()
    assert failure.value.hint


def test_a_layer_outside_the_canvas_or_none_at_all(subject: KritaDocument, document: Any) -> None:
    document.add(fake_krita.Node(document, "Far", "paintlayer")).setPixelData(b"abcd", 900, 900, 1, 1)
    with pytest.raises(NoLayer, match="Far"):
        subject.source()
    document.active = None
    with pytest.raises(NoLayer, match="No layer is selected"):
        subject.source()


def test_reading_in_bands_gives_the_pixels(subject: KritaDocument, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("krita_drag.document.BAND_PX", 100)
    source, box = subject.source(), Box(5, 7, 20, 30)
    bands = list(subject.read(source.node, bands_of(box)))
    assert len(bands) == 6
    assert b"".join(bands) == bytes(source.node.pixelData(5, 7, 20, 30))


def test_a_result_is_one_undo_step_above_the_source(subject: KritaDocument, document: Any) -> None:
    box = Box(4, 5, 8, 6)
    source = document.activeNode()
    result = subject.add_result(source, "[Drag] x", box, pixels(box))
    assert [node.name() for node in document.root.childNodes()] == ["Photo", "[Drag] x"]
    assert document.steps == ["Add Layer"]
    assert bytes(result.pixelData(4, 5, 8, 6)) == pixels(box)
    assert (result.bounds().x(), result.bounds().width()) == (4, 8)
    document.undo()
    assert document.root.childNodes() == [source]


@pytest.mark.parametrize("space", [("RGBA", "U16", "sRGB-elle-V2-g10.icc"), ("CMYKA", "U8", "Chemical proof")])
def test_other_colours_are_converted_both_ways_without_undo_steps(krita: Any, space: Any) -> None:
    document = fake_krita.Document(space=space)
    document.add(fake_krita.Node(document, "Photo", "paintlayer"))
    subject, box = KritaDocument(document), Box(1, 2, 8, 6)
    result = subject.add_result(document.activeNode(), "r", box, pixels(box))
    assert document.steps == ["Add Layer"]
    assert result.space == space
    assert bytes(result.pixelData(1, 2, 8, 6)) != pixels(box)
    assert b"".join(subject.read(result, [box])) == pixels(box)
    assert document.steps == ["Add Layer"]
    document.active = result
    assert subject.source().notes


@pytest.mark.parametrize("space", [("RGBA", "U8", ""), ("odd", "U8", "unknown")], ids=["no profile", "no way"])
def test_colours_that_krita_cannot_convert(krita: Any, space: tuple[str, str, str]) -> None:
    document = fake_krita.Document(space=space)
    layer = document.add(fake_krita.Node(document, "Photo", "paintlayer"))
    with pytest.raises(UnsupportedColor) as failure:
        list(KritaDocument(document).read(layer, [Box(0, 0, 2, 2)]))
    assert "Convert" in failure.value.hint


def test_a_source_that_was_removed(subject: KritaDocument, document: Any) -> None:
    source = document.activeNode()
    source.remove()
    with pytest.raises(LayerChanged):
        subject.add_result(source, "r", Box(0, 0, 1, 1), b"abcd")


def test_no_selection_is_no_limit(subject: KritaDocument) -> None:
    assert subject.selection() is None


def test_a_selection_is_read_softly(subject: KritaDocument, document: Any) -> None:
    document.chosen = fake_krita.Selection(-5, -5, 20, 20, value=100)
    assert subject.selection() == Box(0, 0, 15, 15)
    mask = subject.read_selection(Box(10, 10, 10, 10))
    assert len(mask) == 100 and mask.count(100) == 25 and mask.count(0) == 75


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (500, 500, 10, 10)])
def test_selections_that_select_nothing(subject: KritaDocument, document: Any, box: Any) -> None:
    document.chosen = fake_krita.Selection(*box)
    with pytest.raises(SelectionTooSmall) as failure:
        subject.selection()
    assert failure.value.hint


def test_a_selection_beside_the_picture(subject: KritaDocument, document: Any) -> None:
    document.chosen = fake_krita.Selection(40, 40, 10, 3)
    with pytest.raises(DocumentError):
        subject.read_selection(Box(0, 0, 20, 20))


def test_what_reopens_an_edit_is_found_by_its_layer(subject: KritaDocument, document: Any) -> None:
    source = document.activeNode()
    assert subject.remembered() is None
    one = subject.add_result(source, "one", Box(0, 0, 1, 1), b"abcd")
    two = subject.add_result(source, "two", Box(0, 0, 1, 1), b"abcd")
    subject.remember(one, b"first")
    subject.remember(two, b"second")
    document.active = one
    assert subject.remembered() == (one, b"first")
    document.active = source
    assert subject.remembered() == (two, b"second")
    two.remove()
    assert subject.remembered() == (one, b"first")


def test_documents_are_known_by_their_root(subject: KritaDocument, document: Any, krita: Any) -> None:
    assert subject.is_open(krita.documents())
    document.close()
    assert not subject.is_open(krita.documents())
