"""Writing a clip whole or not at all: which kind a name asks for, the temporary neighbour, the disk's faults."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av.error

from prioritycut.data.encoders import Encoder, FolderEncoder, GifEncoder, VideoEncoder
from prioritycut.data.media import DEFAULT_RATE, Frame, Rate, file_fault, to_bytes
from prioritycut.errors import UserError
from prioritycut.outputs import Clip

_NUMBERED = re.compile(r"\d{6,}\.png")


class ClipWriter:
    """Write a clip frame by frame, whole or not at all; the kind of file follows the name.

    `.mp4` is H.264 (4:2:0, so an odd side gains one column or row, repeated from the edge), `.webm` VP9,
    `.gif` 256 colours a frame, and a name without suffix, with "/" at its end or of an existing folder
    becomes a folder of 000000.png, 000001.png, ...

    Used as a context. Until it ends well everything goes to a hidden temporary neighbour; any exception
    removes that, and what stood under the name before stays as it was.

    A gif counts time in hundredths of a second and players refuse steps of less than two, so above 50 frames
    per second frames are left out of it; the clip lasts as long as it should.

    Attributes:
        path: Where the clip goes.
        rate: Frames per second.
        frame_count: Frames taken so far.
        audio_kept: Whether the clip has sound, known from the first frame on. False for gif, for a folder,
            and where `audio_from` has none.
    """

    def __init__(self, path: str | Path, *, rate: Rate = DEFAULT_RATE, audio_from: str | Path | None = None) -> None:
        """Check the name; nothing is written before the context is entered.

        Args:
            path: The output. Missing parent folders are made.
            rate: Frames per second, above 0; a float is taken for the nearest fraction with a denominator up
                to 1001, so that 29.97 becomes 30000/1001.
            audio_from: The clip whose sound is copied (or encoded anew where the file type needs it), cut to
                the length of the pictures. Sound keeps its own speed, so give that clip's `rate`.

        Raises:
            ValueError: `rate` is not above 0.
            UserError: The suffix is unknown, the folder to be replaced holds other things than our frames, or
                `audio_from` does not exist.
        """
        self.rate = Fraction(rate).limit_denominator(1001)
        if self.rate <= 0:
            raise ValueError(f"rate must be above 0, got {rate}")
        self.path = Path(path)
        self.frame_count = 0
        self._suffix = _output_kind(path)
        self._audio_from = None if audio_from is None else Path(audio_from)
        if self._audio_from is not None and not self._audio_from.exists():
            raise file_fault(self._audio_from, "there is no such file to take the sound from", "check the path")
        if self._suffix == "":
            _require_replaceable(self.path)
        # Resolved, so that "." has a name and a link's target is replaced rather than the link.
        target = self.path.resolve()
        self._target = target
        self._temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.partial{self._suffix}")
        self._encoder: Encoder | None = None
        self._entered = False

    @property
    def audio_kept(self) -> bool:
        return self._encoder is not None and self._encoder.audio_kept

    def __enter__(self) -> ClipWriter:
        """Claim the place. Raises UserError where it cannot be written to."""
        with writing(self.path):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            if self._suffix == "":
                self._temporary.mkdir()
            else:
                self._temporary.touch()
        self._entered = True
        return self

    def write(self, frame: Frame) -> None:
        """Append one frame.

        Args:
            frame: RGB in [0, 1], any float type and device; values outside are clamped.

        Raises:
            ValueError: The frame has not three planes, or another size than the first.
            UserError: The disk is full or refuses, or the clip whose sound is copied is damaged.
        """
        if not self._entered:
            raise RuntimeError("ClipWriter takes frames inside its with block only")
        if frame.ndim != 3 or frame.shape[0] != 3 or 0 in frame.shape:
            raise ValueError(f"a frame has shape (3, height, width), got {tuple(frame.shape)}")
        pixels = to_bytes(frame)
        if self._encoder is None:
            self._shape = pixels.shape
            with writing(self.path):
                self._encoder = self._start(width=pixels.shape[1], height=pixels.shape[0])
        if pixels.shape != self._shape:
            raise ValueError(f"the first frame has shape {self._shape}, frame {self.frame_count} {pixels.shape}")
        with writing(self.path):
            self._encoder.write(pixels)
        self.frame_count += 1

    def _start(self, *, width: int, height: int) -> Encoder:
        if self._suffix == "":
            return FolderEncoder(self._temporary)
        if self._suffix == ".gif":
            return GifEncoder(self._temporary, self.rate, width, height)
        return VideoEncoder(self._temporary, self.rate, width, height, self._audio_from)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the whole clip in its place, or remove every trace of it.

        Raises:
            UserError: The disk is full or refuses, or no frame was written.
        """
        try:
            if kind is None:
                if self._encoder is None:
                    raise file_fault(self.path, "there is no frame to write", "give a clip with at least one")
                with writing(self.path):
                    self._encoder.finish()
                    self._publish()
        finally:
            self._entered = False
            self._remove_temporary()

    def _publish(self) -> None:
        if self._suffix != "" or not self._target.is_dir() or not any(self._target.iterdir()):
            # A file is replaced in one step, and so is an empty folder.
            self._temporary.replace(self._target)
            return
        _require_replaceable(self.path)
        former = self._temporary.with_suffix(".former")
        self._target.rename(former)
        try:
            self._temporary.rename(self._target)
        except BaseException:
            former.rename(self._target)
            raise
        shutil.rmtree(former, ignore_errors=True)

    def _remove_temporary(self) -> None:
        # A disk that is full says so once more while its file is closed.
        if self._encoder is not None:
            with suppress(OSError, av.error.FFmpegError):
                self._encoder.abandon()
        if self._suffix == "":
            shutil.rmtree(self._temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def write_clip(
    path: str | Path,
    frames: Clip | Iterable[Frame],
    *,
    rate: Rate = DEFAULT_RATE,
    audio_from: str | Path | None = None,
) -> None:
    """Write a clip, whole or not at all.

    Args:
        path: `.mp4`, `.webm`, `.gif`, or a folder of png; `ClipWriter` tells which name gives which.
        frames: A clip, or any iterable of frames of one size, which is taken one by one.
        rate: Frames per second, above 0.
        audio_from: A clip whose sound is kept, cut to the length of this one; gif and folders have none.

    Raises:
        ValueError: `rate` is not above 0, or a frame has another shape than the first.
        UserError: The name is of no known kind, the place cannot be written to, the disk is full, there is no
            frame, or `audio_from` cannot be read. Nothing half-written is left under the name.
    """
    with ClipWriter(path, rate=rate, audio_from=audio_from) as writer:
        for frame in frames:
            writer.write(frame)


def _output_kind(path: str | Path) -> str:
    """The suffix that decides the encoder; empty for a folder of png."""
    text = os.fspath(path)
    suffix = Path(path).suffix.lower()
    if text.endswith(("/", os.sep)) or suffix == "" or Path(path).is_dir():
        return ""
    if suffix not in (".mp4", ".webm", ".gif"):
        way_out = "use .mp4, .webm, .gif, or a name without suffix for a folder of png"
        raise file_fault(Path(path), f"clips are not written as {suffix}", way_out)
    return suffix


def _require_replaceable(path: Path) -> None:
    """Refuse to replace a folder that holds anything else than numbered png of ours."""
    with writing(path):
        if not path.exists():
            return
        if not path.is_dir():
            raise file_fault(path, "a file of this name is in the way of a folder of png", "remove or rename it")
        for member in path.iterdir():
            if not _NUMBERED.fullmatch(member.name) or not member.is_file():
                fault = f"the folder holds other things than numbered png, such as {member.name}"
                raise file_fault(path, fault, "choose an empty or a new folder")


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn what a disk or an encoder says into one line about `path`."""
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        number, reason = error.errno, error.strerror or str(error)
    else:
        return
    if number in (errno.ENOSPC, errno.EDQUOT):
        raise UserError(f"disk full while writing {path}; free space and repeat, nothing was left behind")
    if number == errno.EFBIG:
        raise file_fault(path, "the file grew larger than this disk or account allows", "write elsewhere")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise file_fault(path, f"cannot be written ({reason})", "choose a folder that you may write to")
    if number in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        raise file_fault(path, f"cannot be written ({reason})", "a part of the path is a file; choose another")
    raise file_fault(path, f"cannot be written ({reason})", "choose another path or file type")
