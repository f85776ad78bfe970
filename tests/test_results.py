"""Results: sums over frames and clips against numpy on all the values, and files that come back as they were."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from prioritycut.errors import UserError
from prioritycut.metrics import cluster_bootstrap, confidence_interval
from prioritycut.metrics.detectors.base import Tool
from prioritycut.results import (
    ClipResult,
    Problem,
    Result,
    Tally,
    better_end,
    load_result,
    pool,
    save_result,
    summarize,
    tally,
)


def clips_of_values(seed: int) -> list[np.ndarray]:
    """Per-frame values of clips of unequal length, some missing; one clip has none, one a single one."""
    rng = np.random.default_rng(seed)
    clips = [rng.normal(100 + clip, 1.0, rng.integers(2, 30)) for clip in range(8)]
    for values in clips:
        values[rng.uniform(size=len(values)) < 0.2] = math.nan
    return [*clips, np.full(3, math.nan), np.array([5.0])]


def example() -> Result:
    values = clips_of_values(0)
    clips = tuple(
        ClipResult(
            name=f"clip-{number}",
            frames=len(own),
            metrics={"L1": tally(own.tolist()), "AKD": tally(own.tolist(), failures=1, skipped=2)},
        )
        for number, own in enumerate(values)
    )
    return Result(
        kind="score",
        method="a method",
        dataset="ten faces",
        size=(64, 48),
        created="2024-01-01T00:00:00+00:00",
        settings={"protocol": "reference", "seed": 0, "first_frame": True, "share": 0.5, "masks": None},
        versions={"prioritycut": "0.1.0"},
        tools=(Tool(role="keypoints", name="dlib", version="20"),),
        summaries=summarize(clips, {"AKD": "dlib 20"}),
        clips=clips,
        problems=(Problem(clip="clip-8", fault="nothing was found", scored=True),),
    )


def test_a_tally_is_numpys_count_mean_and_squared_deviations() -> None:
    for values in clips_of_values(1):
        kept = values[~np.isnan(values)]
        summed = tally(values.tolist(), failures=3, skipped=4)
        assert (summed.frames, summed.failures, summed.skipped) == (len(kept), 3, 4)
        if len(kept):
            assert summed.mean == pytest.approx(kept.mean(), rel=1e-12)
            assert summed.spread == pytest.approx(((kept - kept.mean()) ** 2).sum(), rel=1e-9)
        else:
            assert summed.mean is None


def test_pooled_tallies_are_the_tally_of_all_frames() -> None:
    values = clips_of_values(2)
    pooled = pool(tally(own.tolist(), failures=1, skipped=2) for own in values)
    together = np.concatenate(values)
    kept = together[~np.isnan(together)]
    assert (pooled.frames, pooled.failures, pooled.skipped) == (len(kept), 10, 20)
    assert pooled.mean == pytest.approx(kept.mean(), rel=1e-12)
    assert pooled.spread == pytest.approx(len(kept) * kept.var(), rel=1e-9)


def test_a_pool_of_nothing_has_no_mean_and_keeps_its_failures() -> None:
    assert pool([]) == Tally(frames=0, mean=None)
    empty = pool([tally([math.nan], failures=1), tally([], skipped=2)])
    assert empty == Tally(frames=0, mean=None, failures=1, skipped=2)


def test_a_summary_has_the_intervals_of_all_its_frames_and_clips() -> None:
    values = clips_of_values(3)
    clips = [
        ClipResult(name=str(n), frames=len(own), metrics={"PSNR_all": tally(own.tolist(), failures=n)})
        for n, own in enumerate(values)
    ]
    (summary,) = summarize(clips, {}, seed=5)
    together = np.concatenate(values)
    owners = [n for n, own in enumerate(values) for _ in own]
    over_frames, over_clips = confidence_interval(together), cluster_bootstrap(together, owners, seed=5)
    assert (summary.mean, summary.ci95) == pytest.approx((over_frames.mean, over_frames.ci95), rel=1e-9)
    assert (summary.clip_low, summary.clip_high) == pytest.approx((over_clips.low, over_clips.high), rel=1e-9)
    assert (summary.frames, summary.clips) == (over_frames.observations, 9)
    assert (summary.failures, summary.better, summary.tool) == (sum(range(10)), "higher", None)


def test_a_metric_that_few_clips_have_is_summed_over_those() -> None:
    clips = [
        ClipResult(name="a", frames=2, metrics={"L1": tally([1.0, 2.0]), "AED": tally([4.0])}),
        ClipResult(name="b", frames=1, metrics={"L1": tally([3.0])}),
        ClipResult(name="c", frames=1, metrics={"AED": tally([math.nan], failures=1)}),
    ]
    first, second = summarize(clips, {"AED": "puppets 1"})
    assert (first.key, first.mean, first.clips, first.tool) == ("L1", pytest.approx(2.0), 2, None)
    assert (second.key, second.mean, second.clips, second.tool) == ("AED", 4.0, 1, "puppets 1")
    assert (second.ci95, second.clip_low, second.clip_high, second.failures) == (None, None, None, 1)


@pytest.mark.parametrize(
    ("key", "end"),
    [
        ("L1", "lower"),
        ("AKD_corrected", "lower"),
        ("MKR", "lower"),
        ("AED", "lower"),
        ("PSNR_top_10", "higher"),
        ("SSIM_nonsalient", "higher"),
        ("area_salient", "neither"),
    ],
)
def test_each_metric_has_its_good_end(key: str, end: str) -> None:
    assert better_end(key) == end


def test_a_result_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    result = example()
    save_result(tmp_path / "deep" / "result.json", result)
    again = load_result(tmp_path / "deep" / "result.json")
    assert again == result
    summary = again.summary("AKD")
    assert summary is not None
    assert summary.tool == "dlib 20"
    assert again.summary("MKR") is None
    save_result(tmp_path / "again.json", again)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "deep" / "result.json").read_bytes()


def test_refuses_files_that_are_no_result(tmp_path: Path) -> None:
    save_result(tmp_path / "good.json", example())
    content = json.loads((tmp_path / "good.json").read_text())
    path = tmp_path / "bad.json"
    for change, fault in (
        ({"format": "prioritycut-result-9"}, "format"),
        ({"kind": "guess"}, "kind"),
        ({"colour": "blue"}, "unknown field colour"),
        ({"size": "large"}, "size"),
        ({"clips": [{**content["clips"][0], "nmae": "a"}]}, r"unknown field clips\.0\.nmae"),
    ):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(UserError, match=fault) as caught:
            load_result(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    for text in ("", "{", "[]", (tmp_path / "good.json").read_text()[:500]):
        path.write_text(text)
        with pytest.raises(UserError, match=r"bad\.json"):
            load_result(path)
    with pytest.raises(UserError, match=r"missing\.json: no such file; give a JSON"):
        load_result(tmp_path / "missing.json")
    with pytest.raises(UserError, match="cannot be read as text"):
        load_result(tmp_path)
