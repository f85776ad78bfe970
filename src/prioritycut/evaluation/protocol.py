"""What is measured and how: everything that would change a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from prioritycut.results import Setting

Levels: TypeAlias = Literal["png", "float"]
SsimWindow: TypeAlias = Literal["uniform7", "gaussian11"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The paper's, unless told otherwise (SPEC section 8)."""

    skip_first: bool = False
    """Leave out frame 0, where source and driving frame are one and the same (ambiguity A16)."""
    levels: Levels = "png"
    """What PSNR, SSIM and detectors see: `png` is 8 bit, predictions cut off to the level below as the public code
    writes them (those that `score` reads from files have been); `float` is the model's own numbers. L1 always has
    the latter."""
    ssim: SsimWindow = "uniform7"
    """Window of SSIM (ambiguity A17)."""
    top_percentages: tuple[int, ...] = (10, 20, 30, 40, 50)
    """Shares of the most occluded pixels that are scored apart, in percent."""
    top_denominator: Literal["image", "foreground"] = "image"
    """What those are percentages of (ambiguity A2)."""
    background_threshold: float = 0.9
    """A pixel whose background probability lies strictly above is never among them (ambiguity A1)."""
    batch_size: int = 16
    """Frames at a time. It changes speed and memory, and the last digits of a network's output."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not all(0 < share <= 100 for share in self.top_percentages):
            raise ValueError(f"top_percentages must lie in (0, 100], got {self.top_percentages}")
        if not 0.0 <= self.background_threshold <= 1.0:
            raise ValueError(f"background_threshold must lie in [0, 1], got {self.background_threshold}")

    def settings(self) -> dict[str, Setting]:
        """As they stand in a result."""
        return {
            "skip_first": self.skip_first,
            "levels": self.levels,
            "ssim": self.ssim,
            "top_percentages": " ".join(map(str, self.top_percentages)),
            "top_denominator": self.top_denominator,
            "background_threshold": self.background_threshold,
            "batch_size": self.batch_size,
        }
