"""One's own videos: which there are, and which of them are held out for tests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prioritycut.errors import UserError
from prioritycut.preprocessing.jobs import TrackedVideo
from prioritycut.preprocessing.plan import FolderRules
from prioritycut.preprocessing.records import ClipRecord, Partition

VIDEO_KINDS = "mp4, mov, mkv, webm, avi, m4v, mpg, mpeg, wmv, flv, ts, mts, m2ts, 3gp, ogv, gif, webp"
"""Files that are taken for videos, in any case of letters."""


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A file that is taken for a video.

    Attributes:
        name: Its path below the folder that was given, with "/" between its parts; of a single file its name.
        path: Where it lies, without links.
    """

    name: str
    path: Path


def find_videos(videos: Path, output: Path) -> list[FoundVideo]:
    """All videos below a folder, sorted by name; or the one that is named.

    Hidden files and folders, and the output where it lies among them, are left out. Links are followed; what two
    names lead to is taken once.

    Raises:
        UserError: There is no video, the place cannot be read, or it lies in the output.
    """
    where, ours = videos.resolve(), output.resolve()
    if where == ours or ours in where.parents:
        raise UserError(f"{videos}: lies in the output {output}; choose an output outside of the videos")
    if not where.exists():
        raise UserError(f"{videos}: no such file or folder; check the path")
    if where.is_file():
        found = [FoundVideo(_text(videos.name), where)] if is_video(videos.name) else []
    else:
        found = sorted(_below(where, ours), key=lambda video: video.name)
    if not found:
        raise UserError(f"0 videos in {videos}, expected {VIDEO_KINDS}; name another folder")
    return found


def _below(folder: Path, output: Path) -> list[FoundVideo]:
    found, seen = list[FoundVideo](), set[Path]()

    def unreadable(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error

    for place, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (resolved := Path(place).resolve()) in seen or resolved == output:
            folders.clear()
            continue
        seen.add(resolved)
        for name in sorted(files):
            path = (Path(place) / name).resolve()
            if not name.startswith(".") and is_video(name) and path.is_file() and path not in seen:
                seen.add(path)
                found.append(FoundVideo(_text((Path(place) / name).relative_to(folder).as_posix()), path))
    return found


def is_video(name: str) -> bool:
    """Whether a file's name says that it is one."""
    return Path(name).suffix.lower().removeprefix(".") in VIDEO_KINDS.split(", ")


def _text(name: str) -> str:
    """A name as text that any reader of the manifest takes; a file's name may be none."""
    return os.fsencode(name).decode(errors="backslashreplace")


def partitions(
    names: Sequence[str], known: Mapping[str, Partition], *, test_share: float, seed: int
) -> dict[str, Partition]:
    """Which part each video belongs to.

    A folder with train/ and test/ says so itself; what lies beside them trains. Else those make the test part whose
    names, hashed with the seed, rank lowest: `test_share` of all, at least one of two or more and never all. Videos,
    not clips, are divided, so that nobody is in both parts.

    Args:
        names: Of all videos.
        known: Parts that were settled before; they stay, whatever was added since.
        test_share: From 0 (no test part) to below 1.
        seed: Another one holds out other videos.
    """
    if any(name.startswith("train/") for name in names) and any(name.startswith("test/") for name in names):
        return {name: "test" if name.startswith("test/") else "train" for name in names}
    new = sorted((name for name in names if name not in known), key=lambda name: _rank(name, seed))
    wanted = min(max(1, round(test_share * len(names))), len(names) - 1) if test_share > 0 else 0
    held_out = max(0, wanted - sum(known.get(name) == "test" for name in names))
    return {
        **{name: known[name] for name in names if name in known},
        **{name: "test" if place < held_out else "train" for place, name in enumerate(new)},
    }


def _rank(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest()


def folder_work(found: Sequence[FoundVideo], records: Iterable[ClipRecord], rules: FolderRules) -> list[TrackedVideo]:
    """What to do with the videos of a folder, in their order.

    Args:
        found: The videos.
        records: What the manifest knows: its videos keep their part.
        rules: For all of them.
    """
    known: dict[str, Partition] = {record.video: record.partition for record in records}
    parts = partitions([video.name for video in found], known, test_share=rules.test_share, seed=rules.seed)
    return [
        TrackedVideo(
            video=video.name,
            path=video.path,
            partition=parts[video.name],
            subject=rules.subject,
            min_frames=rules.min_frames,
            max_frames=rules.max_frames,
            min_size=rules.min_size,
            leaving=rules.leaving,
        )
        for video in found
    ]
