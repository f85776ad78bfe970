"""The shipped weights: small, safe, and as good as their card says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prioritycut.checkpoint import load_animator, read_info, shipped_checkpoints
from prioritycut.data.clips import read_clip
from prioritycut.evaluation import average_precision, evaluate_on_puppets

ROOT = Path(__file__).parents[1]
CARD = ROOT / "docs" / "model-card-puppets.md"
FIGURES = json.loads((ROOT / "docs" / "model-card-puppets.json").read_text())


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
    for name in ("l1_moving", "copy_l1_moving", "ratio", "occlusion_average_precision", "occlusion_correlation"):
        assert f"{FIGURES[name]:.3f}" in text, name
    assert re.search(rf"\b{read_info('puppets').steps:,} steps\b", text)


def test_the_card_reports_what_the_weights_must_reach() -> None:
    assert FIGURES["clips"] == 64
    assert FIGURES["ratio"] <= 0.5
    assert FIGURES["occlusion_average_precision"] > 1.5 * FIGURES["occluded_share"]
    assert FIGURES["occlusion_correlation"] > 0.1


def test_on_a_few_held_out_clips_warping_beats_copying_and_the_map_finds_holes() -> None:
    figures = evaluate_on_puppets(load_animator("puppets"), size=64, clips=6, frames=16)
    assert figures.ratio < 0.65
    assert figures.occlusion_average_precision is not None
    assert figures.occlusion_average_precision > figures.occluded_share


@pytest.mark.slow
def test_the_card_is_reproduced_by_its_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prioritycut", "evaluate", "puppets", "--output", str(tmp_path / "card.json")]
    subprocess.run(command, check=True, capture_output=True)
    measured = json.loads((tmp_path / "card.json").read_text())
    assert measured.keys() == FIGURES.keys()
    for name, value in FIGURES.items():
        assert measured[name] == pytest.approx(value, rel=1e-3), name


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


def test_average_precision_of_a_worked_example() -> None:
    import torch

    # Ranked by score: found, missed, found, missed. Precision at the two finds: 1/1 and 2/3, each half of the recall.
    scores, positive = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([True, False, True, False])
    assert average_precision(scores, positive) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Without any order all share one step: the precision is the share of positives.
    assert average_precision(torch.zeros(4), positive) == pytest.approx(0.5)
