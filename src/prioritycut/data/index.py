"""The index of a folder of clips: each is looked at once, and again only when it has changed."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from prioritycut.data.clip_reading import folder_pictures, open_clip
from prioritycut.data.facts import ClipFacts, ClipKind, facts_from_json, facts_to_json, to_runs
from prioritycut.data.media import require_file
from prioritycut.data.pictures import decoding_picture, identify_picture, is_animated, read_still
from prioritycut.data.stored import Advance, say_nothing_of_progress
from prioritycut.data.video_index import index_video
from prioritycut.errors import UserError

INDEX_NAME = ".prioritycut-index.jsonl"
"""The index's file, in the folder whose clips it describes."""

# A first line of the index, raised when facts are found otherwise than before: older indexes are then made anew.
_VERSION = b'{"prioritycut_index":1}'
# Reading waits for the disk as much as for a core.
_THREADS = 8


def index_clip(path: Path) -> ClipFacts:
    """Everything that an index says of one clip; one that cannot be read has its fault told instead.

    Args:
        path: A video, an animated picture, a strip or a folder of pictures (SPEC 7.1).
    """
    before = _stamp(path)
    try:
        facts = _read_facts(path)
    except (UserError, OSError) as error:
        facts = ClipFacts(name=path.name, fault=_reason(path, error))
    if facts.fault is None and _stamp(path) != before:
        facts = replace(facts, fault="it changed while it was read, so something still writes to it; wait for its end")
    size, modified = before or (0, 0)
    return replace(facts, bytes=facts.bytes or size, modified=modified)


def _read_facts(path: Path) -> ClipFacts:
    kind = _kind(path)
    pictures = folder_pictures(path) if kind == "folder" else []
    size, digest = _content_hash(sorted(pictures) or [path])
    known = ClipFacts(name=path.name, kind=kind, bytes=size, hash=digest)
    if kind == "video":
        index = index_video(path)
        width, height = index.layout.upright_size
        return replace(
            known,
            frames=index.frames,
            width=width,
            height=height,
            rate=str(index.rate),
            layout=index.layout,
            times=to_runs(index.times),
            keyframes=to_runs(index.keyframes),
        )
    if kind == "strip":
        read_still(path)  # a header tells its size, not that it is whole
    with open_clip(path) as reader:
        return replace(
            known,
            frames=cast(int, reader.frame_count),
            width=reader.width,
            height=reader.height,
            rate=str(reader.rate),
            members="/".join(picture.name for picture in pictures),
        )


def _kind(path: Path) -> ClipKind:
    if path.is_dir():
        return "folder"
    require_file(path, "a clip")
    image = identify_picture(path)
    if image is None:
        return "video"
    with image, decoding_picture(path):
        return "animation" if is_animated(image) else "strip"


def _content_hash(files: Sequence[Path]) -> tuple[int, str]:
    """Bytes of these files, and the hash of one after another."""
    digest, size = hashlib.blake2b(digest_size=16), 0
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    return size, digest.hexdigest()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Bytes and time of the last change; of a folder 0 and when a file was last added, renamed or removed."""
    try:
        status = path.stat()
    except OSError:
        return None
    return 0 if path.is_dir() else status.st_size, status.st_mtime_ns


def _reason(path: Path, error: UserError | OSError) -> str:
    """What is wrong, without the folder that everybody knows."""
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror}); check its permissions"
    return str(error).removeprefix(f"{path}: ").replace(f"{path.parent}{os.sep}", "")


def is_unchanged(path: Path, facts: ClipFacts) -> bool:
    """Whether a clip is still what its index says, as far as its size and the time of its last change tell."""
    stamp = _stamp(path)
    return stamp is not None and stamp == (0 if facts.kind == "folder" else facts.bytes, facts.modified)


def index_clips(folder: Path, paths: Sequence[Path], *, advance: Advance = say_nothing_of_progress) -> list[ClipFacts]:
    """The facts of clips of a folder, from its index where that still holds; what is new goes into the index.

    Two processes may do so at once: each leaves a whole index, and both say the same.

    Args:
        folder: Holds the clips, and their index if it can be written to; else the index lies in the user's cache.
        paths: Clips directly in it.
        advance: Told how many of the clips to be looked at are done; never called where the index knew all.

    Returns:
        One for each path; those that cannot be read say so in `fault`.
    """
    own, cached = folder / INDEX_NAME, _cached_index(folder)
    stored = _read_index(own) + _read_index(cached)
    wanted = {path.name for path in paths}
    # What was found faulty is looked at again: it may have been mended without a trace, or by a newer decoder.
    known = {
        facts.name: facts
        for facts in stored
        if facts.name in wanted and facts.fault is None and is_unchanged(folder / facts.name, facts)
    }
    new = [path for path in paths if path.name not in known]
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for done, facts in enumerate(pool.map(index_clip, new), start=1):
            known[facts.name] = facts
            advance(done, len(new))
    finally:  # what was found before an interruption need not be found again
        pool.shutdown(cancel_futures=True)
        now = {**{facts.name: facts for facts in stored if (folder / facts.name).exists()}, **known}
        if now != {facts.name: facts for facts in stored} and not _write_index(now, own):
            _write_index(now, cached)
    return [known[path.name] for path in paths]


def _cached_index(folder: Path) -> Path:
    """Where the index of a folder lies that cannot be written to."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    name = hashlib.blake2b(str(folder.resolve()).encode(), digest_size=16).hexdigest()
    return cache / "prioritycut" / "indexes" / f"{name}.jsonl"


def _read_index(path: Path) -> list[ClipFacts]:
    """What an index holds; nothing where it is missing, torn, or of another version."""
    try:
        first, *lines = path.read_bytes().splitlines()
    except (OSError, ValueError):
        return []
    if first != _VERSION:
        return []
    return [facts for line in lines if (facts := facts_from_json(line)) is not None]


def _write_index(clips: Mapping[str, ClipFacts], path: Path) -> bool:
    """Write it whole or not at all, whoever else is writing it; whether that was possible."""
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    lines = [_VERSION]
    for name in sorted(clips):
        with suppress(ValueError):  # a name that is no text at all; its clip is looked at anew each time
            lines.append(facts_to_json(clips[name]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(b"".join(line + b"\n" for line in lines))
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        return False
    return True
