"""What a puppet does, frame by frame, and where that puts each of its sheets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prioritycut.data.puppets.affine import compose
from prioritycut.data.puppets.arrays import Affine, Numbers

HEAD_UNIT = 0.43  # half a head's width as a share of half the frame
_NECK = (0.0, 0.42)  # where the neck meets the body, in xy, when nothing moves
_NECK_LENGTH = 1.12  # from there up to the middle of the head, in head units
_THINNEST = 0.1  # a sheet seen more edge-on than this (cosine) is not drawn
_Path: TypeAlias = Numbers  # time: a number at each frame


@dataclass(frozen=True, slots=True)
class Act:
    """What the puppet does, frame by frame; angles in radians, lengths in xy."""

    yaw: _Path  # above 0 the face turns to the viewer's right
    pitch: _Path  # above 0 the face looks down
    roll: _Path  # above 0 the head tilts to the viewer's right
    body_roll: _Path
    neck_x: _Path
    neck_y: _Path
    bob: _Path  # of the head upon the neck, in head units
    scale: _Path
    eyes_open: _Path  # 1 open, near 0 closed
    mouth_open: _Path  # 1 wide open, 0 closed
    gaze: _Path  # sideways, in [-1, 1]
    brow_lift: _Path  # in [-1, 1]
    sway: _Path  # of hanging hair, in radians


def perform(random: np.random.Generator, time: _Path) -> Act:
    """Make up smooth paths; each is a function of time alone, so a longer clip only goes further."""

    def wander(shortest: float, longest: float) -> _Path:
        period = float(random.uniform(shortest, longest))
        phases = random.uniform(0.0, 2.0 * np.pi, 3)
        path = np.zeros_like(time)
        for weight, speed, phase in zip((1.0, 0.3, 0.12), (1.0, 1.73, 2.61), phases, strict=True):
            path = path + weight / 1.2 * np.sin(2.0 * np.pi * time * speed / period + phase)
        return path

    yaw = np.deg2rad(42.0) * wander(26.0, 40.0)
    roll = np.deg2rad(13.0) * wander(30.0, 55.0)
    blink_period, blink_phase = float(random.uniform(28.0, 55.0)), float(random.uniform(0.0, 55.0))
    from_blink = np.abs((time + blink_phase) % blink_period - 0.5 * blink_period)
    lids = np.clip((from_blink - 0.6) / 2.4, 0.0, 1.0)
    talkative = np.clip(0.5 + 0.8 * wander(35.0, 60.0), 0.0, 1.0)
    syllables = np.abs(0.7 * wander(9.0, 15.0) + 0.5 * wander(6.0, 10.0))
    return Act(
        yaw=yaw,
        pitch=np.deg2rad(13.0) * wander(28.0, 50.0),
        roll=roll,
        body_roll=0.25 * roll,
        neck_x=0.15 * wander(34.0, 60.0),
        neck_y=0.06 * wander(30.0, 50.0),
        bob=0.05 * wander(18.0, 30.0),
        scale=1.0 + 0.05 * wander(40.0, 70.0),
        eyes_open=0.07 + 0.93 * lids * lids * (3.0 - 2.0 * lids),
        mouth_open=np.clip(talkative * syllables, 0.0, 1.0),
        gaze=np.clip(0.6 * wander(24.0, 50.0) + 0.6 * np.sin(yaw), -1.0, 1.0),
        brow_lift=wander(25.0, 45.0),
        sway=0.2 * wander(16.0, 26.0),
    )


_Holder: TypeAlias = Literal["head", "neck", "body"]
_Role: TypeAlias = Literal["still", "skull", "lids", "iris", "lash", "brow", "mouth", "teeth", "hanging"]


@dataclass(frozen=True, slots=True)
class Mount:
    """How a sheet hangs in space.

    Attributes:
        at: Where its origin is, xyz in head units from the middle of the head (or the foot of the neck).
        facing: Degrees it is turned about the vertical, 0 forwards and 90 to the viewer's right; `None` for
            a sheet that always faces the viewer, as an outline does.
        holder: What it moves with.
        role: How it moves of its own.
        turns_over: Drawn behind the head while farther than its middle, over the hair while nearer.
    """

    at: tuple[float, float, float]
    facing: float | None = None
    holder: _Holder = "head"
    role: _Role = "still"
    turns_over: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a sheet is in each frame, and how it faces the viewer."""

    affine: Affine  # time 2 3: sheet to xy
    shown: NDArray[np.bool_]  # time
    nearer: NDArray[np.bool_]  # time: on the viewer's side of the head's middle


def place_sheet(mount: Mount, act: Act) -> Placement:
    """Project a sheet into every frame, without perspective."""
    origin_x, origin_y, roll = _holder(mount.holder, act)
    unit = HEAD_UNIT * act.scale
    stretch_x, stretch_y, shift_x, shift_y, twist = _own_motion(mount.role, act)
    at_x, at_y, at_z = mount.at
    if mount.holder == "head":
        sin_yaw, cos_yaw, sin_pitch, cos_pitch = (
            np.sin(act.yaw),
            np.cos(act.yaw),
            np.sin(act.pitch),
            np.cos(act.pitch),
        )
    else:  # shoulders turn a little with the head
        sin_yaw, cos_yaw = np.sin(0.25 * act.yaw), np.cos(0.25 * act.yaw)
        sin_pitch, cos_pitch = np.zeros_like(act.yaw), np.ones_like(act.yaw)
    depth = at_z * cos_yaw - at_x * sin_yaw
    middle_x = at_x * cos_yaw + at_z * sin_yaw
    middle_y = at_y * cos_pitch + depth * sin_pitch
    if mount.facing is None:
        across_x, across_y, down_y = np.ones_like(act.yaw), np.zeros_like(act.yaw), np.ones_like(act.yaw)
        shown = np.ones(act.yaw.shape, np.bool_)
    else:
        angle = np.deg2rad(mount.facing)
        sin_angle = np.sin(angle) * cos_yaw + np.cos(angle) * sin_yaw
        across_x = np.cos(angle) * cos_yaw - np.sin(angle) * sin_yaw
        across_y, down_y = -sin_angle * sin_pitch, cos_pitch
        shown = across_x > _THINNEST
    if mount.role == "teeth":
        shown &= act.mouth_open > 0.25
    # The sheet's own motion first (twist, stretch, shift within its plane), then its place in space.
    local = np.zeros((act.yaw.size, 2, 3))
    local[:, 0, 0], local[:, 0, 1], local[:, 0, 2] = (
        np.cos(twist) * stretch_x,
        -np.sin(twist) * stretch_y,
        shift_x,
    )
    local[:, 1, 0], local[:, 1, 1], local[:, 1, 2] = (
        np.sin(twist) * stretch_x,
        np.cos(twist) * stretch_y,
        shift_y,
    )
    project = np.zeros_like(local)
    project[:, 0, 0], project[:, 0, 2] = across_x, middle_x
    project[:, 1, 0], project[:, 1, 1], project[:, 1, 2] = across_y, down_y, middle_y
    frame = np.zeros_like(local)
    frame[:, 0, 0], frame[:, 0, 1], frame[:, 0, 2] = np.cos(roll) * unit, -np.sin(roll) * unit, origin_x
    frame[:, 1, 0], frame[:, 1, 1], frame[:, 1, 2] = np.sin(roll) * unit, np.cos(roll) * unit, origin_y
    return Placement(compose(frame, compose(project, local)), shown, depth > 0.0)


def _holder(holder: _Holder, act: Act) -> tuple[_Path, _Path, _Path]:
    """xy of the origin and the tilt of the thing that sheets are held by."""
    neck_x, neck_y = _NECK[0] + act.neck_x, _NECK[1] + act.neck_y
    if holder == "body":
        return neck_x, neck_y, act.body_roll
    if holder == "neck":
        return neck_x, neck_y, 0.6 * act.roll
    length = (_NECK_LENGTH + act.bob) * HEAD_UNIT * act.scale
    return neck_x + np.sin(act.roll) * length, neck_y - np.cos(act.roll) * length, act.roll


def _own_motion(role: _Role, act: Act) -> tuple[_Path, _Path, _Path, _Path, _Path]:
    """Stretch in x and y, shift in x and y (head units) and twist (radians) of a sheet within its plane."""
    one, zero = np.ones_like(act.yaw), np.zeros_like(act.yaw)
    if role == "skull":  # the jaw drops a little in speech
        return one, one + 0.025 * act.mouth_open, zero, 0.02 * act.mouth_open, zero
    if role == "lids":
        return one, act.eyes_open, zero, 0.1 * (1.0 - act.eyes_open), zero
    if role == "iris":
        return one, act.eyes_open, 0.045 * act.gaze, 0.1 * (1.0 - act.eyes_open), zero
    if role == "lash":
        return one, 0.45 + 0.55 * act.eyes_open, zero, 0.22 * (1.0 - act.eyes_open), zero
    if role == "brow":
        return one, one, zero, -0.05 * act.brow_lift, zero
    if role in ("mouth", "teeth"):
        return 1.0 - 0.2 * act.mouth_open, 0.32 + 0.68 * act.mouth_open, zero, zero, zero
    if role == "hanging":
        return one, one, zero, zero, act.sway
    return one, one, zero, zero, zero
