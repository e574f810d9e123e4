"""Any image file to the pixels a person sees: uint8, red, green and blue, the right way up.

Networks for photographs are trained on such pixels, so whatever a file holds (grey, 16 bits, a palette, transparency,
inks, a camera held on its side) comes out as them. Importing this module imports no torch.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from xaitool.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A file of a few kilobytes can unfold to gigabytes. This is a photograph of 13,000 x 13,000 pixels, half a gigabyte.
MAX_PIXELS = 178_956_970

# Of a 16-bit value, 65535 is white: 65535 / 257 = 255.
_STEPS_OF_16_BITS = 257


def decode(source: Path | str | bytes | BinaryIO, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Any:
    """An image's pixels: H×W×3 uint8, rotated as its EXIF data say; the first frame where there are several.

    source: a path, a file's contents, or a binary file. name: what to call it in errors; left out, the path.
    Red, green and blue are the file's own numbers, whatever colour profile it comes with, as networks are trained on
    them; other colours (CMYK, LAB) become sRGB. Transparent parts are shown on white. 16-bit grey is scaled to 8 bits;
    floating-point images are taken to range from 0 to 1, or from 0 to 255 where a pixel exceeds 1.
    Raises ImageError where it is no image, damaged or cut short, or has more than `max_pixels` pixels.
    """
    name = name or (str(source) if isinstance(source, Path | str) else "<image>")
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes: that is judged here
            if isinstance(source, Path | str) and _waits(os.stat(source).st_mode):  # noqa: PTH116 - a string as well
                raise ImageError(name, "it is no file, but a pipe, a socket or a device")
            with Image.open(file) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ImageError(name, f"{width}x{height} pixels are more than {max_pixels:,}, the most allowed")
                return pixels_of(image, name)
    except ImageError:
        raise
    except Exception as error:  # decoders raise anything at a damaged file; each means the file is what is wrong
        raise ImageError(name, _reason(error)) from error


def pixels_of(image: Image.Image, name: str) -> Any:
    """An opened image's pixels, as :func:`decode` gives them. Raises ImageError, which calls the image by this name."""
    try:
        return to_rgb(image)
    except Exception as error:  # Pillow decodes a file no earlier than here, so that this is as in `decode`
        raise ImageError(name, _reason(error)) from error


def to_rgb(image: Image.Image) -> Any:
    """An opened image's pixels, as :func:`decode` gives them. Raises what Pillow raises; ValueError for NaN pixels."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        grey = _eight_bits(image)
        return np.stack([grey] * 3, axis=-1)
    if image.mode == "CMYK":
        image = _from_inks(image)
    elif image.mode == "LAB":
        image = _by_profile(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def _waits(mode: int) -> bool:
    """Whether what has this mode is no file: it would keep its reader waiting for ever."""
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """A grey image of more than 8 bits a pixel, scaled to 8."""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are no numbers (NaN or infinite)")
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        scale, most = (255.0, 1.0) if high <= 1 else (1.0, 255.0)
    else:
        scale, most = 1 / _STEPS_OF_16_BITS, 65535.0
    if low < 0 or high > most:
        raise ValueError(f"its pixels range from {low:g} to {high:g}, and what is white is not known")
    return (values.astype(np.float64) * scale).round().astype(np.uint8)


def _from_inks(image: Image.Image) -> Image.Image:
    """A CMYK image by the colour profile it comes with; without one, by the textbook's formula."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            return _by_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (ImageCms.PyCMSError, OSError):  # a damaged profile is no reason to do without the image
            pass
    return image.convert("RGB")


def _by_profile(image: Image.Image, profile: Any) -> Image.Image:
    to = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, profile, to, outputMode="RGB")
    return converted or image


def _reason(error: Exception) -> str:
    match error:
        case UnidentifiedImageError():
            return "it is no image of a format that is known here"
        case Image.DecompressionBombError():
            return "it has more pixels than are allowed"
        case FileNotFoundError() | PermissionError() | IsADirectoryError():
            return error.strerror or str(error)
        case struct.error() | IndexError() | KeyError() | TypeError():
            return f"it is damaged ({error!r})"
    return f"it is damaged: {error}" if str(error) else f"it is damaged ({error!r})"
