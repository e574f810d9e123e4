"""Image files of every kind: what comes out is what a person sees, and what is none says so."""

import contextlib
import io
import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from xaitool.data.decode import decode
from xaitool.errors import ImageError, XaitoolError

# Left half dark, right half light; 4 high and 6 wide, so that a rotation shows.
GREY = np.repeat([[40, 40, 40, 200, 200, 200]], 4, axis=0).astype(np.uint8)
COLOUR = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)


def file_of(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("make", [lambda data, path: data, lambda data, path: path, lambda data, path: str(path)])
def test_bytes_paths_and_strings_alike(tmp_path, make):
    path = tmp_path / "a.png"
    path.write_bytes(file_of(Image.fromarray(COLOUR)))
    pixels = decode(make(path.read_bytes(), path))
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, COLOUR)


def test_grey():
    np.testing.assert_array_equal(decode(file_of(Image.fromarray(GREY))), np.stack([GREY] * 3, -1))


def test_black_and_white():
    pixels = decode(file_of(Image.fromarray(GREY).convert("1", dither=Image.Dither.NONE)))
    np.testing.assert_array_equal(pixels, np.stack([(GREY > 128) * 255] * 3, -1))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_shades(format):
    """Cut off at 255, as a plain conversion does it, it would be all white."""
    deep = GREY.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(file_of(Image.fromarray(deep), format)), np.stack([GREY] * 3, -1))


def test_16_bit_colour():
    """Pillow cannot write such a file, so it is put together here."""
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in COLOUR)
    head = struct.pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
    np.testing.assert_array_equal(decode(data), COLOUR)


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_floating_point_grey_of_either_range(scale):
    image = Image.fromarray(GREY.astype(np.float32) * np.float32(scale))
    np.testing.assert_array_equal(decode(file_of(image, "TIFF")), np.stack([GREY] * 3, -1))


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "NaN"), (-5, "what is white is not known")])
def test_floating_point_pixels_that_are_no_shade(value, reason):
    pixels = GREY.astype(np.float32)
    pixels[0, 0] = value
    with pytest.raises(ImageError, match=reason):
        decode(file_of(Image.fromarray(pixels), "TIFF"))


def test_what_is_transparent_is_white():
    alpha = np.full((4, 6, 1), 255, np.uint8)
    alpha[0] = 0
    pixels = decode(file_of(Image.fromarray(np.concatenate([COLOUR, alpha], -1))))
    assert (pixels[0] == 255).all()
    np.testing.assert_array_equal(pixels[1:], COLOUR[1:])


def test_grey_with_transparency():
    pair = np.stack([GREY, np.where(GREY > 128, 0, 255).astype(np.uint8)], -1)
    pixels = decode(file_of(Image.fromarray(pair, "LA")))
    np.testing.assert_array_equal(pixels, np.stack([np.where(GREY > 128, 255, 40)] * 3, -1))


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette(format):
    image = Image.fromarray(COLOUR).quantize(2)
    np.testing.assert_array_equal(decode(file_of(image, format)), np.asarray(image.convert("RGB")))


def test_palette_with_a_transparent_colour():
    image = Image.fromarray(COLOUR).quantize(2)
    pixels = decode(file_of(image, transparency=image.getpixel((0, 0))))
    assert (pixels[:, :3] == 255).all()
    np.testing.assert_array_equal(pixels[:, 3:], np.asarray(image.convert("RGB"))[:, 3:])


@pytest.mark.parametrize(("format", "most"), [("TIFF", 0), ("JPEG", 12)])
def test_cmyk(format, most):
    """JPEG files hold inks the other way round."""
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    difference = np.abs(decode(file_of(inks, format)).astype(int) - (255, 0, 0))
    assert difference.max() <= most


def test_a_damaged_colour_profile_is_no_obstacle():
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert decode(file_of(inks, "TIFF", icc_profile=b"no profile"))[0, 0].tolist() == [255, 0, 0]


def test_lab():
    white = ImageCms.applyTransform(
        Image.new("RGB", (4, 4), "white"),
        ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
    )
    assert decode(file_of(white, "TIFF")).min() > 250


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_the_camera_was_held_on_its_side(mode):
    """Orientation 6: the picture is to be turned clockwise by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = COLOUR if mode == "RGB" else np.stack([GREY] * 3, -1)
    stored = Image.fromarray(COLOUR if mode == "RGB" else GREY.astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode(file_of(stored, exif=exif)), np.rot90(upright, -1))


def test_the_first_frame_of_several():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_file_that_was_cut_short(format):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    data = file_of(Image.fromarray(noise), format)
    with pytest.raises(ImageError, match=r"^cut\.png cannot be read as an image"):
        decode(data[: len(data) // 2], name="cut.png")


@pytest.mark.parametrize("data", [b"", b"no image", b"%PDF-1.4 and so on", b"\x89PNG\r\n\x1a\n"])
def test_no_image_at_all(data):
    with pytest.raises(ImageError, match="no image of a format that is known"):
        decode(data)


def test_every_damaged_byte_gives_pixels_or_the_one_error():
    generator = np.random.default_rng(1)
    for format in ("PNG", "JPEG", "TIFF", "GIF", "WEBP"):
        whole = file_of(Image.fromarray(COLOUR), format)
        for _ in range(150):
            data = bytearray(whole)
            for place in generator.integers(0, len(data), 3):
                data[place] = generator.integers(256)
            with contextlib.suppress(ImageError):
                assert decode(bytes(data), max_pixels=10**6).shape[2] == 3


def test_a_decompression_bomb_is_not_unfolded():
    """60,000 x 60,000 pixels, it says, in a few bytes."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    with pytest.raises(ImageError, match="more pixels than are allowed"):
        decode(bomb)
    with pytest.raises(ImageError, match="6x4 pixels are more than 10"):
        decode(file_of(Image.fromarray(COLOUR)), max_pixels=10)


def test_a_file_that_is_not_there_and_a_folder(tmp_path):
    with pytest.raises(ImageError, match="No such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(ImageError, match="Is a directory"):
        decode(tmp_path)


def test_the_error_goes_through_pickle_and_is_the_users():
    error = pickle.loads(pickle.dumps(ImageError("a.png", "it is damaged")))
    assert isinstance(error, XaitoolError)
    assert (error.name, error.reason) == ("a.png", "it is damaged")
    assert str(error) == "a.png cannot be read as an image: it is damaged"
