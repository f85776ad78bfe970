"""Faces followed through frames, by hand-worked numbers of SPEC 7.2; shots; squares moved into the frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.tracking import (
    MISSED_FRAMES,
    Seen,
    Tube,
    follow_faces,
    follow_shots,
    placed_inside,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())


def square_at(left: int, top: int = 0, side: int = 100) -> Box:
    """A face of `side` pixels; SPEC's overlaps count the last row and column in."""
    return Box(left, top, left + side - 1, top + side - 1)


def seen(frames: Iterable[Sequence[Box]], cuts: Sequence[int] = ()) -> list[Seen[Sequence[Box]]]:
    return [Seen(boxes, number in cuts) for number, boxes in enumerate(frames)]


def spans(tubes: Iterable[Tube]) -> list[tuple[int, int]]:
    return sorted((tube.start, tube.end) for tube in tubes)


def test_a_face_is_followed_until_it_overlaps_its_first_box_by_less_than_a_quarter() -> None:
    # Moved by d of 100 pixels, the overlap is (100 - d) / (100 + d): a quarter at 60.
    first, second = follow_faces(seen([square_at(number)] for number in range(80)), max_frames=1024)
    assert (first.start, first.end, first.box) == (0, 61, Box(0, 0, 159, 99))
    assert (second.start, second.end, second.box) == (61, 80, Box(61, 0, 178, 99))


def test_the_next_tube_begins_in_the_frame_that_ended_the_one_before() -> None:
    frames = [[square_at(0)]] * 5 + [[square_at(61)]] * 5
    assert spans(follow_faces(seen(frames), max_frames=1024)) == [(0, 5), (5, 10)]


def test_a_face_that_returns_before_it_was_lost_never_ended() -> None:
    # There and back: only the distance from the first box counts, not the way.
    away = [*range(0, 61, 2), *range(60, -1, -2)]
    (tube,) = follow_faces(seen([square_at(left)] for left in away), max_frames=1024)
    assert (tube.start, tube.end, tube.box) == (0, len(away), Box(0, 0, 159, 99))


def test_long_tubes_end_at_the_longest_length_and_go_on_as_new_ones() -> None:
    assert spans(follow_faces(seen([[square_at(5)]] * 25), max_frames=10)) == [(0, 10), (10, 20), (20, 25)]


def test_the_square_is_that_of_the_golden_examples() -> None:
    kept = [example for example in GOLDEN["crop_decision"] if example["kept"]]
    assert kept
    for example in kept:
        faces = [[Box(*example["tube"])]] * example["num_frames"]
        (tube,) = follow_faces(seen(faces), max_frames=1024)
        assert tube.square == Box(*example["final_bbox"])
        assert tube.frames == example["num_frames"]


def test_two_faces_keep_their_own_tubes_in_whatever_order_they_are_found() -> None:
    frames = [[square_at(number), square_at(300 - number)][:: 1 if number % 2 else -1] for number in range(40)]
    tubes = sorted(follow_faces(seen(frames), max_frames=1024), key=lambda tube: tube.box.left)
    assert [(tube.start, tube.end, tube.box) for tube in tubes] == [
        (0, 40, Box(0, 0, 138, 99)),
        (0, 40, Box(261, 0, 399, 99)),
    ]


def test_faces_that_overlap_go_to_the_tubes_that_they_overlap_most() -> None:
    # Each overlaps both: the right one is given first, and would be the left tube's if the first to come were served.
    frames = [[square_at(0), square_at(50)], [square_at(52), square_at(2)]]
    tubes = sorted(follow_faces(seen(frames), max_frames=1024), key=lambda tube: tube.box.left)
    assert [tube.box for tube in tubes] == [Box(0, 0, 101, 99), Box(50, 0, 151, 99)]


def test_a_face_that_comes_later_gets_a_tube_from_then_on() -> None:
    frames = [[square_at(0)]] * 4 + [[square_at(0), square_at(300)]] * 6
    assert spans(follow_faces(seen(frames), max_frames=1024)) == [(0, 10), (4, 10)]


@pytest.mark.parametrize("missed", range(1, MISSED_FRAMES + 3))
def test_a_face_may_go_unseen_for_a_few_frames(missed: int) -> None:
    frames = [[square_at(0)]] * 10 + [[]] * missed + [[square_at(1)]] * 10
    expected = [(0, 20 + missed)] if missed <= 4 else [(0, 10), (10 + missed, 20 + missed)]
    assert spans(follow_faces(seen(frames), max_frames=1024)) == expected


def test_a_tube_ends_with_the_last_frame_that_shows_its_face() -> None:
    frames = [[]] * 3 + [[square_at(0)]] * 10 + [[]] * 3
    assert spans(follow_faces(seen(frames), max_frames=1024)) == [(3, 13)]


def test_a_cut_ends_all_tubes_even_where_a_face_is_at_the_same_place() -> None:
    frames = [[square_at(0), square_at(200)]] * 20
    assert spans(follow_faces(seen(frames, cuts=[7]), max_frames=1024)) == [(0, 7), (0, 7), (7, 20), (7, 20)]


def test_a_cut_ends_a_tube_whose_face_is_unseen_just_then() -> None:
    frames = [[square_at(0)]] * 5 + [[]] * 2 + [[square_at(0)]] * 5
    assert spans(follow_faces(seen(frames, cuts=[6]), max_frames=1024)) == [(0, 5), (7, 12)]


def test_a_tube_ends_before_it_outgrows_the_largest_square_of_the_frame() -> None:
    # From edge to edge a face spans 99, and one pixel more with each frame.
    frames = seen([square_at(number)] for number in range(30))
    assert spans(follow_faces(frames, max_frames=1024, room=110)) == [(0, 12), (12, 24), (24, 30)]


def test_a_face_that_is_larger_than_that_square_is_followed_while_it_stays_within_its_first_span() -> None:
    shrinking = [Box(number, number, 199 - number, 199 - number) for number in range(20)]
    assert spans(follow_faces(seen([box] for box in shrinking), max_frames=1024, room=110)) == [(0, 20)]


def test_frames_without_a_face_give_no_tube() -> None:
    assert list(follow_faces(seen([[]] * 10), max_frames=1024)) == []
    assert list(follow_faces([], max_frames=1024)) == []


def test_shots_end_at_cuts_and_at_the_longest_length() -> None:
    box = Box(0, 0, 64, 64)
    frames = [Seen(None, number in (4, 5)) for number in range(18)]
    tubes = list(follow_shots(frames, box=box, max_frames=10))
    assert [(tube.start, tube.end) for tube in tubes] == [(0, 4), (4, 5), (5, 15), (15, 18)]
    assert all(tube.box == tube.square == box for tube in tubes)
    assert list(follow_shots([], box=box, max_frames=10)) == []


def placed(box: Box, square: Box, width: int, height: int, *, keeps_top: bool = False) -> tuple[int, int, int, int]:
    result = placed_inside(Tube(0, 1, box, square), width, height, keeps_top=keeps_top)
    return result.left, result.top, result.right, result.bottom


@pytest.mark.parametrize(
    ("box", "square", "frame", "expected"),
    [
        # Inside: left alone.
        ((110, 110, 190, 190), (102, 102, 198, 198), (640, 360), (102, 102, 198, 198)),
        # Beyond an edge: moved by as much.
        ((0, 110, 100, 210), (-10, 100, 110, 220), (640, 360), (0, 100, 120, 220)),
        ((540, 260, 640, 360), (530, 250, 650, 370), (640, 360), (520, 240, 640, 360)),
        # Larger than the frame is high: made as large as the frame, around the same middle.
        ((200, 20, 520, 340), (168, -12, 552, 372), (640, 360), (180, 0, 540, 360)),
        # The middle of a person's square is not that of all her boxes: the smaller square holds them still.
        ((300, 5, 620, 355), (100, -25, 510, 385), (640, 360), (260, 0, 620, 360)),
        # No square of the frame holds the box: the largest, around the box's middle.
        ((20, 100, 620, 300), (-40, -160, 680, 560), (640, 360), (140, 0, 500, 360)),
        ((0, 100, 500, 300), (-50, -100, 550, 500), (640, 360), (70, 0, 430, 360)),
    ],
)
def test_squares_are_moved_into_the_frame(
    box: tuple[int, int, int, int],
    square: tuple[int, int, int, int],
    frame: tuple[int, int],
    expected: tuple[int, int, int, int],
) -> None:
    assert placed(Box(*box), Box(*square), *frame) == expected


def test_of_a_body_that_is_too_high_the_head_is_kept() -> None:
    box, square = Box(100, 40, 500, 1040), Box(-250, -10, 850, 1090)
    assert placed(box, square, 720, 1080, keeps_top=True) == (0, 40, 720, 760)
    assert placed(box, square, 720, 1080) == (0, 180, 720, 900)


def test_squares_lie_inside_and_hold_their_box_wherever_one_can() -> None:
    generator = np.random.default_rng(0)
    for _ in range(2000):
        width, height = (int(side) for side in generator.integers(20, 400, 2))
        left, right = sorted(int(x) for x in generator.integers(0, width + 1, 2))
        top, bottom = sorted(int(y) for y in generator.integers(0, height + 1, 2))
        side = int(generator.integers(max(right - left, bottom - top, 2), 600))
        x, y = right - side + int(generator.integers(0, side)), bottom - side + int(generator.integers(0, side))
        result = placed(Box(left, top, right, bottom), Box(x, y, x + side, y + side), width, height)
        assert result[2] - result[0] == result[3] - result[1] == min(side, width, height)
        assert result[0] >= 0
        assert result[1] >= 0
        assert result[2] <= width
        assert result[3] <= height
        if max(right - left, bottom - top) <= min(width, height):
            assert result[0] <= left
            assert result[1] <= top
            assert result[2] >= right
            assert result[3] >= bottom
