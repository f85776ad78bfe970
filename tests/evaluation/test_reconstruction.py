"""The paper's protocol, on animators whose answers are known."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from animators import Echo, clip_of
from prioritycut.errors import UserError
from prioritycut.evaluation import testsets
from prioritycut.evaluation.instruments import Instruments
from prioritycut.evaluation.ledger import ledger_path
from prioritycut.evaluation.masks import Baseline, ClipMasks, SalientMasks
from prioritycut.evaluation.measurement import ScoredBatch, ScoredClip, Subject, measure_clip, measure_clips
from prioritycut.evaluation.protocol import Protocol
from prioritycut.evaluation.reconstructing import reconstructor
from prioritycut.evaluation.reconstruction import reconstructed
from prioritycut.metrics.detectors.base import Tool
from prioritycut.results import load_result

SUBJECT = Subject(kind="reconstruction", method="echo", dataset="clips", version="1", settings={}, versions={})


def scored(name: str, frames: torch.Tensor, animator: Echo, batch_size: int = 4) -> ScoredClip:
    clip = clip_of(name, frames)
    return ScoredClip(name, lambda: reconstructed(clip, reconstructor(animator), batch_size))


def test_the_source_is_the_first_frame_and_every_frame_drives(moving: torch.Tensor) -> None:
    animator = Echo()
    outputs = list(reconstructed(clip_of("a", moving), reconstructor(animator), 4))
    assert [len(part.prediction) for part in outputs] == [4, 2]
    assert all(torch.equal(source, moving[:1].expand(len(source), -1, -1, -1)) for source in animator.sources)
    assert torch.equal(torch.cat([part.target.frames for part in outputs]), moving)


def test_an_exact_reconstruction_has_no_error_and_the_highest_scores(moving: torch.Tensor) -> None:
    entry = measure_clip(scored("a", moving, Echo()), Instruments(), Protocol())
    assert entry.result is not None
    assert entry.result.metrics["L1"].mean == 0
    assert entry.result.metrics["PSNR_all"].mean == pytest.approx(100)  # the floor of the error, 1e-10
    assert entry.result.metrics["SSIM_all"].mean == pytest.approx(1)


def test_a_constant_offset_is_measured_as_it_is_by_l1_and_cut_off_to_a_level_for_psnr(moving: torch.Tensor) -> None:
    # 3.6 levels: L1 sees them, the file that PSNR sees has 3.
    entry = measure_clip(scored("a", moving, Echo(offset=3.6 / 255)), Instruments(), Protocol())
    assert entry.result is not None
    assert entry.result.metrics["L1"].mean == pytest.approx(3.6 / 255, rel=1e-5)
    assert entry.result.metrics["PSNR_all"].mean == pytest.approx(-20 * math.log10(3 / 255), rel=1e-6)
    exact = measure_clip(scored("a", moving, Echo(offset=3.6 / 255)), Instruments(), Protocol(levels="float"))
    assert exact.result is not None
    assert exact.result.metrics["PSNR_all"].mean == pytest.approx(-20 * math.log10(3.6 / 255), rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_the_first_frame_is_scored_unless_it_is_skipped(moving: torch.Tensor, batch_size: int) -> None:
    clip = scored("a", moving, Echo(), batch_size)
    for skip, frames in ((False, 6), (True, 5)):
        entry = measure_clip(clip, Instruments(), Protocol(skip_first=skip, batch_size=batch_size))
        assert entry.result is not None
        assert entry.result.frames == entry.result.metrics["L1"].frames == frames


def test_salient_metrics_look_only_inside_the_mask(moving: torch.Tensor) -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :4] = 1  # a quarter of the frame

    def begin(name: str):
        return ClipMasks(lambda batch: mask.expand(len(batch.frames), -1, -1, -1))

    masks = SalientMasks(Tool(role="salient", name="left", version="1"), begin)
    entry = measure_clip(scored("a", moving, Echo(offset=5 / 255)), Instruments(salient=masks), Protocol())
    assert entry.result is not None
    metrics = entry.result.metrics
    assert metrics["area_salient"].mean == 0.25
    whole = (5 / 255) ** 2
    # A masked error is averaged over all pixels, so inside and outside add up to the whole.
    assert metrics["PSNR_salient"].mean == pytest.approx(-10 * math.log10(whole / 4), rel=1e-4)
    assert metrics["PSNR_nonsalient"].mean == pytest.approx(-10 * math.log10(whole * 3 / 4), rel=1e-4)


def test_the_most_occluded_pixels_are_chosen_by_the_baseline_and_their_share_is_exact(moving: torch.Tensor) -> None:
    occlusion = torch.linspace(0, 1, 256).view(1, 1, 16, 16)  # the upper rows are the most occluded
    baseline = Baseline(Tool(role="top-p", name="b", version="1"), reconstructor(Echo(occlusion=occlusion)), 16)
    animator = Echo(offset=5 / 255)
    entry = measure_clip(scored("a", moving, animator), Instruments(baseline=baseline), Protocol())
    assert entry.result is not None
    for share in (10, 20, 30, 40, 50):
        area = math.floor(share * 256 / 100) / 256
        assert entry.result.metrics[f"area_top_{share}"].mean == pytest.approx(area)
        found = entry.result.metrics[f"PSNR_top_{share}"].mean
        assert found == pytest.approx(-10 * math.log10((5 / 255) ** 2 * area), rel=1e-3)


def test_a_broken_clip_is_named_and_the_others_are_scored(moving: torch.Tensor, tmp_path: Path) -> None:
    def broken():
        yield from itertools.islice(reconstructed(clip_of("b", moving), reconstructor(Echo()), 2), 1)
        raise UserError("b.mp4: damaged after frame 2; copy it anew")

    clips = [scored("a", moving, Echo()), ScoredClip("b", broken), scored("c", moving, Echo())]
    result = measure_clips(clips, SUBJECT, Instruments(), Protocol(), output=tmp_path / "out.json")
    assert [clip.name for clip in result.clips] == ["a", "c"]
    assert [(problem.clip, problem.scored) for problem in result.problems] == [("b", False)]
    assert "damaged after frame 2" in result.problems[0].fault
    assert load_result(tmp_path / "out.json") == result


def test_nothing_that_can_be_scored_is_an_error_that_names_the_first_fault(tmp_path: Path) -> None:
    def broken():
        raise UserError("b.mp4: damaged; copy it anew")
        yield

    with pytest.raises(UserError, match=r"not one clip could be scored; the first of 1 faults: b\.mp4: damaged"):
        measure_clips([ScoredClip("b", broken)], SUBJECT, Instruments(), Protocol(), output=tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []


def test_after_a_kill_no_clip_is_computed_twice_and_the_result_is_that_of_an_unbroken_run(
    moving: torch.Tensor, tmp_path: Path
) -> None:
    opened = list[str]()

    def clips(stop_at: str | None) -> list[ScoredClip]:
        def batches(name: str, number: int):
            opened.append(name)
            if name == stop_at:
                raise KeyboardInterrupt
            yield from reconstructed(clip_of(name, moving), reconstructor(Echo(offset=number / 100)), 4)

        return [ScoredClip(name, lambda name=name, n=n: batches(name, n)) for n, name in enumerate("abcd")]

    unbroken = measure_clips(clips(None), SUBJECT, Instruments(), Protocol(), output=tmp_path / "unbroken.json")
    opened.clear()
    with pytest.raises(KeyboardInterrupt):
        measure_clips(clips("c"), SUBJECT, Instruments(), Protocol(), output=tmp_path / "out.json")
    assert opened == ["a", "b", "c"]
    assert not (tmp_path / "out.json").exists()
    opened.clear()
    result = measure_clips(clips(None), SUBJECT, Instruments(), Protocol(), output=tmp_path / "out.json")
    assert opened == ["c", "d"]
    assert (result.clips, result.summaries) == (unbroken.clips, unbroken.summaries)
    assert not ledger_path(tmp_path / "out.json").exists()


def test_a_clip_with_a_fault_is_tried_again(moving: torch.Tensor, tmp_path: Path) -> None:
    def once(broken: bool):
        if broken:
            raise UserError("a: damaged; copy it anew")
        yield from reconstructed(clip_of("a", moving), reconstructor(Echo()), 4)

    def clips(broken: bool, stop: bool) -> list[ScoredClip]:
        def second():
            if stop:
                raise KeyboardInterrupt
            yield from reconstructed(clip_of("b", moving), reconstructor(Echo()), 4)

        return [ScoredClip("a", lambda: once(broken)), ScoredClip("b", second)]

    with pytest.raises(KeyboardInterrupt):
        measure_clips(clips(True, True), SUBJECT, Instruments(), Protocol(), output=tmp_path / "out.json")
    result = measure_clips(clips(False, False), SUBJECT, Instruments(), Protocol(), output=tmp_path / "out.json")
    assert [clip.name for clip in result.clips] == ["a", "b"]
    assert result.problems == ()


def test_the_interval_over_frames_is_that_of_all_frames_together(moving: torch.Tensor) -> None:
    offsets = (0.01, 0.02, 0.05)
    clips = [scored(str(offset), moving, Echo(offset=offset)) for offset in offsets]
    result = measure_clips(clips, SUBJECT, Instruments(), Protocol())
    row = result.summary("L1")
    values = np.repeat(offsets, len(moving))
    assert row is not None
    assert row.mean is not None
    assert row.mean == pytest.approx(values.mean(), rel=1e-5)
    assert row.ci95 == pytest.approx(1.96 * values.std(ddof=1) / math.sqrt(len(values)), rel=1e-4)
    assert row.clip_low is not None
    assert row.clip_high is not None
    assert row.clip_low < row.mean < row.clip_high


def test_a_model_that_draws_no_numbers_has_no_better_mean_for_it(moving: torch.Tensor) -> None:
    def diverging():
        for part in reconstructed(clip_of("a", moving), reconstructor(Echo()), 6):
            part.prediction[2] = math.nan
            yield part

    entry = measure_clip(ScoredClip("a", diverging), Instruments(), Protocol())
    assert entry.result is None
    assert "frame 2 of the prediction holds what is no number" in entry.problems[0].fault


def test_a_baseline_sees_all_of_a_wide_frame_and_its_maps_lie_where_they_belong() -> None:
    wide = torch.linspace(0, 1, 32).expand(2, 3, 16, 32)  # brighter to the right
    occlusion = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)  # the left columns are the most occluded
    animator = Echo(occlusion=occlusion)
    baseline = Baseline(Tool(role="top-p", name="b", version="1"), reconstructor(animator), 16)
    damaged = wide.clone()
    damaged[..., :8] = 1

    def batches():
        yield ScoredBatch(testsets.TestBatch(wide, (16, 32)), damaged, wide[0])

    protocol = Protocol(top_percentages=(25,), levels="float")
    entry = measure_clip(ScoredClip("a", batches), Instruments(baseline=baseline), protocol)
    assert entry.result is not None
    # What is wrong lies in the left quarter of the frame.
    assert entry.result.metrics["PSNR_nontop_25"].mean == pytest.approx(100)
    # The baseline saw both ends of the frame, which a crop to the middle would have cut off.
    assert animator.sources[0][..., 0].max() < 0.05
    assert animator.sources[0][..., -1].min() > 0.95
