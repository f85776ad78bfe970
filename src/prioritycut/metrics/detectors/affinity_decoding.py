"""From heatmaps of joints and part-affinity fields to joints and people.

Source: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017); constants as in
the PyTorch port that the public evaluation code uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

JOINTS = (
    "nose",
    "neck",
    "right shoulder",
    "right elbow",
    "right wrist",
    "left shoulder",
    "left elbow",
    "left wrist",
    "right hip",
    "right knee",
    "right ankle",
    "left hip",
    "left knee",
    "left ankle",
    "right eye",
    "left eye",
    "right ear",
    "left ear",
)
LIMBS = (
    ("neck", "right hip"),
    ("right hip", "right knee"),
    ("right knee", "right ankle"),
    ("neck", "left hip"),
    ("left hip", "left knee"),
    ("left knee", "left ankle"),
    ("neck", "right shoulder"),
    ("right shoulder", "right elbow"),
    ("right elbow", "right wrist"),
    ("right shoulder", "right ear"),
    ("neck", "left shoulder"),
    ("left shoulder", "left elbow"),
    ("left elbow", "left wrist"),
    ("left shoulder", "left ear"),
    ("neck", "nose"),
    ("nose", "right eye"),
    ("nose", "left eye"),
    ("right eye", "right ear"),
    ("left eye", "left ear"),
)
"""In the order of the fields; each field points from the first joint to the second."""

PEAK = 0.1
"""A joint's heatmap must be above it."""
REACH = 2
"""Pixels around a peak in which the highest place is the joint."""
ALONG = 0.05
"""A field along a limb must be above it, at more than eight of ten places."""
PLACES = 10
FEWEST_JOINTS = 3
"""A person has at least so many joints,"""
LEAST_SCORE = 0.2
"""and at least this score a joint."""


@dataclass(frozen=True, slots=True)
class Peak:
    """One joint of someone."""

    x: int
    y: int
    """Pixel of the maps."""
    score: float
    """Of the heatmap, 1 at its surest."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A limb between two joints, given by their numbers among the peaks of their kinds."""

    start: int
    end: int
    score: float


@dataclass(slots=True, eq=False)
class Person:
    """Joints that limbs connect, by kind, as numbers among the peaks of that kind."""

    joints: dict[int, int]
    score: float


def find_peaks(heatmap: Float[np.ndarray, "rows cols"]) -> list[Peak]:
    """Places above 0.1 that none of their four neighbours surpasses, row by row from above.

    Each is moved to the highest place at most two pixels away.
    """
    edged = np.pad(heatmap, 1, constant_values=-np.inf)
    neighbours = np.maximum.reduce([edged[:-2, 1:-1], edged[2:, 1:-1], edged[1:-1, :-2], edged[1:-1, 2:]])
    peaks: list[Peak] = []
    for row, col in np.argwhere((heatmap >= neighbours) & (heatmap > PEAK)).tolist():
        top, left = max(0, row - REACH), max(0, col - REACH)
        window = heatmap[top : row + REACH + 1, left : col + REACH + 1]
        down, across = divmod(int(window.argmax()), window.shape[1])
        peaks.append(Peak(left + across, top + down, float(window.max())))
    return peaks


def connect(starts: Sequence[Peak], ends: Sequence[Peak], field: Float[np.ndarray, "2 rows cols"]) -> list[Connection]:
    """The limbs between two kinds of joints, the best first, no joint twice.

    A limb scores the mean of the field along it, less what makes it longer than half the picture's height. It stands if
    that is positive and the field agrees with its direction nearly everywhere.
    """
    rows = field.shape[1]
    candidates: list[Connection] = []
    for start, a in enumerate(starts):
        for end, b in enumerate(ends):
            length = float(np.hypot(b.x - a.x, b.y - a.y)) + 1e-8
            x = np.linspace(a.x, b.x, PLACES).round().astype(np.intp)
            y = np.linspace(a.y, b.y, PLACES).round().astype(np.intp)
            along = (field[0, y, x] * (b.x - a.x) + field[1, y, x] * (b.y - a.y)) / length
            score = float(along.mean()) + min(0.5 * rows / length - 1, 0)
            if np.count_nonzero(along > ALONG) > 0.8 * PLACES and score > 0:
                candidates.append(Connection(start, end, score))
    chosen: list[Connection] = []
    for one in sorted(candidates, key=lambda candidate: candidate.score, reverse=True):
        if all(one.start != other.start and one.end != other.end for other in chosen):
            chosen.append(one)
    return chosen


def group_people(peaks: Sequence[Sequence[Peak]], fields: Float[np.ndarray, "limbs 2 rows cols"]) -> list[Person]:
    """People, the surest first: joints that limbs connect, with the sum of the scores of both.

    Args:
        peaks: Of every kind of joint in `JOINTS`.
        fields: Of every limb in `LIMBS`.
    """
    people: list[Person] = []
    for limb, field in zip(LIMBS, fields, strict=True):
        first, second = (JOINTS.index(joint) for joint in limb)
        for found in connect(peaks[first], peaks[second], field):
            ends = {first: found.start, second: found.end}
            touched = [one for one in people if any(one.joints.get(joint) == peak for joint, peak in ends.items())]
            if len(touched) == 2 and touched[0].joints.keys() & touched[1].joints.keys():
                continue  # two people who hold a joint of one kind each
            host = touched[0] if touched else Person({}, 0.0)
            if any(host.joints.get(joint, peak) != peak for joint, peak in ends.items()):
                continue  # the person holds a better connected joint of that kind
            for other in touched[1:]:
                host.joints.update(other.joints)
                host.score += other.score
            people = [one for one in people if one not in touched] + [host]
            host.score += found.score
            for joint in ends.keys() - host.joints.keys():
                host.joints[joint] = ends[joint]
                host.score += peaks[joint][ends[joint]].score
    sure = [one for one in people if len(one.joints) >= FEWEST_JOINTS and one.score >= LEAST_SCORE * len(one.joints)]
    return sorted(sure, key=lambda one: one.score, reverse=True)
