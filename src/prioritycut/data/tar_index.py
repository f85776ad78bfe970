"""What a tar shard holds: its clips by file name and place, found from the headers of its members."""

from __future__ import annotations

import errno
import re
import tarfile
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from prioritycut.data.facts import ClipFacts
from prioritycut.data.index import index_clip
from prioritycut.errors import UserError

Member: TypeAlias = tuple[str, int, int]
"""File name in the tar, where its content begins, bytes."""

_VIDEO = re.compile(r"\.(mp4|webm|mov|mkv|avi|gif)$", re.IGNORECASE)
_FRAME = re.compile(r"^(?P<clip>.+)\.(?P<file>\d+\.(?:jpg|jpeg|png|webp))$", re.IGNORECASE)
_THREADS = 8
# Of a tar's file names some disks take none so long or so written.
_NAME_FAULTS = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A clip in a shard: one line of an index.

    Attributes:
        name: Of the clip within the data set: a file's name, or what its frames have in common.
        shard: File name of the tar.
        shard_bytes: Of the whole tar.
        members: A video, or pictures that are its frames.
        facts: Of the clip, as of a file or folder of that name.
    """

    name: str
    shard: str
    shard_bytes: int
    members: tuple[Member, ...]
    facts: ClipFacts


_ADAPTER = TypeAdapter(ShardEntry)


def entry_to_json(entry: ShardEntry) -> bytes:
    """One line without its end."""
    return _ADAPTER.dump_json(entry, exclude_defaults=True)


def entry_from_json(line: bytes) -> ShardEntry | None:
    """The entry of a line; `None` where it holds none."""
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None


def file_name(member: Member) -> str:
    """What a frame is called once it lies in its clip's folder."""
    name = member[0].rsplit("/", 1)[-1]
    frame = _FRAME.match(name)
    return frame["file"] if frame else name


def scan_tar(path: Path) -> tuple[dict[str, tuple[Member, ...]], str | None]:
    """The clips of a tar by name, and why not all of it can be read, if so."""
    clips, fault = dict[str, dict[str, Member]](), None
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if info.isfile():
                    _sort_in(clips, (info.name, info.offset_data, info.size))
            fault = _end_fault(path, tar.offset)
    except tarfile.ReadError:
        fault = "it was cut off" if clips else "it is no tar file, or a compressed one"
    except (tarfile.TarError, EOFError, ValueError) as error:
        fault = f"it is damaged ({error})"
    return {
        name: tuple(members[key] for key in sorted(members, key=_frame_number)) for name, members in clips.items()
    }, fault


def _end_fault(path: Path, offset: int) -> str | None:
    """What is wrong where the members end: a whole tar has empty blocks there."""
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(tarfile.BLOCKSIZE)
    if not block:
        return "it was cut off"
    return f"it is damaged at byte {offset}" if any(block) else None


def _sort_in(clips: dict[str, dict[str, Member]], member: Member) -> None:
    # Folders within the tar become part of the name, as published names join identity and video.
    name = "#".join(part for part in member[0].split("/") if part not in ("", "."))
    if name.rsplit("#", 1)[-1].startswith("."):
        return
    if _VIDEO.search(name):
        clips[name] = {name: member}  # of two with one name the later counts, as when a tar is unpacked
    elif frame := _FRAME.match(name):
        clips.setdefault(frame["clip"], {})[frame["file"]] = member


def _frame_number(file: str) -> tuple[int, str]:
    number = file.split(".")[0]
    return (int(number) if number.isdecimal() else 0, file)


def index_tar(path: Path, shard: str) -> tuple[list[ShardEntry], str | None]:
    """The clips of a tar with their facts, and why not all of it can be read, if so.

    Args:
        path: Where it lies.
        shard: What the entries call it.
    """
    size = path.stat().st_size
    found, fault = scan_tar(path)

    def entry(clip: tuple[str, tuple[Member, ...]]) -> ShardEntry:
        name, members = clip
        return ShardEntry(name, shard, size, members, _facts(path, name, members))

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(entry, found.items())), fault


def _facts(path: Path, name: str, members: Sequence[Member]) -> ClipFacts:
    try:
        return _facts_in_folder(path, name, members)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(error) from None
        if error.errno not in _NAME_FAULTS:
            raise
        return ClipFacts(name=name, fault=f"cannot be laid down as a file ({error.strerror}); name it otherwise")


def no_space(error: OSError) -> UserError:
    """The fault of the disk that clips are laid down on for a while."""
    return UserError(
        f"{tempfile.gettempdir()}: cannot be written to ({error.strerror}); free space, or name another place in TMPDIR"
    )


def _facts_in_folder(path: Path, name: str, members: Sequence[Member]) -> ClipFacts:
    with path.open("rb") as file, tempfile.TemporaryDirectory(prefix="prioritycut-") as folder:

        def read(start: int, size: int) -> bytes:
            file.seek(start)
            return file.read(size)

        contents = [read(start, size) for _, start, size in members]
        if any(len(content) < size for content, (_, _, size) in zip(contents, members, strict=True)):
            return ClipFacts(name=name, fault="its shard was cut off; copy it again")
        clip = unpack(Path(folder), name, members, contents)
        return replace(index_clip(clip), modified=0)


def unpack(folder: Path, name: str, members: Sequence[Member], contents: Sequence[bytes]) -> Path:
    """Lay members into a folder as a clip: a file, or a folder of frames; where it lies then."""
    clip = folder / name
    if is_video_name(name):
        clip.write_bytes(contents[0])
        return clip
    clip.mkdir()
    for member, content in zip(members, contents, strict=True):
        (clip / file_name(member)).write_bytes(content)
    return clip


def is_video_name(name: str) -> bool:
    """Whether a clip of that name is one file."""
    return _VIDEO.search(name) is not None
