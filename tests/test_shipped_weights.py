"""The shipped weights: small, safe, and as good as their card says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from prioritycut.checkpoint import read_info, shipped_checkpoints
from prioritycut.data.clips import read_clip
from prioritycut.evaluation.running import EvaluateOptions, InstrumentChoice, run_evaluation
from prioritycut.presets import PRESETS
from prioritycut.results import Result, load_result

ROOT = Path(__file__).parents[1]
CARD = ROOT / "docs" / "model-card-puppets.md"
FIGURES = load_result(ROOT / "docs" / "model-card-puppets.json")
NO_DETECTORS = InstrumentChoice(keypoints="none", identity="none", salient="none", baseline="none")


def mean(result: Result, key: str) -> float:
    row = result.summary(key)
    assert row is not None
    assert row.mean is not None
    return row.mean


def ratio_to_copying(result: Result) -> float:
    return mean(result, "L1_moving") / mean(result, "L1_moving_copy")


def test_the_file_is_at_most_eight_megabytes() -> None:
    assert shipped_checkpoints()["puppets"].stat().st_size <= 8_000_000


def test_the_weights_say_what_they_were_trained_on() -> None:
    info = read_info("puppets")
    assert info.trained_on == "puppets"
    assert info.source == "puppets-64-prioritycut"
    assert info.steps > 0
    assert info.model.align_corners


def test_the_card_quotes_its_figures() -> None:
    text = CARD.read_text()
    for row in FIGURES.summaries:
        if row.key.startswith(("L1", "occlusion", "PSNR_all", "SSIM_all", "AKD", "MKR", "AED")):
            assert row.mean is not None
            assert f"{row.mean:.3f}" in text, row.key
    assert f"{ratio_to_copying(FIGURES):.3f}" in text
    assert re.search(rf"\b{read_info('puppets').steps:,} steps\b", text)


def test_the_card_reports_what_the_weights_must_reach() -> None:
    assert FIGURES.settings["clips"] == 64
    assert ratio_to_copying(FIGURES) <= 0.5
    assert mean(FIGURES, "occlusion_average_precision") > 1.5 * mean(FIGURES, "area_occluded")
    assert mean(FIGURES, "occlusion_correlation") > 0.1


def test_on_a_few_held_out_clips_warping_beats_copying_and_the_map_finds_holes() -> None:
    figures = run_evaluation(EvaluateOptions(checkpoint="puppets", clips=6, frames=16, instruments=NO_DETECTORS))
    assert ratio_to_copying(figures) < 0.65
    assert mean(figures, "occlusion_average_precision") > mean(figures, "area_occluded")


@pytest.mark.slow
def test_the_card_is_reproduced_by_its_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prioritycut", "evaluate", "puppets", "puppets", str(tmp_path / "card.json")]
    subprocess.run(command, check=True, capture_output=True)
    measured = load_result(tmp_path / "card.json")
    assert [row.key for row in measured.summaries] == [row.key for row in FIGURES.summaries]
    assert [tool.label for tool in measured.tools] == [tool.label for tool in FIGURES.tools]
    for row in FIGURES.summaries:
        assert mean(measured, row.key) == pytest.approx(row.mean, rel=2e-3, abs=1e-6), row.key


FIVE = ("x2face", "monkey-net", "fomm", "fomm-plus", "prioritycut")


def test_the_five_systems_are_small_and_were_trained_for_equal_steps_on_equal_data() -> None:
    shipped = shipped_checkpoints()
    assert all(shipped[f"five/{name}"].stat().st_size <= 4_000_000 for name in FIVE)
    infos = [read_info(f"five/{name}") for name in FIVE]
    assert {info.steps for info in infos} == {1000}
    assert [info.source for info in infos] == [f"puppets-64-{name}" for name in FIVE]
    data = {PRESETS[info.source].data for info in infos}
    assert len(data) == 1
    assert len({PRESETS[info.source].batch_size for info in infos}) == 1


def test_the_table_of_the_five_quotes_its_figures() -> None:
    rows = [line for line in (ROOT / "docs" / "five-systems.md").read_text().splitlines() if line.startswith("| ")]
    for name, row in zip(FIVE, rows[1:], strict=False):
        result = load_result(ROOT / "docs" / "five" / f"{name}.json")
        assert result.method == name
        for key, digits in (("L1", 4), ("PSNR_all", 2), ("SSIM_all", 3), ("AKD_corrected", 2), ("AED", 3)):
            summary = result.summary(key)
            assert summary is not None
            ends = f"[{summary.clip_low:.{digits}f}, {summary.clip_high:.{digits}f}]"
            assert f"{mean(result, key):.{digits}f} {ends}" in row, (name, key)


@pytest.mark.parametrize("name", FIVE)
def test_each_of_the_five_is_measured_as_its_table_says(name: str) -> None:
    figures = run_evaluation(EvaluateOptions(checkpoint=f"five/{name}", clips=3, frames=32, instruments=NO_DETECTORS))
    whole = load_result(ROOT / "docs" / "five" / f"{name}.json").summary("L1")
    assert whole is not None
    assert whole.mean is not None
    # Three clips of the sixty-four: near the table's mean, far from another system's order of magnitude.
    assert 0.5 * whole.mean < mean(figures, "L1") < 2 * whole.mean


def test_the_demo_makes_both_videos_and_says_where(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("animated.mp4", "animated-explain.mp4"):
        assert str(tmp_path / name) in done.stdout
        assert read_clip(tmp_path / name).shape[0] == 75
