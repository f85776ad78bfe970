"""Copies that are worse in known ways: each metric must put them in order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prioritycut.data.clips import write_clip
from prioritycut.data.puppets import generate_puppets
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.evaluation.running import InstrumentChoice, ScoreOptions, run_scoring
from prioritycut.results import Result

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "faces"
sys.path.insert(0, str(ROOT / "examples"))
COPIES = ("reencoded", "blurred", "shifted", "swapped")

Scores = dict[str, Result]


def mean(result: Result, key: str) -> float:
    row = result.summary(key)
    assert row is not None
    assert row.mean is not None
    return row.mean


def score_copies(folder: Path, clips: str, tools: InstrumentChoice, *, frames: int, size: int, limit: int) -> Scores:
    from degraded_copies import write_copies

    write_copies(clips, folder, frames=frames, size=size, limit=limit)
    return {
        copy: run_scoring(
            ScoreOptions(
                predictions=folder / copy, targets=folder / "targets", output=folder / f"{copy}.json", instruments=tools
            )
        )
        for copy in COPIES
    }


def assert_pictures_in_order(scores: Scores, *, shift: float) -> None:
    """Re-encoding harms least and another person most; what is blurred or shifted lies between."""
    errors = {copy: mean(scores[copy], "L1") for copy in COPIES}
    assert errors["reencoded"] < min(errors["blurred"], errors["shifted"])
    assert max(errors["blurred"], errors["shifted"]) < errors["swapped"]
    for key in ("PSNR_all", "SSIM_all", "PSNR_salient", "SSIM_salient", "PSNR_nonsalient", "SSIM_nonsalient"):
        values = {copy: mean(scores[copy], key) for copy in COPIES}
        assert values["reencoded"] > max(values["blurred"], values["shifted"]), key
        assert min(values["blurred"], values["shifted"]) > values["swapped"], key
    distances = {copy: mean(scores[copy], "AKD") for copy in COPIES}
    assert max(distances["reencoded"], distances["blurred"]) < distances["shifted"] < distances["swapped"]
    # A shift to the right moves every x by `shift` and no y: half of it over both coordinates, all of it as a distance.
    assert distances["shifted"] == pytest.approx(shift / 2, rel=0.25)
    assert mean(scores["shifted"], "AKD_corrected") == pytest.approx(shift, rel=0.25)
    identities = {copy: mean(scores[copy], "AED") for copy in COPIES}
    assert identities["reencoded"] < identities["blurred"]
    # Who it is does not change with a blur or a shift, however large their error is.
    assert identities["swapped"] > 3 * max(identities[copy] for copy in COPIES if copy != "swapped")


def test_puppets_are_put_in_order(tmp_path: Path) -> None:
    for clip in generate_puppets(4, frames=6, size=256, seed=HELD_OUT_SEED):
        write_clip(tmp_path / "masks" / clip.name, clip.foreground.expand(-1, 3, -1, -1))
    tools = InstrumentChoice(keypoints="puppets", identity="puppets", masks=tmp_path / "masks")
    scores = score_copies(tmp_path, "puppets", tools, frames=6, size=256, limit=4)
    assert_pictures_in_order(scores, shift=4)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not beside the project")
def test_real_faces_are_put_in_order(tmp_path: Path) -> None:
    tools = InstrumentChoice(
        keypoints="mediapipe-face", identity="dlib-identity", salient="mediapipe-selfie", matting="none"
    )
    scores = score_copies(tmp_path, str(REAL), tools, frames=4, size=256, limit=3)
    assert_pictures_in_order(scores, shift=4)
