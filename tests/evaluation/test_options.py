"""Options of `evaluate` and `score`: what has no meaning is refused, not swallowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prioritycut.cli import run
from prioritycut.data.clips import write_clip
from prioritycut.errors import UserError
from prioritycut.evaluation.masks import segmented_masks
from prioritycut.evaluation.running import EvaluateOptions, InstrumentChoice
from prioritycut.metrics.detectors.base import Tool


class Middle:
    """A segmenter that takes the middle pixel for the object."""

    tool = Tool(role="salient", name="middle", version="1")

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(len(frames), 1, *frames.shape[-2:])
        found[..., frames.shape[-2] // 2, frames.shape[-1] // 2] = 1
        return found


class Everything:
    """A matting that takes the whole open band for the object."""

    name, version = "everything", "2"

    def __call__(self, frames: torch.Tensor, trimaps: torch.Tensor) -> torch.Tensor:
        return (trimaps > 0).float()


@pytest.mark.parametrize("option", ["--frames", "--seed"])
def test_what_is_about_puppets_is_refused_for_a_folder(tmp_path: Path, option: str) -> None:
    with pytest.raises(UserError, match=f"{option} is an option of puppets"):
        run(["evaluate", "puppets", str(tmp_path), str(tmp_path / "out.json"), option, "3"])


def test_what_is_about_folders_is_refused_for_puppets(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--split is an option of a folder"):
        run(["evaluate", "puppets", "puppets", str(tmp_path / "out.json"), "--split", "all"])


@pytest.mark.parametrize("option", [("--detector", "mine"), ("--value", "identity")])
def test_what_is_about_records_is_refused_for_clips(tmp_path: Path, option: tuple[str, str]) -> None:
    for name in ("made", "truth"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="are about records"):
        run(["score", str(tmp_path / "made"), str(tmp_path / "truth"), str(tmp_path / "out.json"), *option])


def test_only_the_first_clips_of_a_folder_are_taken_where_a_number_is_given(tmp_path: Path) -> None:
    for name in "cab":
        write_clip(tmp_path / name, torch.rand(2, 3, 8, 8))
    options = EvaluateOptions(checkpoint="puppets", dataset=str(tmp_path), split="all", clips=2)
    assert [clip.name for clip in options.test_set(64).clips] == ["a", "b"]
    with pytest.raises(ValueError, match="clips must be at least 1"):
        EvaluateOptions(checkpoint="puppets", dataset=str(tmp_path), split="all", clips=0).test_set(64)


def test_the_border_of_a_salient_mask_is_as_wide_as_asked_and_says_so() -> None:
    from prioritycut.evaluation.testsets import TestBatch

    batch = TestBatch(torch.rand(1, 3, 32, 32), (32, 32))
    areas, labels = list[float](), set[str]()
    for radius in (0, 2, 5):
        masks = segmented_masks(Middle(), Everything(), radius=radius)
        areas.append(float(masks.begin("a").find(batch).sum()))
        labels.add(masks.tool.label)
    assert areas == [1, 25, 121]
    assert len(labels) == 3
    with pytest.raises(ValueError, match="salient_radius must not be negative"):
        InstrumentChoice(salient_radius=-1)
