"""From what was found in each frame to tubes: who is where, from which frame to which. Numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prioritycut.preprocessing.boxes import Box, contains, expand_to_square, iou, join

Found = TypeVar("Found")

SAME_PLACE = 0.25
"""A face is followed while its box overlaps its first one by at least this (IoU; SPEC 7.2)."""

MISSED_FRAMES = 4
"""Frames in a row for which a face may go unseen without ending its tube.

By SPEC 7.2 the first would end it. None of ten real clips needs this, since the near model sees the faces that the far
one misses; but it is asked only where the far one sees nobody at all. The far one alone misses faces of those clips for
at most four frames in a row.
"""

FACE_INCREASE = 0.1
"""What is added to a face's tube on each side, as a share of the longer side (SPEC 7.2)."""

PERSON_INCREASE = 0.05
"""The same for a person's first box (SPEC 7.3: the square's side is 1.1 times the longer side)."""

PERSON_HEIGHT = 0.1
"""A person is at least this high, as a share of the frame's width (SPEC 7.3, where it is the width indeed)."""

JOINT_IN_SIGHT = 1 / (1 + math.exp(-2))
"""A joint is in sight if its logit is above 2 (SPEC 7.3); mediapipe tells the probability instead."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[Found]):
    """What one frame shows.

    Attributes:
        found: The subjects.
        cut: Whether it begins a new shot, so that nothing goes on from the frame before.
    """

    found: Found
    cut: bool


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a frame.

    Attributes:
        box: All that belongs to the person, hair, clothes and hands included, in pixels of the video.
        head: Probability that a point of the head is in sight: of the surest of nose, eyes, ears and mouth.
        ankle: The same of the surer ankle.
    """

    box: Box
    head: float
    ankle: float


@dataclass(frozen=True, slots=True)
class Tube:
    """A stretch of a video in which one subject stays in one place.

    Attributes:
        start, end: Its frames, `end` not included.
        box: All of the subject in all of the frames.
        square: What the rules cut out; it may reach beyond the frame.
    """

    start: int
    end: int
    box: Box
    square: Box

    @property
    def frames(self) -> int:
        """Its length."""
        return self.end - self.start


def longer_side(box: Box) -> int:
    """In pixels."""
    return max(box.right - box.left, box.bottom - box.top)


def follow_faces(frames: Iterable[Seen[Sequence[Box]]], *, max_frames: int, room: int | None = None) -> Iterator[Tube]:
    """Follow every face from frame to frame (SPEC 7.2).

    Faces and tubes are paired by the overlap of a box with the tube's last one, the largest first. A tube ends where
    its face overlaps its first box by less than `SAME_PLACE`, goes unseen for more than `MISSED_FRAMES`, or the shot
    changes; the face begins a new one then and there. A tube's first and last frame show its face. The square is that
    of the boxes' union.

    Args:
        frames: The boxes of all faces in each frame.
        max_frames: A tube ends at this length.
        room: A tube also ends before its face's movements span more pixels than this, unless its first box does: the
            largest square inside the frame would not hold it. `None` sets no such end.

    Returns:
        Tubes in the order in which they end.
    """
    live = list[_FaceTrajectory]()
    for number, seen in enumerate(frames):
        if seen.cut:
            yield from (each.tube() for each in live)
            live = []
        paired = _pairs(live, seen.found)
        free = dict(enumerate(seen.found))
        going_on = list[_FaceTrajectory]()
        for place, each in enumerate(live):
            box = paired.get(place)
            if box is None:
                goes_on = number - each.end < MISSED_FRAMES
            elif goes_on := each.may_take(number, seen.found[box], max_frames, room):
                each.take(number, free.pop(box))
            if goes_on:
                going_on.append(each)
            else:
                yield each.tube()
        live = going_on + [_FaceTrajectory(number, box) for box in free.values()]
    yield from (each.tube() for each in live)


class _FaceTrajectory:
    """One face so far."""

    def __init__(self, start: int, box: Box) -> None:
        self.start, self.end = start, start + 1
        self.first = self.last = self.union = box

    def may_take(self, number: int, box: Box, max_frames: int, room: int | None) -> bool:
        return (
            iou(self.first, box) >= SAME_PLACE
            and number - self.start < max_frames
            and (room is None or longer_side(join(self.union, box)) <= max(room, longer_side(self.first)))
        )

    def take(self, number: int, box: Box) -> None:
        self.last, self.union, self.end = box, join(self.union, box), number + 1

    def tube(self) -> Tube:
        return Tube(self.start, self.end, self.union, expand_to_square(self.union, FACE_INCREASE))


def _pairs(live: Sequence[_FaceTrajectory], boxes: Sequence[Box]) -> dict[int, int]:
    """From the places of trajectories to those of the boxes that overlap their last ones, each box once."""
    overlaps = [
        (-iou(each.last, box), trajectory, place)
        for trajectory, each in enumerate(live)
        for place, box in enumerate(boxes)
    ]
    paired = dict[int, int]()
    for less, trajectory, place in sorted(overlaps):
        if less < 0 and trajectory not in paired and place not in paired.values():
            paired[trajectory] = place
    return paired


def is_whole(person: Person | None, frame_width: int) -> bool:
    """Whether somebody is there, high enough, and with a point of the head and an ankle in sight (SPEC 7.3)."""
    return (
        person is not None
        and person.box.bottom - person.box.top > PERSON_HEIGHT * frame_width
        and min(person.head, person.ankle) > JOINT_IN_SIGHT
    )


def follow_person(frames: Iterable[Seen[Person | None]], *, frame_width: int, max_frames: int) -> Iterator[Tube]:
    """Follow a person who is seen whole (SPEC 7.3).

    The square is set around the first box and stays. A tube ends where the person's box leaves it, nobody is whole, or
    the shot changes or the camera moves; if somebody is whole then, a new one begins. By SPEC it would also end where a
    second person comes into the square, but the detector tells of one only: videos of several people are for the user
    to leave out.

    Args:
        frames: Who is in each frame.
        frame_width: In pixels.
        max_frames: A tube ends at this length.
    """
    tube: Tube | None = None
    for number, seen in enumerate(frames):
        box = seen.found.box if seen.found is not None and is_whole(seen.found, frame_width) else None
        if tube is not None:
            if box is not None and not seen.cut and contains(tube.square, box) and tube.frames < max_frames:
                tube = Tube(tube.start, number + 1, join(tube.box, box), tube.square)
                continue
            yield tube
        tube = None if box is None else Tube(number, number + 1, box, expand_to_square(box, PERSON_INCREASE))
    if tube is not None:
        yield tube


def follow_shots(frames: Iterable[Seen[None]], *, box: Box, max_frames: int) -> Iterator[Tube]:
    """One tube a shot, each of this box.

    Args:
        frames: All.
        box: What is cut out of each.
        max_frames: A longer shot gives several tubes.
    """
    start = end = 0
    for number, seen in enumerate(frames):
        if number > start and (seen.cut or number - start == max_frames):
            yield Tube(start, number, box, box)
            start = number
        end = number + 1
    if end > start:
        yield Tube(start, end, box, box)


def placed_inside(tube: Tube, width: int, height: int, *, keeps_top: bool) -> Box:
    """A tube's square moved into the frame, and made smaller where the frame is.

    It holds all of the tube's box as long as the frame's shorter side is no less than the box's longer one. Otherwise
    it is the largest square that the frame has room for, around the middle of the box.

    Args:
        tube: Its box lies inside the frame.
        width, height: Of the frame, in pixels.
        keeps_top: A box that is too high loses its lower end only, because the head is at the upper one.
    """
    square, box = tube.square, tube.box
    side = min(square.right - square.left, square.bottom - square.top, width, height)
    left = _placed((square.left + square.right - side) // 2, box.left, box.right, side, width, keeps_start=False)
    top = _placed((square.top + square.bottom - side) // 2, box.top, box.bottom, side, height, keeps_start=keeps_top)
    return Box(left, top, left + side, top + side)


def _placed(wanted: int, low: int, high: int, side: int, limit: int, *, keeps_start: bool) -> int:
    """Where a stretch of `side` begins that holds `low` to `high` if it can, near `wanted`, within 0 to `limit`."""
    if high - low <= side:
        wanted = min(max(wanted, high - side), low)
    else:
        wanted = low if keeps_start else (low + high - side) // 2
    return min(max(wanted, 0), limit - side)
