"""Intervals against numpy, scipy, a plain loop, and what they promise: to hold the truth 95 times in 100."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from prioritycut.metrics import cluster_bootstrap, confidence_interval, paired_difference
from prioritycut.metrics.intervals import bootstrap_difference, bootstrap_over_clips

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())["confidence_interval"]


def correlated(seed: int, *, clips: int = 30, frames: int = 40) -> tuple[np.ndarray, list[str]]:
    """Frames that share most of what they are with their clip; the true mean is 0."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(clips, 1)) + 0.5 * rng.normal(size=(clips, frames))
    return values.ravel(), [f"clip {clip}" for clip in range(clips) for _ in range(frames)]


def loop_bootstrap(clips: list[list[float]], draws: int, seed: int) -> tuple[float, float]:
    """Ends of the interval by drawing clips one after the other."""
    rng = random.Random(seed)
    means = list[float]()
    for _ in range(draws):
        drawn = [value for _ in clips for value in rng.choice(clips)]
        means.append(sum(drawn) / len(drawn))
    means.sort()
    return means[round(0.025 * draws)], means[round(0.975 * draws)]


def test_golden_interval_over_frames() -> None:
    interval = confidence_interval(GOLDEN["values"])
    assert interval.mean == pytest.approx(GOLDEN["mean"], rel=1e-12)
    assert interval.ci95 == pytest.approx(GOLDEN["ci95"], rel=1e-12)
    assert interval.ci95 == pytest.approx(1.96 * GOLDEN["std_ddof1"] / math.sqrt(5), rel=1e-12)
    assert (interval.low, interval.high) == pytest.approx((24.8 - GOLDEN["ci95"], 24.8 + GOLDEN["ci95"]))
    assert interval.observations == 5


def test_values_may_be_a_list_an_array_or_a_tensor() -> None:
    values = [1.0, 4.0, math.nan, 2.5]
    intervals = [confidence_interval(kind) for kind in (values, np.array(values), torch.tensor(values))]
    assert intervals[0] == intervals[1] == intervals[2]
    assert intervals[0].mean == pytest.approx(2.5)
    assert intervals[0].observations == 3


def test_too_little_to_tell_is_nan() -> None:
    none, one = confidence_interval([math.nan]), confidence_interval([3.0, math.nan])
    assert math.isnan(none.mean)
    assert math.isnan(none.ci95)
    assert (one.mean, one.observations) == (3.0, 1)
    assert math.isnan(one.ci95)
    single = cluster_bootstrap([1.0, 2.0], ["a", "a"])
    assert single.mean == 1.5
    assert math.isnan(single.ci95)
    nothing = cluster_bootstrap([math.nan, math.nan], ["a", "b"])
    assert math.isnan(nothing.mean)
    assert nothing.observations == 0
    assert [single.beyond_chance, nothing.beyond_chance] == [False, False]


def test_bootstrap_over_clips_of_unequal_length_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 12, 25)
    # Longer clips have larger values, so that a mean of means would be another number.
    clips = [(rng.normal(length, 2.0, length)).tolist() for length in lengths]
    values = [value for clip in clips for value in clip]
    owners = [number for number, clip in enumerate(clips) for _ in clip]
    interval = cluster_bootstrap(values, owners, seed=0, draws=20_000)
    low, high = loop_bootstrap(clips, 20_000, seed=1)
    assert interval.mean == pytest.approx(statistics.fmean(values), rel=1e-12)
    # An end is a percentile of 20,000 draws: known to 0.02 standard deviations of the mean, or 0.01 of ci95.
    assert interval.low == pytest.approx(low, abs=0.06 * interval.ci95)
    assert interval.high == pytest.approx(high, abs=0.06 * interval.ci95)
    assert interval.ci95 == pytest.approx((high - low) / 2, rel=0.05)


def test_bootstrap_over_clips_of_equal_length_is_scipys_of_their_means() -> None:
    values, clips = correlated(2, clips=20, frames=5)
    interval = cluster_bootstrap(values, clips, draws=20_000)
    means = values.reshape(20, 5).mean(1)
    expected = scipy.stats.bootstrap(
        (means,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (interval.low, interval.high) == pytest.approx(
        (expected.low, expected.high), abs=0.06 * (expected.high - expected.low) / 2
    )


def test_frames_that_are_clips_of_their_own_give_the_interval_over_frames() -> None:
    values = np.random.default_rng(4).normal(size=400)
    over_clips = cluster_bootstrap(values, range(400), draws=20_000)
    assert over_clips.ci95 == pytest.approx(confidence_interval(values).ci95, rel=0.05)


def test_the_bootstrap_over_clips_holds_the_truth_and_the_interval_over_frames_does_not() -> None:
    held = {"clips": 0, "frames": 0}
    for seed in range(300):
        values, clips = correlated(seed)
        over_clips, over_frames = cluster_bootstrap(values, clips, seed, draws=500), confidence_interval(values)
        assert over_clips.ci95 > 2 * over_frames.ci95
        held["clips"] += over_clips.low <= 0 <= over_clips.high
        held["frames"] += over_frames.low <= 0 <= over_frames.high
    # 95% in the limit of many clips, a little less with 30; 300 repetitions know it to 1.3%.
    assert 0.89 < held["clips"] / 300 < 0.98
    assert held["frames"] / 300 < 0.6


def test_the_same_seed_gives_the_same_interval() -> None:
    values, clips = correlated(5)
    assert cluster_bootstrap(values, clips, seed=7) == cluster_bootstrap(values, clips, seed=7)
    assert cluster_bootstrap(values, clips, seed=7) != cluster_bootstrap(values, clips, seed=8)


def test_clips_may_be_named_by_anything_even_by_a_tensor() -> None:
    values = torch.tensor([1.0, 2.0, 5.0, 6.0, 9.0, 7.0])
    numbers = [4, 4, 1, 1, 0, 0]
    expected = cluster_bootstrap(values, ["d", "d", "b", "b", "a", "a"])
    assert expected.observations == 3
    for clips in (numbers, tuple(numbers), np.array(numbers), torch.tensor(numbers)):
        assert cluster_bootstrap(values, clips) == expected


def test_frames_and_clips_without_a_value_are_left_out() -> None:
    values = [1.0, math.nan, 3.0, 5.0, math.nan, math.nan]
    clips = ["a", "a", "b", "b", "c", "c"]
    assert cluster_bootstrap(values, clips) == cluster_bootstrap([1.0, 3.0, 5.0], ["a", "b", "b"])
    assert cluster_bootstrap(values, clips).observations == 2
    assert bootstrap_over_clips([1.0, 8.0, 0.0], [1, 2, 0]) == bootstrap_over_clips([1.0, 8.0], [1, 2])


def test_a_small_difference_shows_where_both_methods_find_the_same_frames_hard() -> None:
    rng = np.random.default_rng(6)
    hardness, clips = correlated(7)
    worse = hardness + 0.05 + 0.1 * rng.normal(size=len(hardness))
    better = hardness
    assert not confidence_interval(worse - worse.mean() + 0.05).beyond_chance
    for interval in (paired_difference(worse, better), paired_difference(worse, better, clips)):
        assert interval.mean == pytest.approx(float(np.mean(worse - better)), rel=1e-9)
        assert interval.low > 0
        assert interval.beyond_chance
    assert paired_difference(better, worse, clips).high < 0
    assert not paired_difference(better, better, clips).beyond_chance


def test_a_pair_that_lacks_a_value_is_left_out() -> None:
    first, second = [3.0, math.nan, 5.0, 9.0], [1.0, 2.0, math.nan, 6.0]
    interval = paired_difference(first, second)
    assert interval.mean == 2.5
    assert interval.observations == 2


def test_the_difference_from_sums_is_the_paired_one_of_frames() -> None:
    rng = np.random.default_rng(8)
    lengths = rng.integers(2, 9, 15)
    clips = np.repeat(np.arange(15), lengths)
    first = rng.normal(size=len(clips)) + clips
    second = first - 0.3 + 0.2 * rng.normal(size=len(clips))
    sums = [
        ([float(values[clips == clip].sum()) for clip in range(15)], lengths.tolist()) for values in (first, second)
    ]
    by_sums, by_frames = bootstrap_difference(*sums, seed=3), paired_difference(first, second, clips, seed=3)
    assert (by_sums.mean, by_sums.low, by_sums.high) == pytest.approx((by_frames.mean, by_frames.low, by_frames.high))


def test_refuses_lengths_that_differ_and_values_that_are_not_one_a_frame() -> None:
    with pytest.raises(ValueError, match="2 values and 1 clips"):
        cluster_bootstrap([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="must be of the same frames, got 2 and 1"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="must be the same ones, got 2 and 1"):
        bootstrap_difference(([1.0, 2.0], [1, 1]), ([1.0], [1]))
    with pytest.raises(ValueError, match=r"one number a frame.*\(3, 1\)"):
        confidence_interval(np.zeros((3, 1)))


def test_a_clip_that_only_one_method_has_values_for_says_nothing_about_the_difference() -> None:
    # The first clip is missing in b: of a's values only those of the others count.
    difference = bootstrap_difference(([90.0, 2.0, 4.0], [3, 1, 2]), ([0.0, 1.0, 3.0], [0, 1, 2]))
    assert difference.mean == pytest.approx((2 + 4) / 3 - (1 + 3) / 3)
    assert difference.observations == 2
