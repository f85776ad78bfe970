"""Videos from the net by yt-dlp, and what its many messages mean for a clip."""

from __future__ import annotations

import errno
import http.cookiejar
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prioritycut.errors import UserError
from prioritycut.preprocessing.manifest import not_written
from prioritycut.preprocessing.records import Outcome

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

PAUSES = (1.0, 5.0)
"""Seconds before each further try where the network failed. A site that stays down is left to the next run."""

_LONGEST_REASON = 300

_MEANINGS: tuple[tuple[Outcome, str], ...] = (
    ("private", r"\bprivate\b"),
    ("network", r"HTTP Error (408|425|5\d\d)|timed out|bytes read|did not get any data|content too short"),
    (
        "blocked",
        r"HTTP Error (401|402|403|407|429|451)|your (country|location|region)|geo.?restrict|not a bot|captcha|challenge"
        r"|sign in|log ?in|cookies|registered|confirm your age|age.restrict|inappropriate|members|premium|paid|payment"
        r"|purchase|\brent|rate.?limit|try again|on this app|\bDRM\b|format is not available|premieres|live event"
        r"|(failed|unable) to extract",
    ),
    (
        "removed",
        r"HTTP Error (404|410)|unavailable|not available|no longer|removed|terminated|deleted|not exist|not found"
        r"|copyright|looks truncated|unsupported URL",
    ),
)
"""What yt-dlp and the sites that it quotes say, in any case of letters; the first that fits decides."""

_FULL_OR_REFUSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no video.

    Attributes:
        outcome: What that means for its clips.
        reason: In the words of the tool that said so, on one line.
    """

    outcome: Outcome
    reason: str


def require_downloads(cookies: Path | None) -> None:
    """Check what every download needs, before any work.

    Raises:
        UserError: yt-dlp is not installed, or the file of cookies is missing or none.
    """
    _import_ytdlp()
    if cookies is None:
        return
    from yt_dlp.cookies import YoutubeDLCookieJar

    try:
        YoutubeDLCookieJar(str(cookies)).load()
    except (OSError, UnicodeDecodeError, http.cookiejar.LoadError) as error:
        fault = "no such file" if isinstance(error, FileNotFoundError) else "it is no cookies.txt in Netscape's format"
        raise UserError(f"{cookies}: {fault}; export a browser's cookies to it, or leave out --cookies") from error


def download(address: str, workdir: Path, *, shorter_side: int, cookies: Path | None = None) -> Path | Failed:
    """Download one video, without sound where there is a choice, and nothing else.

    Of the versions that a site offers, that is taken whose shorter side is nearest to the list's; of several, H.264 in
    mp4. No settings and no cache of yt-dlp on this machine are used. Where the connection breaks, the download goes on
    from there as long as that brings it further.

    Args:
        address: A page that yt-dlp knows, or the file itself.
        workdir: A folder of this video's own; the file comes to lie in its folder `download`.
        shorter_side: Of the frames that the list's boxes are measured in, in pixels.
        cookies: A browser's cookies.txt. It is not written to.

    Returns:
        The file, whole as far as the server says how long it is; or why there is none.

    Raises:
        UserError: yt-dlp is not installed, takes the folder's name for another, or the disk is full or refuses.
    """
    folder = workdir / "download"
    if os.path.expandvars(folder) != str(folder):
        raise UserError(
            f"{workdir}: cannot be written by yt-dlp, which puts what $HOME or so stands for in its place; "
            "choose another output"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        jar = None if cookies is None else _copied(cookies, workdir)
    except OSError as error:
        raise not_written(folder, error) from error
    if isinstance(jar, Failed):
        return jar
    options = _options(folder, shorter_side, jar)
    pauses, came = iter(PAUSES), 0
    while True:
        found = _try(address, options, folder)
        if isinstance(found, Path) or found.outcome != "network":
            return found
        if (size := sum(path.stat().st_size for path in folder.iterdir())) > came:
            pauses, came = iter(PAUSES), size
        if (pause := next(pauses, None)) is None:
            return found
        time.sleep(pause)


def _import_ytdlp() -> Any:
    try:
        import yt_dlp
    except ImportError as error:
        raise UserError(f"downloads need yt-dlp ({error}); pip install 'prioritycut[preprocess]'") from error
    return yt_dlp


def _copied(cookies: Path, workdir: Path) -> Path | Failed:
    """A copy for yt-dlp, which writes back what sites set: many workers at once would spoil the user's file."""
    try:
        content = cookies.read_bytes()
    except OSError as error:
        return Failed("blocked", f"the cookies cannot be read ({error.strerror})")
    copy = workdir / "cookies.txt"
    copy.touch(mode=0o600)
    copy.write_bytes(content)
    return copy


def _options(folder: Path, shorter_side: int, cookies: Path | None) -> dict[str, Any]:
    """For yt-dlp."""
    return {
        # One file as it is: to merge two or to mend one, it would call programs that may not be there.
        "format": "bv/bv*",
        "format_sort": [f"res~{shorter_side}", "proto", "vcodec:h264", "ext:mp4"],
        "fixup": "never",
        "noplaylist": True,
        "playlist_items": "0",
        "match_filter": _refuse_live,
        "outtmpl": {"default": "video.%(ext)s"},
        "paths": {"home": str(folder)},
        "cookiefile": None if cookies is None else str(cookies),
        "cachedir": False,
        "updatetime": False,
        "socket_timeout": TIMEOUT,
        "retries": 0,  # `download` tries again, which serves pages too
        "fragment_retries": 3,
        "extractor_retries": 1,
        "skip_unavailable_fragments": False,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "color": "never",
        "logger": _Silence(),
    }


class _Silence:
    """Takes what yt-dlp would print; what matters of it comes in its errors."""

    def debug(self, message: str) -> None:
        pass

    info = warning = error = debug


def _refuse_live(info: Mapping[str, Any], *, incomplete: bool = False) -> str | None:
    return "it has no end yet" if info.get("is_live") else None


def _try(address: str, options: dict[str, Any], folder: Path) -> Path | Failed:
    yt_dlp = _import_ytdlp()
    from yt_dlp.networking.exceptions import HTTPError

    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            info: Mapping[str, Any] = downloader.extract_info(address) or {}
    except Exception as error:  # whatever a site answers, some extractor stumbles over it in a way of its own
        for cause in _causes(error):
            if isinstance(cause, OSError) and cause.errno in _FULL_OR_REFUSING:
                raise not_written(folder / "video", cause) from error
            if isinstance(cause, HTTPError):
                cause.close()  # its connection, which nobody else does
        known = isinstance(error, yt_dlp.utils.YoutubeDLError)
        return meaning(str(error) if known else f"{type(error).__name__}: {error}", lost=_lost_connection(error))
    if (kind := info.get("_type", "video")) != "video":
        return Failed("removed", f"it is no single video but a {kind}")
    if info.get("is_live"):
        return Failed("blocked", "it is live and has no end yet")
    files = [Path(file["filepath"]) for file in info.get("requested_downloads") or ()]
    return files[0] if len(files) == 1 and files[0].is_file() else Failed("network", "no file came")


def meaning(message: str, *, lost: bool = False) -> Failed:
    """What a message of yt-dlp means for a video.

    Args:
        message: As its error has it.
        lost: Whether it comes of a connection that was lost or never made.
    """
    reason = _one_line(message)
    for outcome, signs in _MEANINGS:
        if re.search(signs, reason, re.IGNORECASE):
            return Failed(outcome, reason)
    # What nobody foresaw may pass, by a newer yt-dlp if not by itself: both are tried again.
    return Failed("network" if lost else "blocked", reason)


_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

_LEFT_OUT = re.compile(
    r"^(ERROR: )?(\[download\] Got error: |\[[\w:+.-]+\] (\S+: )?)?"  # who says it, and of which video
    r"| \(caused by .*|[;.]? please report this issue on .*|\.? Giving up after \d+ retries"
    r"|\.?\s+Use --[a-z].*|\s+You might want to use a VPN.*"  # advice for yt-dlp's own command
    r"| object at 0x[0-9a-f]+|,? \(?request.?id\W*[\w-]+\)?",  # what differs from try to try
    re.IGNORECASE,
)


def _one_line(message: str) -> str:
    """A message without what differs from video to video and from try to try, so that equal ones can be counted."""
    text = _LEFT_OUT.sub("", " ".join(_COLOUR.sub("", message).split()))
    text = re.sub(r"(Unsupported URL): .*", r"a page without a video (\1)", text)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def _lost_connection(error: BaseException) -> bool:
    from yt_dlp.networking.exceptions import TransportError
    from yt_dlp.utils import ContentTooShortError

    lost = (TransportError, ContentTooShortError, ConnectionError, TimeoutError)
    return any(isinstance(cause, lost) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it, which yt-dlp notes in ways of its own."""
    seen, waiting = list[BaseException](), [error]
    while waiting:
        cause = waiting.pop()
        if any(cause is other for other in seen):
            continue
        seen.append(cause)
        yield cause
        noted = getattr(cause, "exc_info", None) or ()
        further = (*noted[1:2], getattr(cause, "cause", None), cause.__cause__, cause.__context__)
        waiting.extend(each for each in further if isinstance(each, BaseException))
