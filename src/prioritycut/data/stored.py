"""What training and evaluation need of a clip on disk: any frame of it, and all of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from prioritycut.data.clip_reading import ClipReader
from prioritycut.data.media import Pixels


class StoredClip(Protocol):
    """One clip of a data set, wherever it lies: a file, a folder of frames, a part of a shard."""

    @property
    def name(self) -> str:
        """File name within the data set, such as `id10005#video#000001#000100.mp4`."""
        ...

    @property
    def frame_count(self) -> int:
        """Exact number of frames, at least 1."""
        ...

    def frames(self, numbers: Sequence[int]) -> list[Pixels]:
        """These frames, each exactly the one that reading from the start would give, without decoding the others.

        Raises:
            UserError: The clip is damaged, or changed since it was indexed.
        """
        ...

    def open(self) -> AbstractContextManager[ClipReader]:
        """For reading from the start; what had to be fetched is removed on leaving."""
        ...
