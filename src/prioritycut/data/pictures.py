"""Picture files: what they are before they are decoded, and their pixels."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from prioritycut.data.media import MAX_PIXELS, Pixels, file_fault, too_large
from prioritycut.errors import UserError

_PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
# An MPO (a phone's JPEG with a preview behind it) and a paged TIFF hold several pictures, but no motion.
_ANIMATED_FORMATS = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
# What Pillow's decoders raise on damaged bytes.
_PICTURE_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,  # a frame of an animation that says it is larger than the first
)
_warnings_lock = threading.Lock()


def identify_picture(path: Path) -> Image.Image | None:
    """The opened picture, not yet decoded; `None` where the file is no picture."""
    Image.init()  # asked for formats by name, Pillow would know only the five that it always loads
    # Pillow only warns of sizes somewhat above its limit, and would warn on the terminal: make it raise.
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_PICTURE_FORMATS)
    except UnidentifiedImageError:
        return None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large(path) from None
    except _PICTURE_FAULTS as error:
        raise _damaged_picture(path, error) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise too_large(path)
    return image


def _damaged_picture(path: Path, error: Exception) -> UserError:
    return file_fault(path, f"the picture is damaged ({error})", "copy or download it again")


@contextmanager
def decoding_picture(path: Path) -> Generator[None]:
    """Turn what Pillow's decoders raise into one line about `path`."""
    try:
        yield
    except _PICTURE_FAULTS as error:
        raise _damaged_picture(path, error) from None


def is_animated(image: Image.Image) -> bool:
    """Whether the picture moves, not merely holds several."""
    return image.format in _ANIMATED_FORMATS and getattr(image, "n_frames", 1) > 1


def flatten_picture(image: Image.Image) -> Pixels:
    """RGB of any picture mode, on white where it is transparent."""
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits to 8 rather than scale them.
        gray = (np.asarray(image).astype(np.float64) / 257.0).round().astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, layer).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def turned_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after EXIF rotation, from the header alone."""
    # Asking a PNG for EXIF that its header does not hold decodes all of it.
    if image.format == "PNG" and "exif" not in image.info:
        return image.size
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else image.size


def read_still(path: Path) -> Pixels:
    """One picture file, upright and flat."""
    image = identify_picture(path)
    if image is None:
        raise file_fault(path, "this is no picture that can be read", "give a JPEG, PNG or WebP file")
    with image, decoding_picture(path):
        return flatten_picture(ImageOps.exif_transpose(image))
