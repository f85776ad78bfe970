"""What clips become: their size and how they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Store: TypeAlias = Literal["mp4", "jpeg", "png", "shards"]
"""mp4: H.264 with a key frame every few frames. jpeg, png: a folder of frames a clip. shards: such mp4 in tar files."""


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """Everything that decides the bytes of a clip, beside its video and its box."""

    size: int = 256
    """Height and width in pixels; even for mp4 and shards, whose colour is stored for two pixels together."""
    store: Store = "mp4"
    """How clips are kept."""

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096:
            raise ValueError(f"size must lie in 16 to 4096 pixels, got {self.size}")
        if self.size % 2 and self.store in ("mp4", "shards"):
            raise ValueError(f"size must be even for {self.store}, got {self.size}; jpeg and png take odd ones")
