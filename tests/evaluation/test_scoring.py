"""Clips by any method against their targets: what can be scored is, what cannot is named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from prioritycut.data.clips import write_clip
from prioritycut.errors import UserError
from prioritycut.evaluation import testsets
from prioritycut.evaluation.instruments import Instruments
from prioritycut.evaluation.measurement import ScoredBatch, ScoredClip, Subject, measure_clips
from prioritycut.evaluation.protocol import Protocol
from prioritycut.evaluation.running import InstrumentChoice, ScoreOptions, run_scoring
from prioritycut.metrics.detectors.base import Tool
from prioritycut.results import Result, load_result


def write(folder: Path, name: str, frames: torch.Tensor, *, rate: int = 25) -> None:
    if name.endswith("/"):  # a folder of png whose name has a dot
        (folder / name).mkdir(parents=True)
    write_clip(folder / name, frames, rate=Fraction(rate))


def score(folder: Path, **changes: object) -> Result:
    places = {"predictions": folder / "made", "targets": folder / "truth", "output": folder / "out.json"}
    return run_scoring(ScoreOptions(**(places | changes)))


def test_clips_are_matched_by_their_names_up_to_the_first_dot(moving: torch.Tensor, tmp_path: Path) -> None:
    write(tmp_path / "truth", "person#1", moving)
    write(tmp_path / "made", "person#1.mp4.frames/", moving + 8 / 255)
    result = score(tmp_path)
    assert [clip.name for clip in result.clips] == ["person#1"]
    # Folders of png are lossless, so the error is the offset: 8 levels.
    row = result.summary("PSNR_all")
    assert row is not None
    assert row.mean == pytest.approx(-20 * math.log10(8 / 255), rel=1e-6)
    assert result.problems == ()


def test_what_differs_in_length_or_size_or_has_no_partner_is_named_and_the_rest_is_scored(
    moving: torch.Tensor, tmp_path: Path
) -> None:
    for name in ("good", "short", "long", "small", "alone"):
        write(tmp_path / "truth", name, moving)
    write(tmp_path / "made", "good", moving)
    write(tmp_path / "made", "short", moving[:4])
    write(tmp_path / "made", "long", torch.cat([moving, moving]))
    write(tmp_path / "made", "small", moving[..., :8])
    write(tmp_path / "made", "stranger", moving)
    result = score(tmp_path)
    assert [clip.name for clip in result.clips] == ["good"]
    faults = {problem.clip: problem.fault for problem in result.problems}
    assert faults.keys() == {"short", "long", "small", "alone", "stranger"}
    assert "fewer frames than its target" in faults["short"]
    assert "more frames than its target" in faults["long"]
    assert "8x16, its target 16x16" in faults["small"]
    assert "no prediction" in faults["alone"]
    assert "no target" in faults["stranger"]
    assert not any(problem.scored for problem in result.problems)


@pytest.mark.parametrize("extra", [3, 4, 5])
def test_a_length_that_ends_on_a_batch_is_noticed_too(moving: torch.Tensor, tmp_path: Path, extra: int) -> None:
    write(tmp_path / "truth", "a", torch.cat([moving] * 3)[:16])
    write(tmp_path / "made", "a", torch.cat([moving] * 4)[: 16 + extra])
    with pytest.raises(UserError, match="more frames than its target"):
        score(tmp_path)


def test_another_rate_is_a_reservation(moving: torch.Tensor, tmp_path: Path) -> None:
    # Drawn larger, for an encoder of video wants more than 16 pixels.
    large = moving.repeat_interleave(4, 2).repeat_interleave(4, 3)
    write(tmp_path / "truth", "a.mp4", large, rate=25)
    write(tmp_path / "made", "a.mp4", large, rate=30)
    result = score(tmp_path)
    assert len(result.clips) == 1
    assert [problem.scored for problem in result.problems] == [True]
    assert "30 frames a second, its target at 25" in result.problems[0].fault


def test_a_broken_clip_in_the_middle_is_named(moving: torch.Tensor, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        large = moving.repeat_interleave(4, 2).repeat_interleave(4, 3)
        write(tmp_path / "truth", name, large)
        write(tmp_path / "made", name, large)
    path = tmp_path / "made" / "b.mp4"
    path.write_bytes(path.read_bytes()[:300])
    result = score(tmp_path)
    assert [clip.name for clip in result.clips] == ["a.mp4", "c.mp4"]
    assert [problem.clip for problem in result.problems] == ["b.mp4"]
    assert "b.mp4" in result.problems[0].fault


def test_two_clips_of_one_name_are_told(moving: torch.Tensor, tmp_path: Path) -> None:
    write(tmp_path / "truth", "a", moving)
    write(tmp_path / "made", "a", moving)
    write(tmp_path / "made", "a.x/", moving)
    result = score(tmp_path)
    assert len(result.clips) == 1
    assert "has the name of a up to the first dot" in result.problems[0].fault


def test_masks_of_ones_own_are_used_and_one_that_does_not_fit_costs_only_its_metrics(
    moving: torch.Tensor, tmp_path: Path
) -> None:
    mask = torch.zeros_like(moving)
    mask[:, :, :8] = 1
    for name in ("a", "b", "c", "d"):
        write(tmp_path / "truth", name, moving)
        write(tmp_path / "made", name, moving + 8 / 255)
    write(tmp_path / "masks", "a", mask)
    write(tmp_path / "masks", "b", mask[..., :8])
    write(tmp_path / "masks", "c", mask[:3])
    for side in ("truth", "made"):
        write(tmp_path / side, "e", moving)
    write(tmp_path / "masks", "e", torch.cat([mask, mask]))
    result = score(tmp_path, instruments=InstrumentChoice(masks=tmp_path / "masks"))
    metrics = {clip.name: clip.metrics for clip in result.clips}
    assert metrics["a"]["area_salient"].mean == 0.5
    assert metrics["a"]["PSNR_salient"].mean == pytest.approx(-10 * math.log10((8 / 255) ** 2 / 2), rel=1e-5)
    assert not any("salient" in key for name in "bcde" for key in metrics[name])
    assert all("PSNR_all" in metrics[name] for name in "abcde")
    faults = {problem.clip: problem.fault for problem in result.problems}
    assert "masks of 8x16 for frames of 16x16" in faults["b"]
    assert "fewer masks than the clip has frames" in faults["c"]
    assert "no masks for d" in faults["d"]
    assert "more masks than the clip has frames" in faults["e"]
    assert all(problem.scored for problem in result.problems)


def test_frames_whose_mask_is_empty_are_left_out_and_counted(moving: torch.Tensor, tmp_path: Path) -> None:
    mask = torch.zeros_like(moving)
    mask[:2] = 1
    write(tmp_path / "truth", "a", moving)
    write(tmp_path / "made", "a", moving + 8 / 255)
    write(tmp_path / "masks", "a", mask)
    row = score(tmp_path, instruments=InstrumentChoice(masks=tmp_path / "masks")).summary("PSNR_salient")
    assert row is not None
    assert (row.frames, row.skipped) == (2, 4)


@pytest.mark.parametrize("side", ["made", "truth"])
def test_an_empty_or_missing_folder_is_an_error(moving: torch.Tensor, tmp_path: Path, side: str) -> None:
    other = "truth" if side == "made" else "made"
    write(tmp_path / other, "a", moving)
    with pytest.raises(UserError, match=f"{side}: no such folder"):
        score(tmp_path)
    (tmp_path / side).mkdir()
    with pytest.raises(UserError, match=f"{side}: holds no clips"):
        score(tmp_path)
    assert not (tmp_path / "out.json").exists()


def test_names_that_never_match_are_an_error(moving: torch.Tensor, tmp_path: Path) -> None:
    write(tmp_path / "truth", "a", moving)
    write(tmp_path / "made", "b", moving)
    with pytest.raises(UserError, match="not one clip could be scored"):
        score(tmp_path)


def test_a_perfect_copy_scores_perfectly_at_another_size_too(moving: torch.Tensor, tmp_path: Path) -> None:
    write(tmp_path / "truth", "a", moving)
    write(tmp_path / "made", "a", moving)
    result = score(tmp_path, size=12)
    means = {row.key: row.mean for row in result.summaries}
    assert means == {"L1": 0.0, "PSNR_all": pytest.approx(100), "SSIM_all": pytest.approx(1)}


def test_frames_too_small_for_ssim_are_named_and_the_rest_is_scored(moving: torch.Tensor, tmp_path: Path) -> None:
    for side in ("truth", "made"):
        write(tmp_path / side, "a", moving[..., :6])
        write(tmp_path / side, "b", moving)
    result = score(tmp_path)
    assert [clip.name for clip in result.clips] == ["b"]
    assert "6x16; SSIM with uniform7 needs at least 7x7" in result.problems[0].fault


def test_masks_are_cropped_as_their_frames_are(moving: torch.Tensor, tmp_path: Path) -> None:
    # Frames of 8 columns and 16 rows, of which rows 4 to 11 remain; the size wanted is their width already.
    mask = torch.zeros_like(moving)
    mask[:, :, :8] = 1
    for side, frames in (("truth", moving), ("made", moving), ("masks", mask)):
        write(tmp_path / side, "a", frames[..., :8])
    result = score(tmp_path, size=8, instruments=InstrumentChoice(masks=tmp_path / "masks"))
    area = result.summary("area_salient")
    assert area is not None
    assert area.mean == 0.5


def test_masks_of_the_same_folder_name_are_different_tools_if_they_differ(moving: torch.Tensor, tmp_path: Path) -> None:
    write(tmp_path / "truth", "a", moving)
    write(tmp_path / "made", "a", moving)
    labels = list[str]()
    for number, rows in enumerate((8, 8, 4)):
        mask = torch.zeros_like(moving)
        mask[:, :, :rows] = 1
        write(tmp_path / str(number) / "masks", "a", mask)
        result = score(tmp_path, instruments=InstrumentChoice(masks=tmp_path / str(number) / "masks"))
        labels.append(result.tools[0].label)
    assert labels[0] == labels[1] != labels[2]


def test_a_broken_off_scoring_is_not_gone_on_with_on_other_data_of_the_same_name(
    moving: torch.Tensor, tmp_path: Path
) -> None:
    for number in ("1", "2"):
        write(tmp_path / number / "truth", "a", moving)
        write(tmp_path / number / "truth", "b", moving)
    for name in ("a", "b"):
        write(tmp_path / "made", name, moving)

    def run(number: str, advance) -> None:
        run_scoring(
            ScoreOptions(
                predictions=tmp_path / "made", targets=tmp_path / number / "truth", output=tmp_path / "out.json"
            ),
            advance=advance,
        )

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("1", stop)
    with pytest.raises(UserError, match="the beginning of another evaluation"):
        run("2", lambda done, total: None)


def test_a_name_that_is_no_utf8_is_scored_under_a_readable_one(moving: torch.Tensor, tmp_path: Path) -> None:
    for name in ("caf\udce9", "broken\udce9"):  # as a Latin-1 e with an accent comes out of a file system
        try:
            write(tmp_path / "truth", name, moving)
        except OSError:
            pytest.skip("this file system takes names in UTF-8 only")
        write(tmp_path / "made", name, moving if name.startswith("caf") else moving[:4])
    write(tmp_path / "made", "stranger\udce9", moving)
    result = score(tmp_path)
    assert [clip.name for clip in load_result(tmp_path / "out.json").clips] == [clip.name for clip in result.clips]
    assert [clip.name for clip in result.clips] == ["caf\ufffd"]
    assert {problem.clip for problem in result.problems} == {"broken\ufffd", "stranger\ufffd"}


@pytest.mark.parametrize("place", ["truth", "made/a/000000.png", "notes.txt"])
def test_an_output_that_would_replace_something_else_is_refused_before_anything_is_done(
    moving: torch.Tensor, tmp_path: Path, place: str
) -> None:
    write(tmp_path / "truth", "a", moving)
    write(tmp_path / "made", "a", moving)
    (tmp_path / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert tmp_path / "made/a/000000.png" in before
    with pytest.raises(UserError, match=r"a folder; name a file in it|is there already and no result"):
        score(tmp_path, output=tmp_path / place)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_result_is_replaced_by_its_successor(moving: torch.Tensor, tmp_path: Path) -> None:
    for side in ("truth", "made"):
        write(tmp_path / side, "a", moving)
    first = score(tmp_path)
    write(tmp_path / "truth", "b", moving)
    write(tmp_path / "made", "b", moving)
    assert (len(first.clips), len(score(tmp_path).clips)) == (1, 2)


def test_a_clip_that_was_scored_with_a_reservation_is_not_scored_again(moving: torch.Tensor, tmp_path: Path) -> None:
    opened = list[str]()

    def clip(name: str) -> ScoredClip:
        def batches() -> Iterator[ScoredBatch]:
            opened.append(name)
            if name == "b" and opened.count("b") == 1:
                raise KeyboardInterrupt
            yield ScoredBatch(testsets.TestBatch(moving, (16, 16)), moving, moving[0])

        return ScoredClip(name, batches, reservations=lambda: (f"{name}: another rate",))

    subject = Subject(kind="score", method="m", dataset="d", version="", settings={}, versions={})
    clips = [clip(name) for name in "abc"]
    with pytest.raises(KeyboardInterrupt):
        measure_clips(clips, subject, Instruments(), Protocol(), output=tmp_path / "out.json")
    result = measure_clips(clips, subject, Instruments(), Protocol(), output=tmp_path / "out.json")
    assert opened == ["a", "b", "b", "c"]
    assert [problem.fault for problem in result.problems] == [f"{name}: another rate" for name in "abc"]


def test_a_clip_on_which_a_detector_is_silent_is_named(moving: torch.Tensor, tmp_path: Path) -> None:
    class Blind:
        tool = Tool(role="keypoints", name="blind", version="1")

        def __call__(self, frames: torch.Tensor) -> torch.Tensor:
            return torch.full((len(frames), 3, 2), torch.nan)

    subject = Subject(kind="score", method="m", dataset="d", version="", settings={}, versions={})
    clip = ScoredClip("a", lambda: iter([ScoredBatch(testsets.TestBatch(moving, (16, 16)), moving, moving[0])]))
    result = measure_clips([clip], subject, Instruments(keypoints=Blind()), Protocol())
    (problem,) = result.problems
    assert problem.scored
    assert problem.fault == "a: no AKD, for blind 1 found nothing in 6 target and 0 predicted frames of 6"
