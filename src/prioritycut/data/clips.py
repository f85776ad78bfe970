"""Media files: the only place where frames are bytes.

Reading gives RGB float frames in [0, 1], one by one (`open_clip`) or all at once (`read_clip`, `read_image`);
writing takes them (`ClipWriter`, `write_clip`). Both hold a few frames at a time, however long the clip.

Colours: video is written as limited-range BT.709 and tagged so; an untagged video is read as BT.601, as
FFmpeg does. A transparent pixel shows white. Rotation (phone video, EXIF) is applied; pixels that are not
square stay as they are stored.
"""

from prioritycut.data.clip_reading import ClipReader, open_clip, read_clip, read_image
from prioritycut.data.clip_writing import ClipWriter, write_clip
from prioritycut.data.framing import Fit, fit_square, square_fit
from prioritycut.data.media import DEFAULT_RATE, MAX_PIXELS, Frame, Pixels, Rate

__all__ = [
    "DEFAULT_RATE",
    "MAX_PIXELS",
    "ClipReader",
    "ClipWriter",
    "Fit",
    "Frame",
    "Pixels",
    "Rate",
    "fit_square",
    "open_clip",
    "read_clip",
    "read_image",
    "square_fit",
    "write_clip",
]
