"""Picture files in and out, and the one place where pixels become tensors and back.

Files are read by `engine.decoding`; results are written beside their destination first and renamed at the end,
so that a full disk or a crash leaves the old file, or none, but never half a picture.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from krita_drag.wire.errors import BadImage, BadMask, BadOutput
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from engine.decoding import PER_INCH, RESOLUTION_UNIT_TAG, X_RESOLUTION_TAG, Y_RESOLUTION_TAG, decode

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},  # exact: keeps colours that alpha hides
    ".tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}
_MAX_SIDE_PX = {"JPEG": 65_500, "WEBP": 16_383}


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright 8-bit picture in document pixels.

    Attributes:
        rgb: colours, (H, W, 3) uint8, not premultiplied.
        alpha: opacity, (H, W) uint8; None where the file had none.
        icc_profile: the profile of `rgb`, written back by `save_picture`; None means sRGB.
        dpi: dots per inch in print, across and down, written back, too; None where the file named none.
        notes: one sentence for each thing that reading the file changed.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()
    dpi: tuple[float, float] | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


def load_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file: first frame, upright, 8 bits.

    Raises:
        BadImage: the file is missing, no picture, damaged, too large or too small.
        OutOfMemory: the pixels do not fit in memory.
    """
    path = Path(path)
    _check_source(path)
    rgb, alpha, profile, dpi, notes = decode(path)
    return Picture(rgb, alpha, profile, tuple(notes), dpi)


def _check_source(path: Path) -> None:
    try:
        if path.is_dir():
            raise BadImage(f"{path} is a folder, not a picture.", "Give the path of a picture file.")
        if not path.exists():
            raise BadImage(f"The picture {path} does not exist.", "Check the path.")
        if not path.is_file():
            raise BadImage(f"{path} is not a regular file.", "Give the path of a picture file.")
        path.open("rb").close()
    except OSError as error:
        message = f"The picture {path} cannot be read: {error.strerror or error}."
        raise BadImage(message, "Check the path and its rights.") from error
    except ValueError as error:  # a NUL character in the path
        raise BadImage("The picture's path is not one that files can have.", "Check the path.") from error


def load_mask(path: str | os.PathLike[str], size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """Read a painted mask: white may move, black must stay, transparent counts as black.

    Args:
        path: a picture file of any readable kind; of colours, the brightest channel counts.
        size_wh: size of the picture that the mask belongs to, pixels.

    Returns:
        (H, W) in [0, 1]; 1 = may move.

    Raises:
        BadMask: unreadable, of another size, or black all over.
    """
    try:
        painted = load_picture(path)
    except BadImage as error:
        raise BadMask(error.message.replace("The picture", "The mask"), error.hint) from error
    if painted.size_wh != tuple(size_wh):
        width, height = painted.size_wh
        message = f"The mask has {width} x {height} px, the picture {size_wh[0]} x {size_wh[1]}."
        raise BadMask(message, "Paint the mask on a copy of the picture.")
    mask = painted.rgb.max(axis=2).astype(np.float32) / 255
    if painted.alpha is not None:
        mask *= painted.alpha.astype(np.float32) / 255
    if not mask.any():
        raise BadMask("The mask is black all over: nothing may move.", "Paint white what may move.")
    return mask


def save_picture(path: str | os.PathLike[str], picture: Picture) -> None:
    """Write a picture in the format of the path's extension, all or nothing.

    PNG, WebP and TIFF are lossless and keep alpha. JPEG has no alpha: the picture is laid over white.

    Raises:
        BadOutput: unknown extension, a size the format cannot hold, or the file cannot be written.
    """
    path = Path(path)
    options = _save_options(path, picture.size_wh)
    if picture.icc_profile is not None:
        options["icc_profile"] = picture.icc_profile
    if picture.dpi is not None:
        options |= _resolution(options["format"], picture.dpi)
    if picture.alpha is None:
        pixels = picture.rgb
    elif options["format"] == "JPEG":
        opacity = picture.alpha[..., None].astype(np.float32) / 255
        pixels = np.round(picture.rgb * opacity + 255 * (1 - opacity)).astype(np.uint8)
    else:
        pixels = np.dstack([picture.rgb, picture.alpha])
    with atomic_output(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)


def _save_options(path: Path, size_wh: tuple[int, int]) -> dict[str, Any]:
    if path.suffix.lower() not in _SAVE_OPTIONS:
        known = ", ".join(_SAVE_OPTIONS)
        what = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        raise BadOutput(f"The output {path.name!r} has {what}.", f"Use one of {known}.")
    options = dict(_SAVE_OPTIONS[path.suffix.lower()])
    limit = _MAX_SIDE_PX.get(options["format"])
    if limit is not None and max(size_wh) > limit:
        message = f"{options['format']} files cannot hold {size_wh[0]} x {size_wh[1]} px."
        raise BadOutput(message, "Write a PNG or TIFF instead.")
    return options


def _resolution(format_: str, dpi: tuple[float, float]) -> dict[str, Any]:
    """What tells Pillow to write dots per inch, across and down."""
    if format_ != "WEBP":
        return {"dpi": dpi}
    exif = Image.Exif()
    exif[X_RESOLUTION_TAG], exif[Y_RESOLUTION_TAG] = dpi
    exif[RESOLUTION_UNIT_TAG] = PER_INCH
    return {"exif": exif}


@contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file all or nothing: the body writes to the path it is given, which is renamed at the end.

    Args:
        path: destination; an existing file is replaced only when the body succeeds; links are followed.

    Yields:
        A path in the same folder, with the same extension; it does not exist yet.

    Raises:
        BadOutput: for any OSError, also one raised by the body.
    """
    given = Path(path)
    try:
        target = Path(os.path.realpath(given))
        _check_destination(given, target)
        temporary = target.with_name(f".krita-drag-{secrets.token_hex(6)}{target.suffix}")
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(given, error) from error
    except ValueError as error:
        if "\0" not in str(given):
            raise
        raise BadOutput("The output path is not one that files can have.", "Choose another path.") from error


def _check_destination(given: Path, target: Path) -> None:
    if target.is_dir():
        raise BadOutput(f"The output {given} is a folder.", "Give the name of a file.")
    if not target.parent.is_dir():
        raise BadOutput(f"The folder {given.parent} does not exist.", "Create it or choose another.")
    if target.exists() and not target.is_file():
        raise BadOutput(f"The output {given} is not a regular file.", "Choose another name.")
    if target.exists() and not os.access(target, os.W_OK):
        raise BadOutput(f"The output {given} is write-protected.", "Choose another name.")


def _cannot_write(path: Path, error: OSError) -> BadOutput:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BadOutput(f"The disk is full: {path} was not written.", "Free some space or write elsewhere.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return BadOutput(f"{path} cannot be written: no permission there.", "Choose another folder.")
    return BadOutput(f"{path} cannot be written: {error.strerror or error}.", "Choose another place.")


def to_tensor(rgb: NDArray[np.uint8]) -> Tensor:
    """Turn pixels (H, W, 3) uint8 into what networks see: (1, 3, H, W) float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None]  # (1, 3, H, W)
    return pixels.float() / 127.5 - 1


def to_uint8(image: Tensor) -> NDArray[np.uint8]:
    """Turn a network's picture (1, 3, H, W), nominally in [-1, 1], into pixels (H, W, 3) uint8; clamps."""
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"expected (1, 3, H, W), got {tuple(image.shape)}")
    levels = image.detach()[0].float() * 127.5 + 128  # (3, H, W); the cast truncates, so this rounds
    pixels = levels.clamp(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 0).cpu().contiguous().numpy()
