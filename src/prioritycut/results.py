"""Results as files: what `evaluate` and `score` write, and `report` reads. One JSON, plain enough to be read in years.

A clip keeps, for each metric, the count, mean and spread of its per-frame values: enough for the interval over frames,
for the bootstrap over clips and for paired differences, at a thousandth of the size of the values themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.errors import UserError
from prioritycut.files import write_text
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.intervals import Z95, bootstrap_over_clips

FORMAT = "prioritycut-result-1"

Better: TypeAlias = Literal["lower", "higher", "neither"]
Setting: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One metric's per-frame values in one clip, summed up."""

    frames: int
    """Frames that have a value."""
    mean: float | None
    """Of those; `None` if there are none."""
    spread: float = 0.0
    """Sum of their squared deviations from the mean."""
    failures: int = 0
    """Frames where nothing was found in the prediction, though the target shows it. They have no value, but for the
    missing keypoint rate, which is 1 there."""
    skipped: int = 0
    """Frames without a value because the target has nothing to measure: an empty mask, nothing found there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipResult:
    """One clip's metrics."""

    name: str
    frames: int
    metrics: dict[str, Tally]
    """By key: L1, PSNR_all, PSNR_salient, PSNR_nonsalient, SSIM_..., AKD, MKR, AED, AKD_corrected, ...,
    PSNR_top_10, PSNR_nontop_10, ..., area_salient, area_top_10, ..."""
    size: tuple[int, int] | None = None
    """Height and width of its frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A clip that could not be scored, or was scored with a reservation."""

    clip: str
    fault: str
    scored: bool = False
    """True for a reservation: the clip's numbers are in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One metric over all clips, with both intervals."""

    key: str
    better: Better
    tool: str | None
    """Label of the detector or mask that it stands on; `None` for those that need none."""
    mean: float | None
    """Over frames."""
    ci95: float | None
    """Half of the 95% interval over frames, as the paper has it: 1.96 s / sqrt(n). Frames of a clip are alike, so it
    is too narrow."""
    clip_low: float | None
    """Lower end of the 95% bootstrap interval over clips."""
    clip_high: float | None
    frames: int
    clips: int
    failures: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that one method's evaluation gave."""

    format: Literal["prioritycut-result-1"] = FORMAT
    kind: Literal["reconstruction", "score"]
    """`reconstruction`: made by `evaluate`, which ran the model; `score`: clips that were made elsewhere."""
    method: str
    """Name of the row."""
    dataset: str
    """Results of different data sets are never put into one table."""
    size: tuple[int, int] | None
    """Height and width of the frames that pixels (AKD) are counted in; `None` if unknown or mixed."""
    created: str
    """The only time stamp."""
    settings: dict[str, Setting]
    """The protocol: everything that would change a number."""
    versions: dict[str, str]
    tools: tuple[Tool, ...] = ()
    summaries: tuple[Summary, ...]
    clips: tuple[ClipResult, ...]
    problems: tuple[Problem, ...] = ()

    def summary(self, key: str) -> Summary | None:
        """The summary of one metric, if it was measured."""
        return next((summary for summary in self.summaries if summary.key == key), None)


def tally(values: Sequence[float], *, failures: int = 0, skipped: int = 0) -> Tally:
    """Sum up per-frame values; NaN ones have no value (say in `failures` and `skipped` why)."""
    kept = [value for value in values if not math.isnan(value)]
    if not kept:
        return Tally(frames=0, mean=None, failures=failures, skipped=skipped)
    mean = math.fsum(kept) / len(kept)
    spread = math.fsum((value - mean) ** 2 for value in kept)
    return Tally(frames=len(kept), mean=mean, spread=spread, failures=failures, skipped=skipped)


def pool(tallies: Iterable[Tally]) -> Tally:
    """All frames of several tallies as one."""
    parts = list(tallies)
    full = [(part, part.mean) for part in parts if part.mean is not None]
    failures, skipped = sum(part.failures for part in parts), sum(part.skipped for part in parts)
    frames = sum(part.frames for part, _ in full)
    if not frames:
        return Tally(frames=0, mean=None, failures=failures, skipped=skipped)
    mean = math.fsum(part.frames * own for part, own in full) / frames
    spread = math.fsum(part.spread + part.frames * (own - mean) ** 2 for part, own in full)
    return Tally(frames=frames, mean=mean, spread=spread, failures=failures, skipped=skipped)


def better_end(key: str) -> Better:
    """Which end of a metric is the good one."""
    if key.startswith("area_"):
        return "neither"
    return "higher" if key.startswith(("PSNR", "SSIM", "occlusion_")) else "lower"


def summarize(clips: Sequence[ClipResult], tools: dict[str, str], *, seed: int = 0) -> tuple[Summary, ...]:
    """Every metric over all clips, in the order in which the first clip that has it names it.

    Args:
        clips: Of one method.
        tools: Label of the tool that a metric stands on, by key; absent for metrics that need none.
        seed: Of the bootstrap.
    """
    keys = dict.fromkeys(key for clip in clips for key in clip.metrics)
    return tuple(_summarize(key, clips, tools.get(key), seed) for key in keys)


def _summarize(key: str, clips: Sequence[ClipResult], tool: str | None, seed: int) -> Summary:
    tallies = [clip.metrics[key] for clip in clips if key in clip.metrics]
    full = [(part.frames, part.mean) for part in tallies if part.mean is not None]
    pooled = pool(tallies)
    ci95 = clip_low = clip_high = None
    if pooled.frames > 1:
        ci95 = Z95 * math.sqrt(pooled.spread / (pooled.frames - 1) / pooled.frames)
    if len(full) > 1:
        interval = bootstrap_over_clips([n * mean for n, mean in full], [n for n, _ in full], seed=seed)
        clip_low, clip_high = interval.low, interval.high
    return Summary(
        key=key,
        better=better_end(key),
        tool=tool,
        mean=pooled.mean,
        ci95=ci95,
        clip_low=clip_low,
        clip_high=clip_high,
        frames=pooled.frames,
        clips=len(full),
        failures=pooled.failures,
        skipped=pooled.skipped,
    )


ARROWS: dict[Better, str] = {"lower": "↓", "higher": "↑", "neither": ""}
"""Which end of a metric is the good one, at a glance."""


def summary_lines(result: Result) -> list[str]:
    """The summaries as a table of plain text, a line a metric."""
    head = f"{'metric':<31}{'mean':>9}  {'95% frames':<11}{'95% clips':<20}"
    lines = [head + f"{'frames':>7}{'not found':>11}{'left out':>10}"]
    for row in result.summaries:
        number = "none" if row.mean is None else f"{row.mean:.4g}"
        over_frames = "" if row.ci95 is None else f"± {row.ci95:.2g}"
        low, high = row.clip_low, row.clip_high
        over_clips = "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
        counts = f"{row.frames:>7}{row.failures or '':>11}{row.skipped or '':>10}"
        name = f"{row.key} {ARROWS[row.better]}"
        lines.append(f"{name:<31}{number:>9}  {over_frames:<11}{over_clips:<20}{counts}".rstrip())
    return lines


def printable(text: str) -> str:
    """Names of files may hold bytes that are no UTF-8, which no JSON can hold: each becomes a replacement sign."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def check_output(path: Path) -> None:
    """Refuse a place for a result that holds something else: an input given twice by mistake must outlive it.

    Raises:
        UserError: It is a folder, or a file that is neither empty nor a result.
    """
    if path.is_dir():
        raise UserError(f"{path}: a folder; name a file in it for the result, such as {path / 'result.json'}")
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(100)
        if start and b'"prioritycut-result-' not in start:
            raise UserError(f"{path}: is there already and no result, so it is not replaced; choose another output")


def save_result(path: Path, result: Result) -> None:
    """Write a result whole or not at all.

    Raises:
        UserError: The place cannot be written.
    """
    write_text(path, config_to_json(result) + "\n")


def load_result(path: Path) -> Result:
    """Read a result.

    Raises:
        UserError: It is missing, unreadable, or not a result of this toolkit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; give a JSON that `evaluate` or `score` wrote") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text; give a JSON that `evaluate` or `score` wrote") from error
    return config_from_json(Result, text, where=path)
