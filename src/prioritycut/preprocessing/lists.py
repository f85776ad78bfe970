"""What to do with the videos of a published list, wherever they are to come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prioritycut.errors import UserError
from prioritycut.preprocessing.downloading import require_downloads
from prioritycut.preprocessing.folder import is_video
from prioritycut.preprocessing.jobs import ListedVideo
from prioritycut.preprocessing.metadata import ListedClips
from prioritycut.preprocessing.plan import ListRules

VIDEO_MARK = "{video}"
"""In an address: the video's id."""


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Where the videos of a list come from, and which of its clips are wanted; none of it changes a clip."""

    partition: Literal["train", "test", "both"] = "both"
    """Which part of the list is made."""
    videos: Path | None = None
    """Folder of videos that are here already, named by their ids; the others are downloaded."""
    address: str = "https://www.youtube.com/watch?v={video}"
    """Where a video is downloaded from; {video} stands for its id."""
    cookies: Path | None = None
    """A browser's cookies.txt, for sites that ask for a login."""
    keep_videos: Path | None = None
    """Folder that downloaded videos are kept in; by default they are removed once they are cut."""

    def __post_init__(self) -> None:
        if VIDEO_MARK not in self.address:
            raise ValueError(f"address must hold {VIDEO_MARK}, which stands for a video's id, got {self.address}")


def listed_work(listed: ListedClips, options: ListOptions, rules: ListRules) -> list[ListedVideo]:
    """One job a video that has clips of the wanted part, in the list's order.

    Raises:
        UserError: The cookies or the folder of videos are not there, or nothing is wanted.
    """
    if options.cookies is not None and not options.cookies.is_file():
        raise UserError(f"{options.cookies}: no such file; export your browser's cookies to it, or leave out --cookies")
    here = {} if options.videos is None else _videos_by_id(options.videos)
    work = [
        ListedVideo(
            video=video,
            requests=wanted,
            address=None if video in here else options.address.replace(VIDEO_MARK, video),
            path=here.get(video),
            min_size=rules.min_size,
            leaving=rules.leaving,
            cookies=_absolute(options.cookies),
            keep=_absolute(options.keep_videos),
        )
        for video, requests in listed.videos
        if (wanted := tuple(each for each in requests if options.partition in ("both", each.partition)))
    ]
    if any(each.address is not None for each in work):
        require_downloads(options.cookies)
    if not work:
        raise UserError(f"--partition {options.partition}: the list has no clip of it; choose another part")
    return work


def _videos_by_id(folder: Path) -> dict[str, Path]:
    try:
        paths = sorted(folder.resolve().iterdir(), reverse=True)  # of two by the same name the first one counts
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); name the folder of videos") from error
    return {path.stem: path for path in paths if is_video(path.name) and path.is_file()}


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
