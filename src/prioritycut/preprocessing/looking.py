"""A video as detectors see it: small upright frames in one pass, up to its end or its fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
from av.video.reformatter import VideoReformatter

from prioritycut.data.media import Pixels
from prioritycut.data.video import FrameLayout, frame_layout, rgb_pixels
from prioritycut.errors import UserError
from prioritycut.preprocessing.cutting import fault_words
from prioritycut.preprocessing.spans import every_frame
from prioritycut.preprocessing.tracking import Seen

LOOKING_HEIGHT = 360
"""Rows of the frames that are looked at (SPEC 7.2); smaller ones are not enlarged, which would show no more."""

Found = TypeVar("Found")


class SmallFrames:
    """The frames of a video, scaled to `LOOKING_HEIGHT`. Iterating ends at a fault without raising it.

    Attributes:
        count: How many came so far.
        fault: What was wrong with the video, in the reader's words; `None` as long as it is sound.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0
        self.fault: str | None = None

    def __iter__(self) -> Iterator[Pixels]:
        """RGB, upright; numbered as `open_clip` numbers them."""
        layout: FrameLayout | None = None
        reformatter = VideoReformatter()
        try:
            with closing(every_frame(self._path)) as frames:
                for frame in frames:
                    layout = layout or _small(frame_layout(frame))
                    yield np.ascontiguousarray(rgb_pixels(frame, layout, reformatter))
                    self.count += 1
        except UserError as error:
            self.fault = fault_words(error, self._path)


def _small(layout: FrameLayout) -> FrameLayout:
    factor = min(1.0, LOOKING_HEIGHT / layout.upright_size[1])
    width, height = (max(1, round(side * factor)) for side in (layout.width, layout.height))
    return FrameLayout(width, height, layout.turning)


def look(
    frames: Iterable[Pixels], find: Callable[[Pixels], Found], begins_shot: Callable[[Pixels], bool]
) -> Iterator[Seen[Found]]:
    """What each frame shows.

    Args:
        frames: In order.
        find: Finds the subjects in one.
        begins_shot: Told of each frame in turn; says whether nothing goes on from the one before.
    """
    for pixels in frames:
        yield Seen(find(pixels), begins_shot(pixels))
