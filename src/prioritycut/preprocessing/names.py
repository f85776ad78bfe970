"""Names of the clips of one's own videos, one for each and safe in any store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from prioritycut.preprocessing.spans import Span

_LONGEST = 100
"""Bytes of a video's name; files may have 255, and clips' names are longer."""


def video_name(video: str) -> str:
    """What a video's clips begin with: letters, digits, `_` and `-`.

    `walk.mp4` gives `walk`. Of any other path the last suffix goes, other characters become `_`, and eight digits of
    the path's hash follow, so that `a/b.mp4`, `a_b.mp4` and `a/b.mov` stay apart. There is no `#`, which ends an
    identity's name, and no dot, which ends a clip's name in a shard.

    Args:
        video: Its path below the folder that was given, with `/` between its parts.
    """
    path = PurePosixPath(video)
    name = re.sub(r"[^\w-]", "_", str(path.with_suffix("")))
    if f"{name}.mp4" == video and len(name.encode()) <= _LONGEST:
        return name
    shortened = name.encode()[:_LONGEST].decode(errors="ignore")
    digest = hashlib.blake2b(video.encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return f"{shortened}-{digest}"


def clip_names(video: str, spans: Iterable[Span]) -> list[str]:
    """One for each span: VIDEO#start6#end6, and #1, #2 ... behind it for further subjects in the very same frames."""
    names = list[str]()
    used = dict[str, int]()
    for start, end in spans:
        name = f"{video_name(video)}#{start:06d}#{end:06d}"
        again = used[name] = used.get(name, -1) + 1
        names.append(f"{name}#{again}" if again else name)
    return names
