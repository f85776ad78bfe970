"""What all media files share: frames as floats and as bytes, limits, and how faults are told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from av.video.reformatter import Interpolation
from jaxtyping import Float, UInt8
from torch import Tensor

from prioritycut.errors import UserError

Frame: TypeAlias = Float[Tensor, "3 height width"]
"""One RGB frame in [0, 1]."""

Pixels: TypeAlias = UInt8[np.ndarray, "height width 3"]
"""One RGB frame as files hold it."""

Rate: TypeAlias = Fraction | float | int
"""Frames per second."""

DEFAULT_RATE = Fraction(25)
"""Frames per second of what states no rate: a folder of images, a strip."""

MAX_PIXELS = 100_000_000
"""A picture or frame with more pixels is refused: it is a mistake or an attack, never a face."""

# Without these flags swscale halves the chroma resolution once more, and flat colours come back 4/255 off.
SCALING = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)


def to_float(pixels: Pixels) -> Frame:
    """From bytes to a frame in [0, 1]."""
    planes = np.array(pixels.transpose(2, 0, 1), order="C")
    return torch.as_tensor(planes, dtype=torch.float32).div_(255.0)


def to_bytes(frame: Frame) -> Pixels:
    """From a frame to bytes; values outside [0, 1] are clamped."""
    levels = frame.detach().float().clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def file_fault(path: Path, fault: str, way_out: str) -> UserError:
    """One line that names the file, what is wrong with it and the way out."""
    return UserError(f"{path}: {fault}; {way_out}".replace("\n", " "))


def too_large(path: Path) -> UserError:
    """The fault of a picture or frame above `MAX_PIXELS`."""
    return file_fault(path, "the picture has too many pixels to open safely", "scale it down first")


def require_file(path: Path, wanted: str) -> None:
    """Refuse what cannot be a media file before a decoder sees it."""
    try:
        if not path.exists():
            raise file_fault(path, "there is no such file", "check the path")
        if path.is_dir():
            raise file_fault(path, "this is a folder", f"name {wanted}")
        if not path.is_file():
            raise file_fault(path, "this is not a regular file", f"name {wanted}")
        if path.stat().st_size == 0:
            raise file_fault(path, "the file is empty (0 bytes)", "copy or download it again")
    except OSError as error:
        raise file_fault(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from None
