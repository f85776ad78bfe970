"""People followed through frames, by hand-worked numbers of SPEC 7.3."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pytest

from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.tracking import Person, Seen, Tube, follow_person, is_whole

WIDTH = 640
CERTAIN = 0.99


def person_at(left: int, top: int = 100, width: int = 100, height: int = 203) -> Person:
    return Person(Box(left, top, left + width, top + height), CERTAIN, CERTAIN)


def follow(frames: Iterable[Person | None], *, cuts: Sequence[int] = (), max_frames: int = 1024) -> list[Tube]:
    seen = [Seen(person, number in cuts) for number, person in enumerate(frames)]
    return list(follow_person(seen, frame_width=WIDTH, max_frames=max_frames))


def spans(tubes: Iterable[Tube]) -> list[tuple[int, int]]:
    return [(tube.start, tube.end) for tube in tubes]


def test_the_square_has_a_side_of_eleven_tenths_of_the_first_box_and_stays() -> None:
    (tube,) = follow([person_at(100 + number) for number in range(30)])
    # 203 high: a side of 223.3 around (150, 201.5), so from 38.35 to 261.65 and from 89.85 to 313.15.
    assert tube.square == Box(38, 89, 261, 313)
    assert (tube.start, tube.end, tube.box) == (0, 30, Box(100, 100, 229, 303))


def test_a_tube_ends_where_the_person_leaves_the_square_and_a_new_one_begins_there() -> None:
    # The right edge is at 200 and reaches the square's, 261, in frame 61.
    first, second = follow([person_at(100 + number) for number in range(80)])
    assert (first.start, first.end) == (0, 62)
    assert (second.start, second.end, second.square) == (62, 80, Box(100, 89, 323, 313))


@pytest.mark.parametrize(("top", "stays"), [(89, True), (88, False), (110, True), (111, False)])
def test_the_square_is_left_upwards_and_downwards_too(top: int, stays: bool) -> None:
    # It reaches from 89 to 313, and the person is 203 high.
    assert spans(follow([person_at(100), person_at(100, top)])) == ([(0, 2)] if stays else [(0, 1), (1, 2)])


def test_a_tube_ends_where_nobody_is() -> None:
    frames = [None] * 2 + [person_at(100)] * 5 + [None] + [person_at(100)] * 4
    assert spans(follow(frames)) == [(2, 7), (8, 12)]


def test_a_tube_ends_where_the_person_is_not_seen_whole() -> None:
    seated = Person(person_at(100).box, CERTAIN, 0.5)
    assert spans(follow([person_at(100)] * 5 + [seated] + [person_at(100)] * 4)) == [(0, 5), (6, 10)]


def test_a_tube_ends_at_a_cut() -> None:
    assert spans(follow([person_at(100)] * 10, cuts=[0, 4])) == [(0, 4), (4, 10)]


def test_a_tube_ends_at_the_longest_length() -> None:
    assert spans(follow([person_at(100)] * 25, max_frames=10)) == [(0, 10), (10, 20), (20, 25)]


def test_without_anybody_there_is_no_tube() -> None:
    assert follow([None] * 5) == []
    assert follow([]) == []


def test_a_person_is_higher_than_a_tenth_of_the_frames_width() -> None:
    # The width it is, whatever the frame's height (SPEC 7.3).
    assert not is_whole(person_at(0, height=64), WIDTH)
    assert is_whole(person_at(0, height=65), WIDTH)


def test_a_person_shows_a_head_and_an_ankle_with_a_logit_above_two() -> None:
    box = person_at(0).box
    above, below = (1 / (1 + math.exp(-logit)) for logit in (2.01, 1.99))
    assert is_whole(Person(box, above, above), WIDTH)
    assert not is_whole(Person(box, below, above), WIDTH)
    assert not is_whole(Person(box, above, below), WIDTH)
    assert not is_whole(None, WIDTH)
