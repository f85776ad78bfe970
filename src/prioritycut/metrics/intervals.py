"""How far a mean may be from the truth: the paper's interval over frames, the bootstrap over clips, and differences.

Frames of one clip are alike, so an interval that counts each of them as an observation of its own is too narrow; the
paper's is of that kind. The bootstrap draws whole clips, and so asks what another set of as many clips would give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor

Z95 = 1.96
"""Half of a normal's 95%, in standard deviations, to the digits that the paper's numbers were made with."""
DRAWS = 2000
"""Resamplings of a bootstrap."""

Values: TypeAlias = Sequence[float] | Float[Tensor, " frames"] | NDArray[np.float64]
Clips: TypeAlias = Sequence[object] | Shaped[Tensor, " frames"] | Shaped[np.ndarray, " frames"]
Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it may lie.

    Attributes:
        mean: Of the values; of the differences, where two methods are compared.
        ci95: Half the width of the 95% interval; nan where there is too little to tell.
        low: Lower end of the 95% interval.
        high: Upper end. A bootstrap's ends need not be equally far from the mean.
        observations: What was counted: values, or clips for a bootstrap.
    """

    mean: float
    ci95: float
    low: float
    high: float
    observations: int

    @property
    def beyond_chance(self) -> bool:
        """Whether a difference's interval leaves out 0: then "A beats B" is more than luck."""
        return self.low > 0 or self.high < 0


def confidence_interval(values: Values) -> Interval:
    """Mean and normal 95% interval of independent values: 1.96 s / sqrt(n), s with n - 1 in its denominator.

    Args:
        values: One number an observation; NaN ones (a frame that has no value) are left out.

    Returns:
        `.mean` and `.ci95`; nan without values, and `.ci95` nan for a single one.

    Source: PriorityCut's tables, which count frames (SPEC 8.2).
    """
    kept = _numbers(values)
    kept = kept[~np.isnan(kept)]
    if len(kept) == 0:
        return Interval(math.nan, math.nan, math.nan, math.nan, 0)
    mean = float(kept.mean())
    half = Z95 * float(kept.std(ddof=1)) / math.sqrt(len(kept)) if len(kept) > 1 else math.nan
    return Interval(mean, half, mean - half, mean + half, len(kept))


def cluster_bootstrap(values: Values, clips: Clips, seed: int = 0, *, draws: int = DRAWS) -> Interval:
    """Mean over frames and its 95% interval over clips.

    Clips are drawn with replacement, as many as there are, and the mean over all their frames is taken, `draws` times;
    the interval holds the middle 95% of those means.

    Args:
        values: One number a frame; NaN ones are left out.
        clips: Which clip each frame belongs to: any names or numbers.
        seed: Of the draws; the same seed gives the same interval.
        draws: How many.

    Returns:
        `.mean`; `.ci95`, half the interval's width; `.low` and `.high`. nan where fewer than two clips have values.

    Raises:
        ValueError: `values` and `clips` differ in length.

    Source: Field & Welsh, "Bootstrapping clustered data" (2007), cluster bootstrap.
    """
    totals, counts = _by_clip(_numbers(values), clips)
    return bootstrap_over_clips(totals, counts, seed=seed, draws=draws)


def paired_difference(
    first: Values, second: Values, clips: Clips | None = None, seed: int = 0, *, draws: int = DRAWS
) -> Interval:
    """How much larger `first` is than `second` on the same frames, with its 95% interval.

    Both were measured on the same frames, so what makes a frame hard for both drops out of the difference.

    Args:
        first, second: One number a frame, in the same order; a frame that lacks either (NaN) is left out.
        clips: Which clip each frame belongs to: the interval is then the bootstrap over clips, else the normal one
            over frames.
        seed, draws: Of the bootstrap.

    Raises:
        ValueError: The lengths differ.
    """
    a, b = _numbers(first), _numbers(second)
    if a.shape != b.shape:
        raise ValueError(f"paired values must be of the same frames, got {len(a)} and {len(b)}")
    if clips is None:
        return confidence_interval(a - b)
    return cluster_bootstrap(a - b, clips, seed, draws=draws)


def bootstrap_over_clips(
    totals: Sequence[float] | Numbers, counts: Sequence[int] | Numbers, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """`cluster_bootstrap` from each clip's sum of values and count of frames; clips without frames are left out."""
    sums, frames = np.asarray(totals, np.float64), np.asarray(counts, np.float64)
    sums, frames = sums[frames > 0], frames[frames > 0]
    if len(frames) == 0:
        return Interval(math.nan, math.nan, math.nan, math.nan, 0)
    means = _resampled_mean(sums, frames, _draw(len(sums), draws, seed))
    return _percentiles(float(sums.sum() / frames.sum()), means, len(sums))


def bootstrap_difference(
    first: tuple[Sequence[float], Sequence[int]],
    second: tuple[Sequence[float], Sequence[int]],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Interval:
    """Difference of two methods' means over the same clips, from each clip's (sums, counts) in the same order.

    The same clips are drawn for both, so that what makes a clip hard for both drops out. A clip in which either method
    has no value is left out for both.
    """
    sums_a, frames_a = (np.asarray(part, np.float64) for part in first)
    sums_b, frames_b = (np.asarray(part, np.float64) for part in second)
    if len(sums_a) != len(sums_b):
        raise ValueError(f"paired clips must be the same ones, got {len(sums_a)} and {len(sums_b)}")
    both = (frames_a > 0) & (frames_b > 0)
    if not both.any():
        return Interval(math.nan, math.nan, math.nan, math.nan, 0)
    sums_a, frames_a, sums_b, frames_b = (part[both] for part in (sums_a, frames_a, sums_b, frames_b))
    weights = _draw(len(sums_a), draws, seed)
    differences = _resampled_mean(sums_a, frames_a, weights) - _resampled_mean(sums_b, frames_b, weights)
    mean = float(sums_a.sum() / frames_a.sum() - sums_b.sum() / frames_b.sum())
    return _percentiles(mean, differences, len(sums_a))


def _numbers(values: Values) -> Numbers:
    numbers = values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"values must be one number a frame, got an array of shape {numbers.shape}; flatten it")
    return numbers


def _by_clip(values: Numbers, clips: Clips) -> tuple[Numbers, Numbers]:
    if len(values) != len(clips):
        raise ValueError(f"each value needs its clip, got {len(values)} values and {len(clips)} clips")
    # Elements of a tensor are equal to none but themselves: each frame would be a clip of its own.
    names = clips.tolist() if isinstance(clips, Tensor | np.ndarray) else clips
    numbers = {clip: number for number, clip in enumerate(dict.fromkeys(names))}
    owner = np.array([numbers[clip] for clip in names], np.intp)
    kept = ~np.isnan(values)
    totals: Numbers = np.bincount(owner[kept], values[kept], minlength=len(numbers)).astype(np.float64)
    counts = np.bincount(owner[kept], minlength=len(numbers)).astype(np.float64)
    return totals, counts


def _draw(clips: int, draws: int, seed: int) -> Numbers:
    """How often each clip is in each resampling: `draws` by `clips`."""
    return np.random.default_rng(seed).multinomial(clips, np.full(clips, 1 / clips), size=draws).astype(np.float64)


def _resampled_mean(totals: Numbers, counts: Numbers, weights: Numbers) -> Numbers:
    frames = weights @ counts
    # A resampling may miss every clip that has frames; it then says nothing.
    return np.divide(weights @ totals, frames, out=np.full(len(weights), np.nan), where=frames > 0)


def _percentiles(mean: float, means: Numbers, clips: int) -> Interval:
    if clips < 2:
        return Interval(mean, math.nan, math.nan, math.nan, clips)
    low, high = (float(end) for end in np.nanpercentile(means, (2.5, 97.5)))
    return Interval(mean, (high - low) / 2, low, high, clips)
