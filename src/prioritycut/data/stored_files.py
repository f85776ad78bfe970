"""Clips that lie in files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prioritycut.data.clip_reading import ClipReader, open_clip
from prioritycut.data.facts import ClipFacts
from prioritycut.data.index import is_unchanged
from prioritycut.data.media import Pixels
from prioritycut.data.random_access import changed_clip, read_frames
from prioritycut.data.stored import DamagedClipError
from prioritycut.errors import UserError


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A `ReadableClip`: a file or folder that nobody has looked into yet."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def open(self) -> ClipReader:
        """As `open_clip`."""
        return open_clip(self.path)


@dataclass(frozen=True, slots=True)
class IndexedClipFile(ClipFile):
    """A `StoredClip`: a file or folder whose facts are known."""

    facts: ClipFacts

    @property
    def frame_count(self) -> int:
        """Exact number of frames."""
        return self.facts.frames

    def frames(self, numbers: Sequence[int]) -> list[Pixels]:
        """Any of its frames; see `StoredClip`."""
        try:
            # Pictures are files of their own: what else comes into their folder does not change them.
            if self.facts.kind != "folder" and not is_unchanged(self.path, self.facts):
                raise changed_clip(self.path)
            return read_frames(self.path, self.facts, numbers)
        except UserError as error:
            raise DamagedClipError(str(error)) from None
