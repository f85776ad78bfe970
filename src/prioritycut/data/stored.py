"""What training and evaluation need of a clip on disk: any frame of it, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from prioritycut.data.clip_reading import ClipReader
from prioritycut.data.media import Pixels
from prioritycut.errors import UserError

Split: TypeAlias = Literal["train", "test", "all"]
"""Part of a data set; `all` is every clip that lies directly in its folder."""

Say: TypeAlias = Callable[[str], object]
"""Tells a person one line."""

Advance: TypeAlias = Callable[[int, int], object]
"""Takes how many are done, and of how many."""


def say_nothing_of_progress(done: int, total: int) -> None:
    """The `Advance` of those who do not watch."""


class DamagedClipError(UserError):
    """One clip cannot be read, or changed since it was indexed: the rest of the data set may well go on.

    Faults of the whole store, such as a network that is gone, are a plain `UserError`.
    """


@runtime_checkable
class ReadableClip(Protocol):
    """A clip that is read from its start."""

    @property
    def name(self) -> str:
        """File name within the data set, such as `id10005#video#000001#000100.mp4`."""
        ...

    def open(self) -> AbstractContextManager[ClipReader]:
        """For reading from the start; what had to be fetched is removed on leaving.

        Raises:
            UserError: It is missing, damaged or no clip.
        """
        ...


@runtime_checkable
class StoredClip(ReadableClip, Protocol):
    """One clip of a data set, wherever it lies: a file, a folder of frames, a part of a shard."""

    @property
    def frame_count(self) -> int:
        """Exact number of frames, at least 1."""
        ...

    def frames(self, numbers: Sequence[int]) -> list[Pixels]:
        """These frames, each exactly the one that reading from the start would give, without decoding the others.

        Args:
            numbers: From 0 to `frame_count - 1`, in any order, also repeated.

        Raises:
            DamagedClipError: The clip is damaged, or changed since it was indexed.
            UserError: The store as a whole cannot be reached.
        """
        ...
