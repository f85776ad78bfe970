"""Boxes: the golden examples hold exactly, and the arithmetic holds by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prioritycut.preprocessing.boxes import (
    Box,
    contains,
    crop_decision,
    expand_to_square,
    inside_frame,
    iou,
    join,
    longer_side,
    rescale,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())


@pytest.mark.parametrize("example", GOLDEN["boxes"]["iou"])
def test_overlap_union_and_containment_are_the_golden_ones(example: dict) -> None:
    a, b = Box(*example["a"]), Box(*example["b"])
    assert iou(a, b) == iou(b, a) == example["iou"]
    assert join(a, b) == join(b, a) == Box(*example["join"])
    assert contains(a, b) == example["b_inside_a"]


@pytest.mark.parametrize("example", GOLDEN["boxes"]["aspect_preserved"])
def test_a_box_becomes_the_golden_square(example: dict) -> None:
    assert expand_to_square(Box(*example["bbox"]), example["increase"]) == Box(*example["result"])


@pytest.mark.parametrize("example", GOLDEN["crop_decision"])
def test_a_tube_is_kept_or_dropped_as_in_the_golden_examples(example: dict) -> None:
    height, width = example["frame_hw"]
    decision = crop_decision(
        Box(*example["tube"]),
        example["num_frames"],
        frame_size=(width, height),
        increase=example["increase"],
        min_frames=example["min_frames"],
        min_size=example["min_size"],
    )
    assert decision == Box(*example["final_bbox"]) if example["kept"] else isinstance(decision, str)


def test_why_a_tube_is_dropped_is_told_and_the_ends_of_each_rule_are_kept() -> None:
    frame, tube = (640, 360), Box(200, 60, 456, 300)
    assert crop_decision(tube, 63, frame_size=frame) == "lost subject"
    assert crop_decision(Box(200, 60, 455, 300), 64, frame_size=frame) == "too small"
    # 1.2 times 256 is 307.2: 25.6 more to the left and right, 33.6 more above and below.
    assert crop_decision(tube, 64, frame_size=frame) == Box(174, 26, 481, 333)
    assert crop_decision(tube, 64, frame_size=(481, 333)) == Box(174, 26, 481, 333)
    assert crop_decision(tube, 64, frame_size=(480, 333)) == "left the frame"
    assert crop_decision(tube, 64, frame_size=(481, 332)) == "left the frame"


def test_equal_boxes_overlap_wholly_and_a_box_holds_itself() -> None:
    box = Box(3, 4, 10, 20)
    assert iou(box, box) == 1.0
    assert contains(box, box)
    assert contains(box, Box(4, 5, 10, 19))
    assert not contains(box, Box(2, 4, 10, 20))
    assert not contains(box, Box(3, 4, 10, 21))
    assert longer_side(box) == 16


def test_a_box_is_rescaled_by_width_and_height_each_and_rounded_down() -> None:
    assert rescale(Box(101, 50, 301, 251), (1280, 720), (640, 360)) == Box(50, 25, 150, 125)
    assert rescale(Box(100, 50, 300, 250), (640, 480), (1280, 720)) == Box(200, 75, 600, 375)
    assert rescale(Box(1, 2, 3, 4), (640, 480), (640, 480)) == Box(1, 2, 3, 4)
    # 29 * 7 / 203 is 1 exactly, which floating point may miss.
    assert rescale(Box(0, 0, 29, 58), (203, 203), (7, 7)) == Box(0, 0, 1, 2)


def test_a_box_inside_its_frame_stays_inside_any_other() -> None:
    whole = Box(0, 0, 1280, 720)
    for size in ((1920, 1080), (854, 480), (426, 240), (1, 1)):
        assert rescale(whole, (1280, 720), size) == Box(0, 0, *size)
        assert inside_frame(rescale(Box(7, 11, 1279, 719), (1280, 720), size), *size)


@pytest.mark.parametrize("box", [Box(-1, 0, 9, 9), Box(0, -1, 9, 9), Box(0, 0, 641, 9), Box(0, 0, 9, 361)])
def test_a_box_that_crosses_any_edge_is_not_inside(box: Box) -> None:
    assert not inside_frame(box, 640, 360)
    assert inside_frame(Box(0, 0, 640, 360), 640, 360)
