"""A layer with a transparency mask, made before it enters the document, so that both are one undo step.

Plugins cannot fill a transparency mask before Krita 5.2, and every child that is added is an undo step of its own. But
a layer of another document can be cloned with its masks, and documents can be read from files: so a small file with an
empty layer and the wanted mask is written, read as a hidden document, and its layer cloned.
"""

from __future__ import annotations

import html
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Iterator

from .geometry import Box
from .guard import LOGGER

TILE = 64  # side of the squares that Krita stores pixels in
SHOWN = b"\xff"  # where the mask says nothing
MAIN = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE DOC PUBLIC '-//KDE//DTD krita 2.0//EN' 'http://www.calligra.org/DTD/krita-2.0.dtd'>
<DOC xmlns="http://www.calligra.org/DTD/krita" editor="Krita" kritaVersion="5.1.5" syntaxVersion="2.0">
 <IMAGE mime="application/x-kra" name="mask" description="" width="{w}" height="{h}" x-res="72" y-res="72"
  colorspacename="RGBA" profile="sRGB-elle-V2-srgbtrc.icc">
  <layers>
   <layer nodetype="paintlayer" name="layer" filename="layer" colorspacename="RGBA" compositeop="normal" opacity="255"
    visible="1" locked="0" collapsed="0" x="0" y="0" channelflags="" channellockflags="">
    <masks>
     <mask nodetype="transparencymask" name="{name}" filename="mask" visible="1" locked="0" x="0" y="0"/>
    </masks>
   </layer>
  </layers>
 </IMAGE>
</DOC>
"""


def masked_layer(
    krita: Any, size: tuple[int, int], space: tuple[str, str, str], box: Box, alpha: bytes, name: str
) -> Any | None:
    """Return an empty layer with a mask, which belongs to no document yet; None if Krita cannot make it.

    Args:
        krita: `Krita.instance()`.
        size: width and height of the document that it will be added to.
        space: colour model, depth and profile of that document.
        box: what the mask covers, inside the document; everything shows around it.
        alpha: how much shows, one byte a pixel of the box.
        name: of the mask.
    """
    before = krita.batchmode()
    krita.setBatchmode(True)  # no dialog, whatever there is to say of the file
    try:
        with tempfile.TemporaryDirectory(prefix="krita-drag-") as folder:
            path = Path(folder) / "mask.kra"
            write_file(path, size, box, alpha, name)
            scratch = krita.openDocument(str(path))
    except OSError:
        LOGGER.exception("the file of a mask could not be written")
        return None
    finally:
        krita.setBatchmode(before)
    if scratch is None:
        return None
    try:
        if all(space) and (scratch.colorModel(), scratch.colorDepth(), scratch.colorProfile()) != space:
            scratch.setColorSpace(*space)
            scratch.waitForDone()
        nodes = scratch.topLevelNodes()
        layer = nodes[0].clone() if nodes else None
    finally:
        scratch.setModified(False)
        scratch.close()
    complete = layer is not None and [child.type() for child in layer.childNodes()] == ["transparencymask"]
    return layer if complete else None


def write_file(path: Path, size: tuple[int, int], box: Box, alpha: bytes, name: str) -> None:
    """Write a .kra file with an empty layer that has a mask; arguments as of `masked_layer`."""
    assert len(alpha) == box.w * box.h
    tiles = list(_tiles(box, alpha))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/x-krita")
        file.writestr("maindoc.xml", MAIN.format(w=size[0], h=size[1], name=html.escape(name)))
        file.writestr("mask/layers/layer", _pixels(4, []))
        file.writestr("mask/layers/layer.defaultpixel", bytes(4))
        file.writestr("mask/layers/mask.pixelselection", _pixels(1, tiles))
        file.writestr("mask/layers/mask.pixelselection.defaultpixel", SHOWN)


def _pixels(pixel_size: int, tiles: list[bytes]) -> bytes:
    head = f"VERSION 2\nTILEWIDTH {TILE}\nTILEHEIGHT {TILE}\nPIXELSIZE {pixel_size}\nDATA {len(tiles)}\n"
    return head.encode() + b"".join(tiles)


def _tiles(box: Box, alpha: bytes) -> Iterator[bytes]:
    """Cut a mask into Krita's tiles: a line that says where and how long, a zero for "not packed", the pixels."""
    left, right = box.x // TILE * TILE, -(-(box.x + box.w) // TILE) * TILE
    top, bottom = box.y // TILE * TILE, -(-(box.y + box.h) // TILE) * TILE
    before, after = SHOWN * (box.x - left), SHOWN * (right - box.x - box.w)
    outside = SHOWN * (right - left)
    for tile_y in range(top, bottom, TILE):
        rows = [
            before + alpha[(y - box.y) * box.w : (y - box.y + 1) * box.w] + after if 0 <= y - box.y < box.h else outside
            for y in range(tile_y, tile_y + TILE)
        ]
        for tile_x in range(0, right - left, TILE):
            pixels = b"".join(row[tile_x : tile_x + TILE] for row in rows)
            yield f"{left + tile_x},{tile_y},LZF,{1 + len(pixels)}\n".encode() + b"\0" + pixels
