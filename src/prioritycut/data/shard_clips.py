"""Clips that lie in a tar shard: any frame of them, without reading the rest of the shard."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

from prioritycut.data.clip_reading import ClipReader, open_clip
from prioritycut.data.facts import ClipFacts
from prioritycut.data.layout import is_address
from prioritycut.data.media import Pixels
from prioritycut.data.random_access import read_frames, read_video_frames
from prioritycut.data.remote import look_at, read_range, shown
from prioritycut.data.stored import DamagedClipError
from prioritycut.data.tar_index import Member, no_space, unpack
from prioritycut.errors import UserError

# Members that lie this near come with one request.
_GAP = 1 << 14


@dataclass(frozen=True, slots=True)
class Shard:
    """A tar file.

    Attributes:
        place: Its path, or its address.
        bytes: Its size, by its index.
    """

    place: str
    bytes: int

    @property
    def name(self) -> str:
        """For messages."""
        return shown(self.place) if is_address(self.place) else self.place

    def read(self, start: int, size: int) -> bytes:
        """Bytes [start, start + size).

        Raises:
            DamagedClipError: It is gone, or is not what its index says.
            UserError: Its server cannot be reached.
        """
        if is_address(self.place):
            found = look_at(self.place).bytes
            if found not in (None, self.bytes):
                raise self._changed(found)
            return read_range(self.place, start, size)
        try:
            with Path(self.place).open("rb", buffering=0) as file:
                found = os.fstat(file.fileno()).st_size
                if found != self.bytes:
                    raise self._changed(found)
                content = b""
                while len(content) < size and (
                    part := os.pread(file.fileno(), size - len(content), start + len(content))
                ):
                    content += part
        except OSError as error:
            raise DamagedClipError(
                f"{self.name}: cannot be read ({error.strerror}); copy the shard there again"
            ) from None
        if len(content) < size:
            raise self._changed(found)
        return content

    def _changed(self, found: int | None) -> DamagedClipError:
        return DamagedClipError(
            f"{self.name}: the shard has {found} bytes, {self.bytes} by its index; copy or index it again"
        )


@dataclass(frozen=True, slots=True)
class ShardClip:
    """A `StoredClip`: a video, or the frames of one, in a shard.

    Attributes:
        shard: Where it lies.
        name: File name within the data set.
        members: The video, or the pictures in the order of frames.
        facts: Of the clip.
    """

    shard: Shard
    name: str
    members: tuple[Member, ...]
    facts: ClipFacts

    @property
    def frame_count(self) -> int:
        """Exact number of frames."""
        return self.facts.frames

    def frames(self, numbers: Sequence[int]) -> list[Pixels]:
        """Any of its frames; see `StoredClip`."""
        if self.facts.kind == "video":
            [content] = self._contents(self.members)
            if self.facts.hash and blake2b(content, digest_size=16).hexdigest() != self.facts.hash:
                raise DamagedClipError(f"{self.shard.name}/{self.name}: other bytes than its index says; copy it anew")
            try:
                return read_video_frames(Path(self.name), BytesIO(content), self.facts, numbers)
            except UserError as error:
                raise DamagedClipError(f"{self.shard.name}/{error}") from None
        wanted = self.members
        if self.facts.kind == "folder":  # numbers that there are not, the reader refuses
            wanted = [self.members[number] for number in sorted(set(numbers)) if 0 <= number < len(self.members)]
        with self._unpacked(wanted) as path:
            return read_frames(path, self.facts, numbers)

    @contextmanager
    def open(self) -> Generator[ClipReader]:
        """As `open_clip`; the clip lies in a temporary folder until the context is left."""
        with self._unpacked(self.members) as path, open_clip(path) as reader:
            yield reader

    @contextmanager
    def _unpacked(self, members: Sequence[Member]) -> Generator[Path]:
        """The clip with these members only, in a temporary folder; faults name the shard instead."""
        contents = self._contents(members)
        with tempfile.TemporaryDirectory(prefix="prioritycut-") as folder:
            try:
                yield unpack(Path(folder), self.name, members, contents)
            except UserError as error:
                if folder not in str(error):
                    raise
                raise DamagedClipError(str(error).replace(folder, self.shard.name)) from None
            except OSError as error:
                if not str(error.filename).startswith(folder):
                    raise
                raise no_space(error) from None

    def _contents(self, members: Sequence[Member]) -> list[bytes]:
        """What these members hold, with few requests."""
        runs = list[list[Member]]()
        for member in sorted(members, key=lambda each: each[1]):
            if runs and member[1] - (runs[-1][-1][1] + runs[-1][-1][2]) <= _GAP:
                runs[-1].append(member)
            else:
                runs.append([member])
        found = dict[Member, bytes]()
        for run in runs:
            start, end = run[0][1], run[-1][1] + run[-1][2]
            content = self.shard.read(start, end - start)
            found |= {each: content[each[1] - start : each[1] - start + each[2]] for each in run}
        return [found[member] for member in members]
