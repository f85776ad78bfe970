"""The shipped weights: small, safe, and as good as their card says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from prioritycut.checkpoint import read_info, shipped_checkpoints
from prioritycut.data.clips import read_clip
from prioritycut.evaluation.running import EvaluateOptions, InstrumentChoice, run_evaluation
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
