"""Turn any picture file that Pillow reads into 8-bit RGB and alpha; `engine.images` is the door to it.

Everything a file may hold is handled here or refused in one sentence: 16 bits a channel, CMYK and Lab (through
the embedded profile), palettes, greyscale, 1 bit, EXIF orientation, several frames, sizes only an attack has.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from krita_drag.wire.errors import BadImage, OutOfMemory
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

# Raster formats that painters and cameras write; not EPS and the like, which Pillow hands to outside programs.
FORMATS = ["PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM", "TGA", "PSD", "ICO", "QOI"]
MIN_SIDE_PX = 16
MAX_SIDE_PX = 65_000
MAX_PIXELS = 178_000_000  # Pillow's own limit against decompression bombs; 13,000 x 13,000 passes

# What Pillow's decoders let through on damaged files.
DECODING_ERRORS = (
    OSError, SyntaxError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError,
    AttributeError, struct.error, zlib.error,
)  # fmt: skip

_ORIENTATION_TAG = 0x0112
X_RESOLUTION_TAG, Y_RESOLUTION_TAG, RESOLUTION_UNIT_TAG = 0x011A, 0x011B, 0x0128
PER_INCH, PER_CENTIMETRE = 2, 3  # values of the last one
MIN_DPI, MAX_DPI = 10, 60_000  # Pillow tells 1 where a file says nothing; JPEG holds 65,535
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)
_PROFILE_SPACES = {"L": b"GRAY", "CMYK": b"CMYK", "LAB": b"Lab ", "RGB": b"RGB "}

RGB = NDArray[np.uint8]
Dpi = tuple[float, float]
Decoded = tuple[RGB, NDArray[np.uint8] | None, bytes | None, Dpi | None, list[str]]


def decode(path: Path) -> Decoded:
    """Read the first frame of a picture file.

    Args:
        path: an existing regular file.

    Returns:
        rgb (H, W, 3) and alpha (H, W) or None, both upright; the RGB profile and the dots per inch, across and
        down, to write back, or None; one sentence for each thing about the file that was changed on the way in.

    Raises:
        BadImage: the file is no picture, is damaged, or is too large or too small.
        OutOfMemory: the pixels do not fit in memory.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files are not for users
        try:
            with _open(path) as image:
                return _convert(image, path.name)
        except Image.DecompressionBombError as error:
            raise _too_large(path.name, "") from error
        except UnidentifiedImageError as error:
            raise _not_a_picture(path) from error
        except MemoryError as error:
            message = f"The picture {path.name} does not fit in this machine's memory."
            raise OutOfMemory(message, "Close other programs or shrink the picture.") from error
        except DECODING_ERRORS as error:
            message = f"The picture {path.name} is damaged or cut off ({_first_line(error)})."
            raise BadImage(message, "Open it in an image editor and save it again.") from error


def _open(path: Path) -> Image.Image:
    Image.init()
    return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])


def _convert(image: Image.Image, name: str) -> Decoded:
    """Check the size on the header, then decode."""
    _check_size(image.size, name)
    notes = _frames_note(image) + _depth_note(image)
    profile = image.info.get("icc_profile") or None
    dpi = _dpi(image)
    image.load()
    if image.mode in ("La", "RGBa"):  # premultiplied, which little else in Pillow takes
        image = image.convert(image.mode.upper())
    image = _upright(image, notes)
    alpha = None
    if image.has_transparency_data and not image.mode.startswith("I"):
        alpha = np.array(image.convert("RGBA").getchannel("A"))
    rgb, profile = _to_rgb(image, profile, notes)
    return rgb, alpha, profile, dpi, notes


def _check_size(size_wh: tuple[int, int], name: str) -> None:
    width, height = size_wh
    if min(size_wh) < MIN_SIDE_PX:
        message = f"The picture {name} is too small ({width} x {height} px)."
        raise BadImage(message, f"Both sides must have at least {MIN_SIDE_PX} px.")
    if max(size_wh) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise _too_large(name, f" ({width} x {height} px)")


def _too_large(name: str, size: str) -> BadImage:
    limit = f"The limit is {MAX_PIXELS // 1_000_000} million pixels and {MAX_SIDE_PX} px a side"
    return BadImage(f"The picture {name} is too large{size}.", f"{limit}: crop or shrink it first.")


def _frames_note(image: Image.Image) -> list[str]:
    if image.format in ("PSD", "ICO"):  # layers and sizes of one picture
        return []
    try:
        frames = getattr(image, "n_frames", 1)
    except DECODING_ERRORS:  # a damaged later frame must not cost us the first
        return []
    return [f"The file holds {frames} pictures; the first is used."] if frames > 1 else []


def _depth_note(image: Image.Image) -> list[str]:
    tiles = getattr(image, "tile", [])  # how Pillow will decode: the only trace of 16 bits in an RGB file
    deep = image.mode.startswith("I;16") or any(";16" in str(tile[3]) for tile in tiles)
    return ["The picture has 16 bits a channel; the result has 8."] if deep else []


def _dpi(image: Image.Image) -> Dpi | None:
    """Dots per inch of the upright picture, across and down, where the file names some; before its pixels are read."""
    try:
        # of a PNG without EXIF data before its pixels, Pillow would read those to look behind them
        exif: Mapping[int, Any] = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
        unit = exif.get(RESOLUTION_UNIT_TAG, PER_INCH)
        if unit not in (PER_INCH, PER_CENTIMETRE):  # a ratio, which Pillow tells as dots per inch
            return None
        dpi = image.info.get("dpi")
        if dpi is None:  # of WebP files only the EXIF data tell
            inches = 2.54 if unit == PER_CENTIMETRE else 1.0
            dpi = exif[X_RESOLUTION_TAG] * inches, exif[Y_RESOLUTION_TAG] * inches
        across, down = (float(number) for number in dpi)
        if exif.get(_ORIENTATION_TAG) in _LYING:
            across, down = down, across
    except DECODING_ERRORS:  # broken metadata, sound pixels
        return None
    return (across, down) if all(MIN_DPI <= number <= MAX_DPI for number in (across, down)) else None


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except DECODING_ERRORS:  # broken metadata, sound pixels
        return image
    if orientation not in _UPRIGHT:
        return image
    notes.append("The camera's orientation mark was applied: points count in the upright picture.")
    return image.transpose(_UPRIGHT[orientation])


def _to_rgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> tuple[RGB, bytes | None]:
    """Return (H, W, 3) and the profile that describes it (None: sRGB)."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_deep_grey(image, notes))
    mode = {"1": "L", "LA": "L", "CMYK": "CMYK", "LAB": "LAB", "L": "L"}.get(image.mode, "RGB")
    if image.mode != mode:
        image = image.convert(mode)
    if profile is not None and profile[16:20] != _PROFILE_SPACES[mode]:
        notes.append("The colour profile in the file does not fit its pixels and was dropped.")
        profile = None
    if mode == "RGB":
        return np.array(image), profile
    return np.array(_through_profile(image, profile, notes)), None


def _through_profile(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Convert L, CMYK or LAB to sRGB, by the embedded profile where there is a good one."""
    space = {"L": "greyscale", "CMYK": "CMYK", "LAB": "Lab"}[image.mode]
    if image.mode == "LAB" or profile is not None:
        try:
            lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else lab
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
            if converted is not None:
                notes.append(f"The {space} picture was converted to RGB (sRGB).")
                return converted
        except (ImageCms.PyCMSError, OSError) as error:
            if image.mode == "LAB":
                raise ValueError("Lab colours without a usable profile") from error
    if image.mode != "L":
        notes.append(f"The {space} picture has no usable colour profile; its colours in RGB are approximate.")
    return image.convert("RGB")


def _deep_grey(image: Image.Image, notes: list[str]) -> NDArray[np.uint8]:
    """Bring 16-bit, 32-bit and float greyscale to 8 bits by scaling, never by clipping."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = 0.0, 1.0 if image.mode == "F" else 65_535.0  # what each mode nominally spans
    if values.min() < low or values.max() > high:
        low, high = float(values.min()), float(values.max())
        notes.append("The grey values of the file were scaled from their darkest and brightest.")
    return np.round((values - low) / ((high - low) or 1.0) * 255).astype(np.uint8)


def _not_a_picture(path: Path) -> BadImage:
    """Say what the file is instead, where its first bytes tell."""
    try:
        with path.open("rb") as file:
            head = file.read(512).lstrip()
    except OSError:
        head = b"?"
    lower = head.lower()
    if not head:
        return BadImage(f"The file {path.name} is empty.", "Copy or download it again.")
    if head.startswith(b"version https://git-lfs"):
        message = f"The file {path.name} is a Git LFS pointer, not the picture itself."
        return BadImage(message, "Run `git lfs pull` where it came from.")
    if lower.startswith((b"<!doctype html", b"<html")):
        return BadImage(f"The file {path.name} is a web page, not a picture.", "Download the picture itself.")
    if b"<svg" in lower or lower.startswith((b"%!ps", b"%pdf")):
        return BadImage(f"The file {path.name} is a vector drawing.", "Export it as PNG first.")
    if head.startswith(b"PK") and b"application/x-krita" in head:
        return BadImage(f"The file {path.name} is a Krita document.", "Export it as PNG first.")
    message = f"The file {path.name} is not a picture in a format that can be read."
    return BadImage(message, "Save it as PNG, JPEG, WebP or TIFF.")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
