"""How a clip is kept on disk: written aside, moved to its place whole, and known by its bytes."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error

from prioritycut.data.clip_writing import writing
from prioritycut.data.encoders import Encoder, FolderEncoder, VideoEncoder
from prioritycut.data.media import Pixels
from prioritycut.preprocessing.records import Partition
from prioritycut.preprocessing.settings import ClipSettings, Store

KEY_INTERVAL = 10
"""Frames from one key frame of an mp4 to the next.

To reach a frame, those since the key frame before it are decoded too: at 1 none, at 25 twelve on average. But key
frames are large. Of 1, 5, 10, 12 and 25 measured, ten is where the curve bends: pairs are read a sixth faster at 5,
from files larger by a third, and a third slower at 25, from files smaller by a fifth.
"""


def stored_name(clip: str, store: Store) -> str:
    """The clip's name within its partition's folder: a file for mp4 and shards, a folder for jpeg and png.

    Raises:
        ValueError: The name would lie elsewhere, or be hidden.
    """
    if not clip or "/" in clip or clip.startswith("."):
        raise ValueError(f"a clip's name is not empty, holds no '/' and does not begin with '.', got {clip!r}")
    return clip if store in ("jpeg", "png") else f"{clip}.mp4"


def content_hash(path: Path) -> tuple[int, str]:
    """How many bytes a clip has and what they hash to (BLAKE2b, 128 bits, in hexadecimal).

    Args:
        path: A file, or a folder, whose files count one after another by name.
    """
    digest, size = hashlib.blake2b(digest_size=16), 0
    for member in sorted(path.iterdir()) if path.is_dir() else [path]:
        with member.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    return size, digest.hexdigest()


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """A clip that lies in its place.

    Attributes:
        file: Where, below the output folder.
        bytes: Of all its files.
        hash: Of their content, as `content_hash`.
    """

    file: str
    bytes: int
    hash: str


class StoreWriter:
    """Writes one clip within a work folder and then moves it to its place.

    Nothing half-written ever lies under the clip's name. What a killed run left there is replaced.

    Attributes:
        frame_count: Frames taken so far.
    """

    def __init__(
        self,
        clip: str,
        partition: Partition,
        rate: Fraction,
        clips: ClipSettings,
        *,
        workdir: Path,
        output: Path,
    ) -> None:
        """Begin.

        Args:
            rate: Frames per second, above 0; folders do not keep it.
            workdir: On the same disk as `output`; whatever else it holds is left alone.

        Raises:
            ValueError: The clip's name is none for a file.
            UserError: The disk is full or refuses.
        """
        self.frame_count = 0
        name = stored_name(clip, clips.store)
        self._file = f"{partition}/{name}"
        self._target = output / partition / name
        self._temporary = workdir / "clips" / partition / name
        self._former = workdir / "former" / partition / name
        with writing(self._target):
            for place in (self._target, self._temporary):
                place.parent.mkdir(parents=True, exist_ok=True)
            self._encoder = self._start(rate, clips)

    def _start(self, rate: Fraction, clips: ClipSettings) -> Encoder:
        match clips.store:
            case "jpeg" | "png":
                self._temporary.mkdir()
                return FolderEncoder(self._temporary, clips.store)
            case "mp4" | "shards":
                return VideoEncoder(self._temporary, rate, clips.size, clips.size, key_interval=KEY_INTERVAL)

    def write(self, pixels: Pixels) -> None:
        """Append one frame of the clip's size. Raises UserError where the disk is full or refuses."""
        with writing(self._target):
            self._encoder.write(pixels)
        self.frame_count += 1

    def finish(self) -> StoredFacts:
        """Complete the clip and move it to its place. Raises UserError where the disk is full or refuses."""
        with writing(self._target):
            self._encoder.finish()
            size, digest = content_hash(self._temporary)
            if self._target.is_dir():  # unlike a file, a folder is not replaced by a rename
                self._former.parent.mkdir(parents=True, exist_ok=True)
                self._target.rename(self._former)
            self._temporary.replace(self._target)
            shutil.rmtree(self._former, ignore_errors=True)
        return StoredFacts(self._file, size, digest)

    def abandon(self) -> None:
        """Leave nothing of a clip that was not finished."""
        # A disk that is full says so once more while its file is closed.
        with suppress(OSError, av.error.FFmpegError):
            self._encoder.abandon()
        if self._temporary.is_dir():
            shutil.rmtree(self._temporary, ignore_errors=True)
        else:
            self._temporary.unlink(missing_ok=True)
