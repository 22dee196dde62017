"""Every kind of picture file a user may hand in, and writing that never leaves half a file."""

from __future__ import annotations

import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from krita_drag.wire.errors import BadImage, BadMask, BadOutput
from PIL import Image, ImageCms

from engine.images import Picture, atomic_output, load_mask, load_picture, save_picture, to_tensor, to_uint8

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def rgb() -> np.ndarray:
    """A small picture in which every corner differs, (48, 64, 3)."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 4, (rows + columns) * 2], axis=2).astype(np.uint8)


def png(width: int, height: int, bit_depth: int, colour_type: int, data: bytes) -> bytes:
    """A PNG file put together by hand, for what Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("extension", ["png", "webp", "tif", "tiff", "PNG"])
@pytest.mark.parametrize("profile", [None, SRGB])
def test_lossless_round_trip_keeps_pixels_alpha_and_profile(
    tmp_path: Path, rgb: np.ndarray, extension: str, profile: bytes | None
) -> None:
    alpha = np.arange(rgb[..., 0].size, dtype=np.uint8).reshape(rgb.shape[:2])
    path = tmp_path / f"picture.{extension}"
    save_picture(path, Picture(rgb, alpha, profile))
    picture = load_picture(path)
    assert np.array_equal(picture.rgb, rgb)
    assert np.array_equal(picture.alpha, alpha)
    assert picture.icc_profile == profile
    assert picture.size_wh == (64, 48)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("extension", [".png", ".jpg", ".tif", ".webp"])
def test_the_resolution_in_print_is_kept(tmp_path: Path, rgb: np.ndarray, extension: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 150.0, 2  # all that WebP has
    Image.fromarray(rgb).save(tmp_path / f"photo{extension}", dpi=(300, 150), exif=exif)
    picture = load_picture(tmp_path / f"photo{extension}")
    assert picture.dpi == pytest.approx((150, 300), rel=1e-3)
    save_picture(tmp_path / f"saved{extension}", picture)
    assert load_picture(tmp_path / f"saved{extension}").dpi == pytest.approx((150, 300), rel=1e-3)


def test_no_resolution_and_one_of_no_use(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).save(tmp_path / "plain.png")
    Image.fromarray(rgb).save(tmp_path / "odd.tif", dpi=(0, float(2**31)))
    ratio = Image.Exif()
    ratio[0x011A], ratio[0x011B], ratio[0x0128] = 300.0, 300.0, 1  # of a pixel's sides, no resolution
    Image.fromarray(rgb).save(tmp_path / "ratio.jpg", exif=ratio)
    Image.fromarray(rgb).save(tmp_path / "plain.tif")  # which Pillow reads as 1 dpi
    for name in ("plain.png", "odd.tif", "ratio.jpg", "plain.tif"):
        assert load_picture(tmp_path / name).dpi is None


def test_jpeg_is_laid_over_white(tmp_path: Path, rgb: np.ndarray) -> None:
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    save_picture(tmp_path / "a.jpg", Picture(rgb, alpha, SRGB))
    picture = load_picture(tmp_path / "a.jpg")
    assert picture.alpha is None
    assert picture.icc_profile == SRGB
    assert picture.rgb.min() > 250


def test_16_bit_colour_is_scaled(tmp_path: Path) -> None:
    levels = np.linspace(0, 65_535, 32 * 32 * 3).astype(">u2").reshape(32, 32, 3)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    (tmp_path / "deep.png").write_bytes(png(32, 32, 16, 2, rows))
    picture = load_picture(tmp_path / "deep.png")
    assert np.abs(picture.rgb - levels / 257).max() <= 1
    assert any("16 bits" in note for note in picture.notes)


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_16_bit_greyscale_is_scaled(tmp_path: Path, extension: str) -> None:
    levels = np.linspace(0, 65_535, 32 * 32).astype(np.uint16).reshape(32, 32)
    Image.fromarray(levels).save(tmp_path / f"deep.{extension}")
    picture = load_picture(tmp_path / f"deep.{extension}")
    assert np.abs(picture.rgb - levels[..., None] / 257).max() <= 0.51
    assert any("16 bits" in note for note in picture.notes)


def test_float_and_32_bit_greyscale_are_scaled(tmp_path: Path) -> None:
    values = np.linspace(-3, 5, 32 * 32).astype(np.float32).reshape(32, 32)
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "float.tif")
    picture = load_picture(tmp_path / "float.tif")
    assert (picture.rgb.min(), picture.rgb.max()) == (0, 255)
    Image.fromarray(np.full((32, 32), 65_535, np.int32)).save(tmp_path / "int.tif")
    assert load_picture(tmp_path / "int.tif").rgb.min() == 255
    for number, one in enumerate((np.float32(5), np.int32(70_000))):
        Image.fromarray(np.full((32, 32), one)).save(tmp_path / f"{number}.tif")
        assert len(np.unique(load_picture(tmp_path / f"{number}.tif").rgb)) == 1


def test_premultiplied_grey(tmp_path: Path) -> None:
    Image.new("LA", (20, 20), (100, 128)).save(tmp_path / "a.tif")
    straight, premultiplied = (struct.pack("<HHII", 338, 3, 1, kind) for kind in (2, 1))  # the tag ExtraSamples
    content = (tmp_path / "a.tif").read_bytes()
    assert straight in content
    (tmp_path / "a.tif").write_bytes(content.replace(straight, premultiplied))
    picture = load_picture(tmp_path / "a.tif")
    assert np.unique(picture.rgb).tolist() == [199] and np.unique(picture.alpha).tolist() == [128]


def test_cmyk_without_profile_is_converted(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "a.tif")
    picture = load_picture(tmp_path / "a.tif")
    assert np.abs(picture.rgb.astype(int) - rgb).max() <= 2
    assert any("CMYK" in note for note in picture.notes)


def cmyk_profile(cyan_lab: tuple[int, int, int]) -> bytes:
    """A printer profile in which full cyan looks like the given Lab colour and everything else is white.

    ICC.1:2001-04: header, tag table, one lut8Type table with two grid points an ink.
    """
    nodes = [(100, 0, 0)] * 16
    nodes[0b1000] = cyan_lab
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65_536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4
    table += bytes(v for L, a, b in nodes for v in (round(L * 2.55), a + 128, b + 128)) + ramp * 3
    table += b"\0" * (-len(table) % 4)
    header = struct.pack(">I4xI4s4s4s12x4s", 128 + 16 + len(table), 0x02100000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63_190, 65_536, 54_061)  # illuminant D50
    return header.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


@pytest.mark.parametrize("extension", ["tif", "jpg"])
def test_cmyk_goes_through_its_profile(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    image = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    image.save(path, icc_profile=cmyk_profile((53, 80, 67)))  # the red of sRGB instead of cyan
    picture = load_picture(path)
    assert np.abs(picture.rgb.astype(int) - [255, 0, 0]).max() < 12
    assert picture.icc_profile is None
    assert any("sRGB" in note for note in picture.notes)
    image.save(path, icc_profile=cmyk_profile((53, 80, 67))[:150])  # damaged: approximate colours
    assert np.abs(load_picture(path).rgb.astype(int) - [0, 255, 255]).max() < 12


def test_lab_is_converted(tmp_path: Path, rgb: np.ndarray) -> None:
    source, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(rgb), source, lab, outputMode="LAB")
    assert image is not None
    image.save(tmp_path / "lab.tif")
    picture = load_picture(tmp_path / "lab.tif")
    assert np.abs(picture.rgb.astype(int) - rgb).mean() < 3
    assert picture.icc_profile is None


def test_a_profile_of_another_colour_space_is_dropped(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).convert("L").save(tmp_path / "a.png", icc_profile=SRGB)
    picture = load_picture(tmp_path / "a.png")
    assert picture.icc_profile is None
    assert any("profile" in note for note in picture.notes)


def test_palette_with_transparency(tmp_path: Path) -> None:
    indices = np.zeros((20, 20), np.uint8)
    indices[5:15, 5:15] = 1
    image = Image.fromarray(indices, "P")
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png", transparency=0)
    picture = load_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert picture.alpha[0, 0] == 0
    assert picture.alpha[10, 10] == 255
    assert picture.rgb[10, 10].tolist() == [0, 255, 0]
    image.save(tmp_path / "b.png")
    assert load_picture(tmp_path / "b.png").alpha is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "P"])
def test_other_modes_become_rgb(tmp_path: Path, rgb: np.ndarray, mode: str) -> None:
    image = Image.fromarray(rgb).convert(mode)
    image.save(tmp_path / "a.png")
    picture = load_picture(tmp_path / "a.png")
    assert np.array_equal(picture.rgb, np.asarray(image.convert("RGB")))
    assert (picture.alpha is not None) == (mode in ("LA", "RGBA"))


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, rgb: np.ndarray, orientation: int, extension: str) -> None:
    """The stored pixels are turned so that the mark turns them back."""
    k = Image.Transpose
    inverse = {2: k.FLIP_LEFT_RIGHT, 3: k.ROTATE_180, 4: k.FLIP_TOP_BOTTOM, 5: k.TRANSPOSE, 6: k.ROTATE_90}
    inverse |= {7: k.TRANSVERSE, 8: k.ROTATE_270}
    image = Image.fromarray(rgb)
    if orientation != 1:
        image = image.transpose(inverse[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if extension == "webp" else {"quality": 100} if extension == "jpg" else {}
    image.save(tmp_path / f"a.{extension}", exif=exif, **options)
    picture = load_picture(tmp_path / f"a.{extension}")
    assert picture.rgb.shape == rgb.shape
    assert np.abs(picture.rgb.astype(int) - rgb).mean() < 3


@pytest.mark.parametrize("extension", ["gif", "png", "webp", "tif"])
def test_of_an_animation_the_first_frame_is_used(tmp_path: Path, extension: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / f"a.{extension}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    picture = load_picture(path)
    assert np.abs(picture.rgb.astype(int) - [255, 0, 0]).max() < 8
    assert any("holds 3 pictures" in note for note in picture.notes)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_truncated_and_damaged_files_are_refused_or_read(tmp_path: Path, extension: str) -> None:
    """Cut at many places and overwritten at random ones: one sentence or a picture, never another exception."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / f"a.{extension}"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cut in np.linspace(1, len(whole) * 0.9, 25).astype(int):
            path.write_bytes(whole[:cut])
            with pytest.raises(BadImage, match=r"a\." + extension):
                load_picture(path)
        for _ in range(60):
            damaged = bytearray(whole)
            for position in random.integers(0, min(len(whole), 400), 6):
                damaged[position] = random.integers(0, 256)
            path.write_bytes(damaged)
            try:
                assert load_picture(path).rgb.ndim == 3
            except BadImage as error:
                assert error.message.endswith(".")
                assert "\n" not in error.message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "vector drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "vector drawing"),
        (b"PK\x03\x04" + b"\0" * 26 + b"mimetypeapplication/x-krita", "Krita document"),
        (b"just text", "not a picture"),
    ],
)
def test_what_is_not_a_picture_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadImage, match=sentence) as caught:
        load_picture(tmp_path / "a.png")
    assert caught.value.hint


def test_missing_folder_and_impossible_paths(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="does not exist"):
        load_picture(tmp_path / "nothing.png")
    with pytest.raises(BadImage, match="is a folder"):
        load_picture(tmp_path)
    with pytest.raises(BadImage):
        load_picture(str(tmp_path / "a\0b.png"))
    with pytest.raises(BadImage):
        load_picture(tmp_path / ("a" * 3000))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(BadImage, match="cannot be read"):
        load_picture(tmp_path / "a.png")


def test_one_pixel_is_too_small(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    with pytest.raises(BadImage, match="too small") as caught:
        load_picture(tmp_path / "a.png")
    assert "16 px" in caught.value.hint


def test_20_000_pixels_a_side(tmp_path: Path) -> None:
    """A long picture is read; a square one is refused on its header, before any pixel is decoded."""
    Image.new("L", (20_000, 100), 77).save(tmp_path / "long.png")
    assert load_picture(tmp_path / "long.png").rgb.shape == (100, 20_000, 3)
    for side in (13_350, 20_000, 2_000_000):  # ours to refuse; Pillow's to refuse; absurd
        (tmp_path / "square.png").write_bytes(png(side, side, 8, 2, b"\0"))
        with pytest.raises(BadImage, match="too large") as caught:
            load_picture(tmp_path / "square.png")
        assert "million pixels" in caught.value.hint


def test_mask_is_read_as_brightness_times_opacity(tmp_path: Path) -> None:
    levels = np.zeros((32, 48, 4), np.uint8)
    levels[:, :16] = 255
    levels[:, 16:32] = (255, 0, 0, 128)
    Image.fromarray(levels).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png", (48, 32))
    assert mask.shape == (32, 48)
    assert mask.dtype == np.float32
    assert mask[0, [0, 20, 40]] == pytest.approx([1, 128 / 255, 0])


def test_unusable_masks(tmp_path: Path) -> None:
    Image.new("L", (32, 32)).save(tmp_path / "black.png")
    with pytest.raises(BadMask, match="black all over"):
        load_mask(tmp_path / "black.png", (32, 32))
    with pytest.raises(BadMask, match="32 x 32 px, the picture 64 x 48"):
        load_mask(tmp_path / "black.png", (64, 48))
    with pytest.raises(BadMask, match=r"The mask .* does not exist"):
        load_mask(tmp_path / "nothing.png", (32, 32))


def test_unusable_outputs(tmp_path: Path, rgb: np.ndarray) -> None:
    picture = Picture(rgb)
    for name in ("a.xyz", "a"):
        with pytest.raises(BadOutput) as caught:
            save_picture(tmp_path / name, picture)
        assert ".png, .jpg" in caught.value.hint
    with pytest.raises(BadOutput, match="does not exist"):
        save_picture(tmp_path / "no" / "a.png", picture)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadOutput, match="is a folder"):
        save_picture(tmp_path / "folder.png", picture)
    with pytest.raises(BadOutput, match="WEBP"):
        save_picture(tmp_path / "a.webp", Picture(np.zeros((16, 16_400, 3), np.uint8)))
    with pytest.raises(BadOutput):
        save_picture(str(tmp_path / "a\0b.png"), picture)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_and_file(tmp_path: Path, rgb: np.ndarray) -> None:
    (tmp_path / "old.png").write_bytes(b"old")
    (tmp_path / "old.png").chmod(0o444)
    with pytest.raises(BadOutput, match="write-protected"):
        save_picture(tmp_path / "old.png", Picture(rgb))
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(BadOutput, match="no permission"):
            save_picture(tmp_path / "new.png", Picture(rgb))
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder where not even root may create files")
def test_folder_where_nobody_may_write(rgb: np.ndarray) -> None:
    with pytest.raises(BadOutput, match="no permission"):
        save_picture("/sys/a.png", Picture(rgb))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(BadOutput, match="disk is full"), atomic_output(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"half")
        with Path("/dev/full").open("wb") as full:
            full.write(b"the rest")
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes to set")
def test_write_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    import resource

    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(BadOutput):
            save_picture(tmp_path / "a.png", Picture(noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_output(tmp_path / "a.gif") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_output_through_a_link_and_default_rights(tmp_path: Path, rgb: np.ndarray) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    save_picture(tmp_path / "link.png", Picture(rgb))
    assert (tmp_path / "link.png").is_symlink()
    (tmp_path / "plain").touch()
    assert (tmp_path / "real.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_tensor_round_trip_is_exact() -> None:
    rgb = np.arange(256 * 3, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    tensor = to_tensor(rgb)
    assert tensor.shape == (1, 3, 16, 16)
    assert (tensor.min().item(), tensor.max().item()) == (-1, 1)
    assert np.array_equal(to_uint8(tensor), rgb)
    assert to_uint8(torch.full((1, 3, 2, 2), 9.0)).max() == 255
