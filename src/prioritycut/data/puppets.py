"""Drawn little people that turn, tilt, blink and talk: clips from a seed, with the truth about their motion.

A puppet is a stack of flat sheets mounted on a turning head, as in a pop-up book. A sheet is painted once,
in its own coordinates, and each frame only places it by an affine map. So a colour never slides on its sheet
and the flow between two frames is exact; where another sheet lies on top, nothing of it is seen and the
pixel is occluded. Nothing here is copied from anyone: the drawings are formulas, free of licences.

Units: head units on the sheets (a head is about 2 wide, x to the right, y down, z towards the viewer), xy
in [-1, 1] for positions in a frame. "left" is always the viewer's left. Time runs in frames of 1/25 second.

Pixels are made only with + - * /, square root and rounding, which IEEE arithmetic gives alike everywhere:
the same arguments make the same bytes on every machine.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

LANDMARKS: tuple[str, ...] = (
    "left_eye",
    "right_eye",
    "left_brow_inner",
    "left_brow_outer",
    "right_brow_inner",
    "right_brow_outer",
    "nose_tip",
    "mouth_left",
    "mouth_right",
    "mouth_top",
    "mouth_bottom",
    "left_cheek",
    "right_cheek",
    "chin",
    "left_ear",
    "right_ear",
    "crown",
    "left_shoulder",
    "right_shoulder",
)
"""The names of a puppet's keypoints, in the order of `PuppetClip.position`; left is the viewer's left."""

RATE = 25
"""Frames a second that the motion is made for."""

SMALLEST_SIZE = 64
LARGEST_SIZE = 256
"""Frames are square; below 64 pixels the features of a face melt, above 256 the drawings show no more."""

_HEAD_UNIT = 0.43  # half a head's width as a share of half the frame
_NECK = (0.0, 0.42)  # where the neck meets the body, in xy, when nothing moves
_NECK_LENGTH = 1.12  # from there up to the middle of the head, in head units
_THINNEST = 0.1  # a sheet seen more edge-on than this (cosine) is not drawn
_PIXELS_AT_ONCE = 1 << 17  # frames are drawn in groups of about this many pixels, to stay in cache

# Pixels are float32, paths and maps float64 until they are stored; NumPy's stubs cannot follow which.
_Numbers: TypeAlias = NDArray[np.floating]
_Whole: TypeAlias = NDArray[np.integer]
_Field: TypeAlias = _Numbers  # rows cols: a number at each point of a sheet
_Picture: TypeAlias = _Numbers  # rows cols 4: RGB times coverage, coverage
_Path: TypeAlias = _Numbers  # time: a number at each frame
_Affine: TypeAlias = _Numbers  # ... 2 3: a map of the plane
_Colour: TypeAlias = tuple[float, float, float]  # RGB in [0, 1]
_Side: TypeAlias = Literal["left", "right"]


# --- What a user sees -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairTruth:
    """How a source frame must move to become a driving frame, and where it cannot.

    Attributes:
        deformation: For each pixel of the driving frame the xy in [-1, 1] where the source has that point of
            the puppet (or of the background); -1 and 1 are the centres of the first and last pixel. The
            pixel's own xy where nothing moved; outside [-1, 1] where the source's frame ends before.
        occlusion_map: 1 where the source shows the point, 0 where it hides it or ends before it.
    """

    deformation: Float[Tensor, "height width 2"]
    occlusion_map: Float[Tensor, "1 height width"]


@dataclass(frozen=True, slots=True)
class PuppetClip:
    """One puppet in motion, and what is known of every pixel.

    Attributes:
        name: "puppet-", the seed, the index and, if not the first, the take: "puppet-0-000123".
        identity: The number its looks were drawn from; two clips show the same person if and only if it is equal.
        frames: RGB in [0, 1].
        position: xy in [-1, 1] of each of `LANDMARKS`; also where it is hidden or out of frame.
        visible: False where a landmark is behind another sheet, turned away or out of frame.
        foreground: 1 puppet, 0 background: where the puppet covers more than half of the pixel.
        layer: The topmost sheet that covers more than half of the pixel, an index of `layer_names`.
        affine: Maps homogeneous sheet coordinates to xy in [-1, 1], one for every frame and sheet.
        layer_names: The parts from back to front; the first is the background.
    """

    name: str
    identity: int
    frames: Float[Tensor, "time 3 height width"]
    position: Float[Tensor, "time points 2"]
    visible: Bool[Tensor, "time points"]
    foreground: Float[Tensor, "time 1 height width"]
    layer: UInt8[Tensor, "time height width"]
    affine: Float[Tensor, "time layers 2 3"]
    layer_names: tuple[str, ...]

    def truth(self, source: int, driving: int) -> PairTruth:
        """The exact motion between two frames of this clip.

        Args:
            source: Index of the frame that gives appearance.
            driving: Index of the frame that gives motion; the truth is told at its pixels.

        Returns:
            Flow from driving to source, and where the source shows what is seen in the driving frame. Where
            they are the same frame, the flow is identity and nothing is occluded.

        Raises:
            IndexError: There is no such frame.
        """
        affine = self.affine.numpy().astype(np.float64)
        layer = self.layer.numpy()
        moved = _compose(affine[source], _invert(affine[driving])).astype(np.float32)
        seen, shown = layer[driving], layer[source]
        rows, cols = seen.shape
        x = (np.arange(cols, dtype=np.float32) * np.float32(2.0 / (cols - 1)) - 1.0)[None, :]
        y = (np.arange(rows, dtype=np.float32) * np.float32(2.0 / (rows - 1)) - 1.0)[:, None]
        terms = np.take(moved.reshape(-1, 6).T, seen.astype(np.intp), axis=1)
        deformation = np.empty((rows, cols, 2), np.float32)
        deformation[..., 0] = terms[0] * x + terms[1] * y + terms[2]
        deformation[..., 1] = terms[3] * x + terms[4] * y + terms[5]
        source_visible = _shows(shown, seen, deformation)
        return PairTruth(torch.as_tensor(deformation), torch.as_tensor(source_visible.astype(np.float32))[None])


def generate_puppet(
    seed: int, index: int, *, frames: int = 32, size: int = 64, first_frame: int = 0, take: int = 0
) -> PuppetClip:
    """Draw one puppet's clip.

    Args:
        seed: Which cast of puppets, from 0 to 2**32 - 1; two casts share nobody.
        index: Which member of the cast, likewise.
        frames: How many frames to draw; fewer frames are the beginning of more.
        size: Height and width in pixels, 64 to 256. The drawing and its motion are the same at any size.
        first_frame: Where on the endless path the clip begins, 0 or more.
        take: 0 or more; another take is the same person in front of the same background, moving otherwise.

    Returns:
        The clip. Its frames are ready; the truth about a pair is computed when `PuppetClip.truth` is asked.

    Raises:
        ValueError: An argument lies outside its range.
    """
    _check_range("seed", seed, 0, 2**32 - 1)
    _check_range("index", index, 0, 2**32 - 1)
    _check_range("take", take, 0, 2**32 - 1)
    _check_range("first_frame", first_frame, 0, 2**24)
    _check_range("frames", frames, 1, 2**24)
    _check_range("size", size, SMALLEST_SIZE, LARGEST_SIZE)
    looks = _draw_looks(np.random.default_rng(np.random.SeedSequence([seed, index, 0, 0])))
    movements = np.random.default_rng(np.random.SeedSequence([seed, index, 1, take]))
    act = _perform(movements, np.arange(first_frame, first_frame + frames, dtype=np.float64))
    scenery = _paint_background(looks, size)
    sheets = _paint_puppet(looks, size)
    placed = [_place(sheet.mount, act) for sheet in sheets]
    affine = np.stack([np.tile(np.eye(2, 3), (frames, 1, 1)), *(place.affine for place in placed)], axis=1)
    # Rounding takes away the last digits, where the sines of two machines may differ.
    affine = np.round(affine, 6).astype(np.float32)
    rank = np.stack(
        [_rank(number, sheet, place) for number, (sheet, place) in enumerate(zip(sheets, placed, strict=True))]
    )
    picture, layer = _render(scenery, sheets, affine, rank)
    position, visible = _landmarks(sheets, affine, rank, layer)
    return PuppetClip(
        name=f"puppet-{seed}-{index:06d}" + (f"-take-{take}" if take else ""),
        identity=(seed << 32) + index,
        frames=torch.as_tensor(picture),
        position=torch.as_tensor(position),
        visible=torch.as_tensor(visible),
        foreground=torch.as_tensor((layer > 0).astype(np.float32))[:, None],
        layer=torch.as_tensor(layer),
        affine=torch.as_tensor(affine),
        layer_names=("background", *(sheet.name for sheet in sheets)),
    )


def generate_puppets(clips: int, *, frames: int = 32, size: int = 64, seed: int = 0) -> Iterator[PuppetClip]:
    """Draw the first clips of a cast, one after another, each of another person.

    Args:
        clips: How many, 1 or more. Clip `i` depends on `seed`, `i`, `frames` and `size`, not on `clips`.
        frames: Frames in each, 1 or more.
        size: Height and width in pixels, 64 to 256.
        seed: Which cast, from 0 to 2**32 - 1; two casts share nobody, so one can train and another test.

    Yields:
        What `generate_puppet(seed, i, frames=frames, size=size)` gives.

    Raises:
        ValueError: An argument lies outside its range; raised at the call, not at the first clip.
    """
    _check_range("clips", clips, 1, 2**32)
    _check_range("frames", frames, 1, 2**24)
    _check_range("size", size, SMALLEST_SIZE, LARGEST_SIZE)
    _check_range("seed", seed, 0, 2**32 - 1)
    return (generate_puppet(seed, index, frames=frames, size=size) for index in range(clips))


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must lie in {lowest} to {highest}, got {value}; choose a number in that range")


# --- Looks ------------------------------------------------------------------------------------------------

_SKINS: tuple[_Colour, ...] = (
    (1.00, 0.87, 0.77),
    (0.98, 0.81, 0.68),
    (0.95, 0.76, 0.60),
    (0.88, 0.67, 0.50),
    (0.78, 0.56, 0.40),
    (0.66, 0.45, 0.31),
    (0.53, 0.35, 0.24),
    (0.42, 0.27, 0.19),
)
_HAIRS: tuple[_Colour, ...] = (
    (0.13, 0.11, 0.14),
    (0.24, 0.16, 0.13),
    (0.39, 0.24, 0.15),
    (0.55, 0.33, 0.17),
    (0.72, 0.36, 0.16),
    (0.88, 0.70, 0.38),
    (0.95, 0.84, 0.58),
    (0.74, 0.73, 0.76),
    (0.90, 0.52, 0.62),
    (0.35, 0.45, 0.72),
    (0.30, 0.58, 0.55),
    (0.52, 0.36, 0.62),
)
_IRISES: tuple[_Colour, ...] = (
    (0.30, 0.18, 0.10),
    (0.42, 0.27, 0.14),
    (0.20, 0.42, 0.66),
    (0.22, 0.50, 0.36),
    (0.36, 0.40, 0.48),
    (0.45, 0.35, 0.62),
)
_INK: _Colour = (0.17, 0.11, 0.13)
_WHITE: _Colour = (1.0, 1.0, 1.0)

_Back: TypeAlias = Literal["short", "bob", "long", "afro", "curls", "buns", "knot", "ponytail", "pigtails"]
_Front: TypeAlias = Literal["bangs", "swept", "curtain", "spikes", "curls", "none"]
_Hat: TypeAlias = Literal["none", "beanie", "cap", "band", "bow", "flower", "brim"]
_Cloth: TypeAlias = Literal["plain", "stripes", "dots", "collar", "hood", "straps", "scarf"]
_Scenery: TypeAlias = Literal["gradient", "stripes", "dots", "checks", "clouds", "hills", "rings", "rays"]


@dataclass(frozen=True, slots=True)
class _Looks:
    """Everything that makes a person; lengths in head units."""

    skin: _Colour
    hair: _Colour
    iris: _Colour
    cloth: _Colour
    trim: _Colour
    accessory: _Colour
    sky: _Colour
    ground: _Colour
    back: _Back
    front: _Front
    hat: _Hat
    clothing: _Cloth
    scenery: _Scenery
    bald: bool
    dot_eyes: bool
    lashes: bool
    glasses: Literal["none", "round", "square"]
    beard: Literal["none", "beard", "moustache"]
    freckles: bool
    earrings: bool
    side: float  # -1 or 1: where the parting, the bow and the like sit
    width: float
    jaw: float  # how much the face narrows downwards
    height: float
    eye_size: float
    eye_gap: float
    eye_height: float
    brow_weight: float
    brow_slope: float
    nose_width: float
    nose_height: float
    mouth_width: float
    mouth_height: float
    lips: float  # how much the lips differ from the skin
    blush: float
    ear_size: float
    turn: float  # of the background's pattern, as a slope
    noise: _Numbers  # 12 12: values in [-1, 1] for anything irregular


def _draw_looks(random: np.random.Generator) -> _Looks:
    """Cast a person; how many numbers are drawn does not depend on the size of the frames."""

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    def chance(share: float) -> bool:
        return float(random.random()) < share

    hue = between(0.0, 1.0)
    back: tuple[_Back, ...] = (
        "short",
        "short",
        "bob",
        "long",
        "afro",
        "curls",
        "buns",
        "knot",
        "ponytail",
        "pigtails",
    )
    front: tuple[_Front, ...] = ("bangs", "swept", "curtain", "spikes", "curls", "none")
    hat: tuple[_Hat, ...] = ("beanie", "cap", "band", "bow", "flower", "brim")
    clothing: tuple[_Cloth, ...] = ("plain", "stripes", "dots", "collar", "hood", "straps", "scarf")
    scenery: tuple[_Scenery, ...] = (
        "gradient",
        "stripes",
        "dots",
        "checks",
        "clouds",
        "hills",
        "rings",
        "rays",
    )
    skin = _jitter(_SKINS[int(random.integers(len(_SKINS)))], random, 0.02)
    chosen_back = back[int(random.integers(len(back)))]
    bald = chosen_back == "short" and chance(0.18)
    glasses: tuple[Literal["none", "round", "square"], ...] = ("round", "square")
    beard: tuple[Literal["none", "beard", "moustache"], ...] = ("beard", "moustache")
    cloth_hue = hue + between(0.3, 0.7)
    return _Looks(
        skin=skin,
        hair=_jitter(_HAIRS[int(random.integers(8 if chance(0.7) else len(_HAIRS)))], random, 0.03),
        iris=_IRISES[int(random.integers(len(_IRISES)))],
        cloth=_from_hue(cloth_hue, between(0.35, 0.75), between(0.55, 0.95)),
        trim=_from_hue(cloth_hue + between(-0.12, 0.5), between(0.1, 0.6), between(0.75, 1.0)),
        accessory=_from_hue(hue + between(0.2, 0.8), between(0.5, 0.8), between(0.6, 0.95)),
        sky=_from_hue(hue, between(0.12, 0.5), between(0.8, 0.98)),
        ground=_from_hue(hue + between(-0.12, 0.12), between(0.25, 0.6), between(0.6, 0.95)),
        back=chosen_back,
        front=front[int(random.integers(len(front)))],
        hat=hat[int(random.integers(len(hat)))] if chance(0.45) else "none",
        clothing=clothing[int(random.integers(len(clothing)))],
        scenery=scenery[int(random.integers(len(scenery)))],
        bald=bald,
        dot_eyes=chance(0.4),
        lashes=chance(0.5),
        glasses=glasses[int(random.integers(2))] if chance(0.28) else "none",
        beard=beard[int(random.integers(2))] if chance(0.35) and chosen_back in ("short", "knot", "curls") else "none",
        freckles=chance(0.22),
        earrings=chance(0.3),
        side=-1.0 if chance(0.5) else 1.0,
        width=between(0.93, 1.06),
        jaw=between(0.08, 0.3),
        height=between(1.0, 1.14),
        eye_size=between(0.85, 1.2),
        eye_gap=between(0.36, 0.44),
        eye_height=between(0.05, 0.15),
        brow_weight=between(0.035, 0.07),
        brow_slope=between(-0.2, 0.2),
        nose_width=between(0.07, 0.13),
        nose_height=between(0.05, 0.12),
        mouth_width=between(0.27, 0.4),
        mouth_height=between(0.3, 0.42),
        lips=between(0.0, 0.7),
        blush=between(0.2, 0.6),
        ear_size=between(0.9, 1.25),
        turn=between(-1.0, 1.0),
        noise=random.uniform(-1.0, 1.0, (12, 12)).astype(np.float32),
    )


def _from_hue(hue: float, saturation: float, value: float) -> _Colour:
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)


def _jitter(colour: _Colour, random: np.random.Generator, amount: float) -> _Colour:
    red, green, blue = (min(1.0, max(0.0, part + float(random.uniform(-amount, amount)))) for part in colour)
    return red, green, blue


def _mix(start: _Colour, end: _Colour, share: float) -> _Colour:
    """`start` where share is 0, `end` where it is 1."""
    red, green, blue = (a + (b - a) * share for a, b in zip(start, end, strict=True))
    return red, green, blue


def _shade(colour: _Colour, amount: float) -> _Colour:
    """Lighter (amount above 0) or darker (below); shadows turn towards violet as in painting."""
    if amount >= 0.0:
        return _mix(colour, _WHITE, amount)
    red, green, blue = _mix(colour, (colour[0] * 0.45, colour[1] * 0.28, colour[2] * 0.42), -amount)
    return red, green, blue


# --- Acting -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Act:
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


def _perform(random: np.random.Generator, time: _Path) -> _Act:
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
    return _Act(
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


# --- Mounting sheets on the head --------------------------------------------------------------------------

_Holder: TypeAlias = Literal["head", "neck", "body"]
_Role: TypeAlias = Literal["still", "skull", "lids", "iris", "lash", "brow", "mouth", "teeth", "hanging"]


@dataclass(frozen=True, slots=True)
class _Mount:
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
class _Placement:
    affine: _Affine  # time 2 3: sheet to xy
    shown: NDArray[np.bool_]  # time
    nearer: NDArray[np.bool_]  # time: on the viewer's side of the head's middle


def _place(mount: _Mount, act: _Act) -> _Placement:
    """Project a sheet into every frame, without perspective."""
    origin_x, origin_y, roll = _holder(mount.holder, act)
    unit = _HEAD_UNIT * act.scale
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
    return _Placement(_compose(frame, _compose(project, local)), shown, depth > 0.0)


def _holder(holder: _Holder, act: _Act) -> tuple[_Path, _Path, _Path]:
    """xy of the origin and the tilt of the thing that sheets are held by."""
    neck_x, neck_y = _NECK[0] + act.neck_x, _NECK[1] + act.neck_y
    if holder == "body":
        return neck_x, neck_y, act.body_roll
    if holder == "neck":
        return neck_x, neck_y, 0.6 * act.roll
    length = (_NECK_LENGTH + act.bob) * _HEAD_UNIT * act.scale
    return neck_x + np.sin(act.roll) * length, neck_y - np.cos(act.roll) * length, act.roll


def _own_motion(role: _Role, act: _Act) -> tuple[_Path, _Path, _Path, _Path, _Path]:
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


def _compose(outer: _Affine, inner: _Affine) -> _Affine:
    """The map that applies `inner`, then `outer`."""
    result = np.empty_like(outer)
    result[..., :2] = outer[..., :, :1] * inner[..., :1, :2] + outer[..., :, 1:2] * inner[..., 1:, :2]
    result[..., 2] = outer[..., 0] * inner[..., :1, 2] + outer[..., 1] * inner[..., 1:, 2] + outer[..., 2]
    return result


def _invert(affine: _Affine) -> _Affine:
    """The map back; a map that flattens the plane, whose sheet no frame shows, gets zeros."""
    determinant = affine[..., 0, 0] * affine[..., 1, 1] - affine[..., 0, 1] * affine[..., 1, 0]
    flat = np.abs(determinant) < 1e-9
    scale = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, determinant))
    result = np.empty_like(affine)
    result[..., 0, 0], result[..., 0, 1] = affine[..., 1, 1] * scale, -affine[..., 0, 1] * scale
    result[..., 1, 0], result[..., 1, 1] = -affine[..., 1, 0] * scale, affine[..., 0, 0] * scale
    result[..., 0, 2] = -(result[..., 0, 0] * affine[..., 0, 2] + result[..., 0, 1] * affine[..., 1, 2])
    result[..., 1, 2] = -(result[..., 1, 0] * affine[..., 0, 2] + result[..., 1, 1] * affine[..., 1, 2])
    return result


# --- Painting tools ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A painted part: premultiplied RGBA, transparent at its border.

    Attributes:
        name: What it is.
        picture: Its texels.
        left: x of the centre of the first column, in head units.
        top: y of the centre of the first row.
        density: Texels in a head unit.
        mount: How it hangs.
        landmarks: The keypoints that it carries, with their xy on the sheet.
    """

    name: str
    picture: _Picture
    left: float
    top: float
    density: float
    mount: _Mount
    landmarks: tuple[tuple[str, float, float], ...] = ()


class _Easel:
    """A sheet being painted: coordinates of its texels and strokes laid over one another."""

    def __init__(self, left: float, top: float, right: float, bottom: float, size: int, detail: float = 1.5) -> None:
        """Stretch a canvas.

        Args:
            left, top, right, bottom: What it spans, in head units; a margin is added.
            size: Of the frame, in pixels.
            detail: Texels in a pixel.
        """
        self.detail = detail
        self.density = detail * _HEAD_UNIT * (size - 1) / 2.0
        margin = 3.0 / self.density
        self.left, self.top = left - margin, top - margin
        cols = int((right - left) * self.density) + 7
        rows = int((bottom - top) * self.density) + 7
        self.x: _Field = (self.left + np.arange(cols, dtype=np.float32) / np.float32(self.density))[None, :]
        self.y: _Field = (self.top + np.arange(rows, dtype=np.float32) / np.float32(self.density))[:, None]
        self.picture: _Picture = np.zeros((rows, cols, 4), np.float32)

    def paint(self, shape: _Field, colour: _Colour, opacity: float = 1.0) -> None:
        """Lay a colour over all texels where `shape` is below 0; its edge is about one pixel wide."""
        self.lay(self.cover(shape) * np.float32(opacity), colour)

    def lay(self, cover: _Field, colour: _Colour) -> None:
        """Lay a colour with the given coverage in [0, 1]."""
        self.picture *= 1.0 - cover[..., None]
        self.picture += cover[..., None] * np.array([*colour, 1.0], np.float32)

    def tint(self, amount: _Field, colour: _Colour) -> None:
        """Mix a colour into what is already painted, and nowhere else; amount in [0, 1]."""
        self.picture[..., :3] *= 1.0 - amount[..., None]
        self.picture[..., :3] += (amount * self.picture[..., 3])[..., None] * np.array(colour, np.float32)

    def cover(self, shape: _Field) -> _Field:
        """Coverage of the texels by the region where a function is below 0."""
        shape = np.broadcast_to(shape, self.picture.shape[:2])
        down, across = np.gradient(shape)
        steepness = np.sqrt(down * down + across * across) + np.float32(1e-6)
        return np.clip(0.5 - shape / (steepness * np.float32(self.detail)), 0.0, 1.0)

    def finish(self, name: str, mount: _Mount, *landmarks: tuple[str, float, float]) -> _Sheet:
        """Take the sheet off, its border made transparent so that reading past the end reads nothing."""
        picture = self.picture
        picture[:2], picture[-2:], picture[:, :2], picture[:, -2:] = 0.0, 0.0, 0.0, 0.0
        return _Sheet(name, picture, self.left, self.top, self.density, mount, landmarks)


def _ellipse(x: _Field, y: _Field, width: float | _Field, height: float) -> _Field:
    """Below 0 inside the ellipse with these half axes."""
    return (x / width) ** 2 + (y / height) ** 2 - 1.0


def _box(x: _Field, y: _Field, width: float | _Field, height: float, rounding: float) -> _Field:
    """Below 0 inside the rounded rectangle with these half sides."""
    over_x = np.maximum(np.abs(x) - (width - rounding), 0.0)
    over_y = np.maximum(np.abs(y) - (height - rounding), 0.0)
    return np.sqrt(over_x * over_x + over_y * over_y + np.float32(1e-8)) - rounding


def _ramp(value: _Field, start: float, end: float) -> _Field:
    """Smoothly from 0 at `start` to 1 at `end`."""
    share = np.clip((value - start) / (end - start), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _wave(value: _Field) -> _Field:
    """A smooth wave of period 1 between -1 and 1, made without a sine."""
    share = np.abs(2.0 * (value - np.floor(value)) - 1.0)
    return 1.0 - 2.0 * share * share * (3.0 - 2.0 * share)


def _zigzag(value: _Field) -> _Field:
    """A triangular wave of period 1 between 0 and 1."""
    return np.abs(2.0 * (value - np.floor(value)) - 1.0)


def _noise(noise: _Numbers, x: _Field, y: _Field) -> _Field:
    """Smooth irregular values in [-1, 1]; the 12 by 12 grid repeats."""
    col, row = np.floor(x), np.floor(y)
    share_x, share_y = _ramp(x - col, 0.0, 1.0), _ramp(y - row, 0.0, 1.0)
    left, top = col.astype(np.intp) % 12, row.astype(np.intp) % 12
    right, bottom = (left + 1) % 12, (top + 1) % 12
    above = noise[top, left] * (1.0 - share_x) + noise[top, right] * share_x
    below = noise[bottom, left] * (1.0 - share_x) + noise[bottom, right] * share_x
    return above * (1.0 - share_y) + below * share_y


# --- The parts --------------------------------------------------------------------------------------------


def _paint_puppet(looks: _Looks, size: int) -> list[_Sheet]:
    """All sheets from back to front; those that turn over come before the head."""
    sides: tuple[_Side, ...] = ("left", "right")
    hat_covers = looks.hat in ("beanie", "cap", "brim")
    sheets: list[_Sheet] = []
    if not looks.bald:
        sheets.append(_paint_hair_back(looks, size))
    if looks.hat == "brim":
        sheets.append(_paint_brim(looks, size))
    if looks.back == "ponytail":  # hangs behind the neck
        sheets += _paint_tails(looks, size, hat_covers)
    sheets += [_paint_neck(looks, size), _paint_body(looks, size)]
    if not looks.bald and looks.back != "ponytail":
        sheets += _paint_tails(looks, size, hat_covers)
    sheets += [_paint_ear(looks, size, side) for side in sides]
    sheets.append(_paint_head(looks, size))
    sheets += [_paint_cheek(looks, size, side) for side in sides]
    if looks.beard == "beard":
        sheets.append(_paint_beard(looks, size))
    sheets += _paint_mouth(looks, size)
    if looks.beard == "moustache":
        sheets.append(_paint_moustache(looks, size))
    sheets.append(_paint_nose(looks, size))
    for side in sides:
        sheets += _paint_eye(looks, size, side)
    sheets += [_paint_brow(looks, size, side) for side in sides]
    if looks.glasses != "none":
        sheets += _paint_glasses(looks, size)
    if not looks.bald:
        sheets += [_paint_hair_side(looks, size, side) for side in sides]
        sheets.append(_paint_hair_cap(looks, size))
        if looks.front != "none":
            sheets.append(_paint_fringe(looks, size))
    if looks.hat != "none":
        sheets += _paint_hat(looks, size)
    return sheets


def _sign(side: _Side) -> float:
    return -1.0 if side == "left" else 1.0


def _face(looks: _Looks, x: _Field, y: _Field, larger: float = 0.0) -> _Field:
    """Below 0 inside the outline of the head."""
    narrowing = 1.0 - looks.jaw * np.maximum(y, 0.0) ** 2
    return (x / ((looks.width + larger) * narrowing)) ** 2 + (y / (looks.height + larger)) ** 2 - 1.0


def _paint_head(looks: _Looks, size: int) -> _Sheet:
    easel = _Easel(-1.15, -1.2, 1.15, 1.2, size, 1.3)
    x, y = easel.x, easel.y
    easel.paint(_face(looks, x, y), looks.skin)
    rim = _ramp(_face(looks, x - 0.12, y + 0.12, 0.16), -0.55, 0.15)
    easel.tint(0.4 * rim, _shade(looks.skin, -0.6))
    easel.tint(0.35 * (1.0 - _ramp(_ellipse(x + 0.3, y + 0.3, 0.9, 0.8), -0.9, 0.2)), _shade(looks.skin, 0.45))
    crown = (("crown", 0.0, -0.9 * looks.height),) if looks.bald and looks.hat not in ("beanie", "cap", "brim") else ()
    return easel.finish("head", _Mount((0.0, 0.0, 0.08), role="skull"), ("chin", 0.0, 0.9 * looks.height), *crown)


def _paint_neck(looks: _Looks, size: int) -> _Sheet:
    easel = _Easel(-0.5, -0.75, 0.5, 0.45, size, 1.3)
    x, y = easel.x, easel.y
    easel.paint(_box(x, y + 0.15, 0.3 + 0.12 * np.maximum(y, 0.0), 0.6, 0.2), _shade(looks.skin, -0.18))
    easel.tint(0.5 * (1.0 - _ramp(y - 0.25 * x * x, -0.35, 0.15)), _shade(looks.skin, -0.6))
    return easel.finish("neck", _Mount((0.0, 0.0, 0.0), holder="neck"))


def _paint_body(looks: _Looks, size: int) -> _Sheet:
    easel = _Easel(-2.1, -0.15, 2.1, 2.6, size, 1.2)
    x, y = easel.x, easel.y
    shoulders = np.maximum(_ellipse(x, y - 1.35, 1.5, 1.3), -_ellipse(x, y + 0.05, 0.42, 0.3))
    trunk = np.minimum(shoulders, _box(x, y - 2.6, 1.48, 1.4, 0.3))
    easel.paint(trunk, looks.cloth)
    if looks.clothing == "stripes":
        easel.tint(easel.cover(0.5 - _zigzag((y - 0.1 * x * x) / 0.42)), looks.trim)
    elif looks.clothing == "dots":
        step = 0.42
        row = np.floor(y / step)
        shifted = x / step + 0.5 * (row % 2.0)
        dot = _ellipse(shifted - np.floor(shifted) - 0.5, y / step - row - 0.5, 0.27, 0.27)
        easel.tint(easel.cover(dot), looks.trim)
    elif looks.clothing == "straps":
        easel.tint(easel.cover(np.abs(np.abs(x) - 0.72) - 0.14), looks.trim)
        easel.tint(easel.cover(_box(x, y - 2.1, 0.86, 1.1, 0.1)), looks.trim)
        for side in (-0.72, 0.72):
            easel.tint(easel.cover(_ellipse(x - side, y - 1.12, 0.08, 0.08)), _shade(looks.trim, -0.5))
    elif looks.clothing == "collar":
        for side in (-1.0, 1.0):
            flap = np.maximum(_box(x - side * 0.34, y - 0.3, 0.3, 0.3, 0.06), (y - 0.25) * 0.9 - side * x * 0.6 + 0.02)
            easel.tint(easel.cover(flap), looks.trim)
        for height in (0.75, 1.15):
            easel.tint(easel.cover(_ellipse(x, y - height, 0.06, 0.06)), looks.trim)
    easel.tint(0.45 * _ramp(np.abs(x), 0.7, 1.5), _shade(looks.cloth, -0.7))
    easel.tint(0.25 * (1.0 - _ramp(_ellipse(x + 0.5, y - 0.7, 0.8, 0.6), -0.8, 0.3)), _shade(looks.cloth, 0.5))
    if looks.clothing == "hood":
        ring = np.maximum(_ellipse(x, y - 0.12, 0.82, 0.38), -_ellipse(x, y + 0.1, 0.42, 0.3))
        easel.paint(ring, _shade(looks.cloth, -0.25))
        for side in (-0.3, 0.3):
            easel.paint(_box(x - side, y - 0.75, 0.035, 0.35, 0.03), looks.trim)
    elif looks.clothing == "scarf":
        easel.paint(_box(x + looks.side * 0.35, y - 0.75, 0.19, 0.55, 0.08), _shade(looks.trim, -0.2))
        wrap = np.maximum(_ellipse(x, y - 0.12, 0.72, 0.34), -_ellipse(x, y + 0.22, 0.4, 0.24))
        easel.paint(wrap, looks.trim)
    else:
        hem = np.maximum(_ellipse(x, y + 0.03, 0.54, 0.42), -_ellipse(x, y + 0.05, 0.42, 0.3))
        easel.tint(easel.cover(hem), _shade(looks.cloth, -0.3))
    landmarks = (("left_shoulder", -1.1, 0.62), ("right_shoulder", 1.1, 0.62))
    return easel.finish("body", _Mount((0.0, 0.0, 0.0), holder="body", facing=0.0), *landmarks)


def _paint_ear(looks: _Looks, size: int, side: _Side) -> _Sheet:
    sign, reach = _sign(side), 0.24 * looks.ear_size
    easel = _Easel(-0.34, -0.36, 0.34, 0.48, size)
    x, y = easel.x * sign, easel.y
    easel.paint(_ellipse(x, y, reach, 1.12 * reach), _shade(looks.skin, -0.08))
    easel.paint(
        _ellipse(x - 0.02, y, 0.55 * reach, 0.66 * reach),
        _shade(_mix(looks.skin, (0.9, 0.4, 0.4), 0.2), -0.25),
    )
    if looks.earrings:
        easel.paint(_ellipse(x, y - 1.25 * reach, 0.075, 0.09), looks.accessory)
    mount = _Mount((sign * 1.02 * looks.width, 0.12, -0.02), facing=sign * 42.0, turns_over=True)
    return easel.finish(f"{side}_ear", mount, (f"{side}_ear", 0.0, 0.0))


def _paint_cheek(looks: _Looks, size: int, side: _Side) -> _Sheet:
    sign = _sign(side)
    easel = _Easel(-0.22, -0.18, 0.22, 0.18, size)
    x, y = easel.x, easel.y
    pink = _mix(looks.skin, (0.95, 0.36, 0.36), 0.14 + 0.3 * looks.blush)
    easel.paint(_ellipse(x, y, 0.19, 0.125), pink)
    if looks.freckles:
        for dot_x, dot_y in ((-0.09, -0.03), (0.02, 0.04), (0.09, -0.04)):
            easel.paint(_ellipse(x - dot_x, y - dot_y, 0.022, 0.022), _shade(looks.skin, -0.4))
    mount = _Mount((sign * 0.6, 0.42, 0.62), facing=sign * 34.0)
    return easel.finish(f"{side}_cheek", mount, (f"{side}_cheek", 0.0, 0.0))


def _paint_nose(looks: _Looks, size: int) -> _Sheet:
    easel = _Easel(-0.2, -0.2, 0.2, 0.2, size, 2.0)
    x, y = easel.x, easel.y
    warm = _mix(looks.skin, (0.9, 0.38, 0.34), 0.25)
    easel.paint(_ellipse(x / (1.0 + 1.2 * y), y, looks.nose_width, looks.nose_height), _shade(warm, -0.22))
    glint = _ellipse(x + 0.35 * looks.nose_width, y + 0.4 * looks.nose_height, 0.035, 0.028)
    easel.paint(glint, _shade(looks.skin, 0.5))
    return easel.finish("nose", _Mount((0.0, 0.32, 0.94), facing=0.0), ("nose_tip", 0.0, 0.0))


def _paint_mouth(looks: _Looks, size: int) -> list[_Sheet]:
    """Lips and what is behind them, which shows when they part."""
    width, height = looks.mouth_width, looks.mouth_height
    easel = _Easel(-0.45, -0.1, 0.45, 0.6, size, 2.0)
    x, y = easel.x, easel.y
    bow = np.maximum(1.0 - (x / width) ** 2, -0.6)

    def crescent(upper: float, lower: float) -> _Field:
        return np.maximum(upper * bow - y, y - lower * bow)

    mount = _Mount((0.0, 0.54, 0.84), facing=0.0, role="mouth")
    lip = _mix(_shade(looks.skin, -0.55), (0.74, 0.2, 0.25), 0.25 + 0.6 * looks.lips)
    easel.paint(crescent(0.3 * height - 0.05, height + 0.05), lip)
    easel.paint(crescent(0.3 * height, height), (0.4, 0.08, 0.12))
    lips = easel.finish(
        "mouth",
        mount,
        ("mouth_left", -0.88 * width, 0.14 * height),
        ("mouth_right", 0.88 * width, 0.14 * height),
        ("mouth_top", 0.0, 0.3 * height - 0.02),
        ("mouth_bottom", 0.0, height + 0.02),
    )
    easel = _Easel(-0.45, -0.1, 0.45, 0.6, size, 2.0)
    inside = crescent(0.3 * height + 0.01, height - 0.01)
    easel.paint(np.maximum(inside, _ellipse(x, y - height, 0.6 * width, 0.36 * height)), (0.92, 0.45, 0.48))
    easel.paint(np.maximum(inside, y - 0.3 * height * bow - 0.2 * height), (0.99, 0.98, 0.95))
    return [lips, easel.finish("teeth", replace(mount, role="teeth"))]


def _paint_eye(looks: _Looks, size: int, side: _Side) -> list[_Sheet]:
    """White, iris and upper lid of one eye."""
    sign, scale = _sign(side), looks.eye_size
    at = (sign * looks.eye_gap, looks.eye_height, 0.74)
    facing = sign * 16.0
    sheets: list[_Sheet] = []
    tall = 0.24 * scale if not looks.dot_eyes else 0.22 * scale
    if not looks.dot_eyes:
        easel = _Easel(-0.3, -0.32, 0.3, 0.32, size, 2.0)
        x, y = easel.x, easel.y
        easel.paint(_ellipse(x, y, 0.21 * scale, tall), (1.0, 0.995, 0.98))
        easel.tint(0.35 * (1.0 - _ramp(y, -0.22 * scale, -0.02)), (0.62, 0.62, 0.76))
        sheets.append(easel.finish(f"{side}_eye_white", _Mount(at, facing, role="lids")))
    easel = _Easel(-0.26, -0.3, 0.26, 0.3, size, 2.4)
    x, y = easel.x, easel.y
    if looks.dot_eyes:
        wide, high = 0.15 * scale, 0.21 * scale
        easel.paint(_ellipse(x, y, wide, high), _mix(_INK, looks.iris, 0.25))
        easel.tint(0.75 * _ramp(y, -0.02, high), _shade(looks.iris, 0.15))
    else:
        wide, high = 0.145 * scale, 0.17 * scale
        easel.paint(_ellipse(x, y, wide, high), _shade(looks.iris, -0.55))
        easel.paint(_ellipse(x, y, 0.85 * wide, 0.87 * high), looks.iris)
        easel.tint(0.5 * _ramp(y, 0.0, high), _shade(looks.iris, 0.5))
        easel.paint(_ellipse(x, y, 0.5 * wide, 0.52 * high), _INK)
    easel.paint(_ellipse(x + 0.36 * wide, y + 0.42 * high, 0.36 * wide, 0.32 * high), _WHITE)
    easel.paint(_ellipse(x - 0.4 * wide, y - 0.45 * high, 0.18 * wide, 0.15 * high), _WHITE, 0.85)
    sheets.append(easel.finish(f"{side}_iris", _Mount(at, facing, role="iris"), (f"{side}_eye", 0.0, 0.0)))
    easel = _Easel(-0.36, -0.36, 0.36, 0.1, size, 2.0)
    x, y = easel.x, easel.y
    reach = (0.21 if not looks.dot_eyes else 0.17) * scale
    arch = -tall * (1.0 - 0.75 * (x / reach) ** 2)
    outwards = np.clip(sign * x / reach, -1.0, 1.2)
    lid = np.maximum(np.abs(y - arch) - (0.026 + 0.014 * outwards), np.abs(x) - reach)
    if looks.lashes:
        flick = np.maximum(np.abs(y + 0.45 * tall + 0.7 * (sign * x - reach)) - 0.028, np.abs(sign * x - reach) - 0.07)
        lid = np.minimum(lid, flick)
    easel.paint(lid, _INK)
    sheets.append(easel.finish(f"{side}_lash", _Mount(at, facing, role="lash")))
    return sheets


def _paint_brow(looks: _Looks, size: int, side: _Side) -> _Sheet:
    sign = _sign(side)
    easel = _Easel(-0.32, -0.2, 0.32, 0.2, size, 2.0)
    x, y = easel.x * sign, easel.y
    arch = 0.9 * x * x - 0.04 + looks.brow_slope * x
    weight = looks.brow_weight * (1.1 - 1.2 * np.clip(x, -0.2, 0.25))
    easel.paint(
        np.maximum(np.abs(y - arch) - weight, np.abs(x) - 0.24),
        _shade(_mix(looks.hair, looks.skin, 0.12), -0.25),
    )
    mount = _Mount(
        (sign * (looks.eye_gap + 0.01), looks.eye_height - 0.37 * looks.eye_size, 0.74),
        sign * 16.0,
        role="brow",
    )
    inner = (f"{side}_brow_inner", -0.2 * sign, 0.9 * 0.04 - 0.04 - 0.2 * looks.brow_slope)
    outer = (f"{side}_brow_outer", 0.2 * sign, 0.9 * 0.04 - 0.04 + 0.2 * looks.brow_slope)
    return easel.finish(f"{side}_brow", mount, inner, outer)


def _paint_beard(looks: _Looks, size: int) -> _Sheet:
    easel = _Easel(-0.95, -0.1, 0.95, 1.25, size)
    x, y = easel.x, easel.y
    outline = _face(looks, x * 1.12, y - 0.06, 0.04)
    edge = 0.02 * _wave(x * 4.0)
    upper = 0.62 - 0.9 * np.maximum(np.abs(x) - 0.35, 0.0) + edge - y
    mouth = -_ellipse(x, y - 0.66, 0.34, 0.17)
    easel.paint(np.maximum(np.maximum(outline, upper), mouth), looks.hair)
    _comb(easel, looks, 0.5)
    return easel.finish("beard", _Mount((0.0, 0.0, 0.45), facing=0.0))


def _paint_moustache(looks: _Looks, size: int) -> _Sheet:
    easel = _Easel(-0.4, -0.15, 0.4, 0.2, size, 2.0)
    x, y = easel.x, easel.y
    apart = np.abs(x)
    easel.paint(
        np.maximum(np.abs(y - 0.5 * apart * apart) - 0.1 * (1.0 - (apart - 0.12) ** 2 * 14.0), apart - 0.36),
        looks.hair,
    )
    return easel.finish("moustache", _Mount((0.0, 0.47, 0.9), facing=0.0))


def _comb(easel: _Easel, looks: _Looks, strength: float = 1.0) -> None:
    """Strands and a soft gloss on hair that is already painted."""
    x, y = easel.x, easel.y
    strands = _wave(x * (2.2 - 0.25 * y) + 0.35 * looks.turn) * 0.6 + 0.4 * _wave(x * 4.7 + 0.4 * y + looks.turn)
    easel.tint(strength * np.maximum(strands, 0.0) * 0.22, _shade(looks.hair, -0.7))
    easel.tint(strength * np.maximum(-strands, 0.0) * 0.2, _shade(looks.hair, 0.3))


def _gloss(easel: _Easel, looks: _Looks, height: float, curve: float = 0.35) -> None:
    """A band of light across the crown."""
    x, y = easel.x, easel.y
    across = np.abs(y - height - curve * (x + 0.25) ** 2)
    easel.tint(
        0.42 * (1.0 - _ramp(across + 0.05 * _zigzag(x * 3.1), 0.03, 0.16)) * (1.0 - _ramp(np.abs(x + 0.2), 0.3, 0.75)),
        _shade(looks.hair, 0.65),
    )


def _paint_hair_back(looks: _Looks, size: int) -> _Sheet:
    """What is seen behind the head; its own colour is darker, for depth."""
    easel = _Easel(-1.75, -1.95, 1.75, 2.1, size, 1.2)
    x, y = easel.x, easel.y
    skull = _ellipse(x, y + 0.1, looks.width + 0.08, looks.height + 0.06)
    if looks.back == "bob":
        skull = np.minimum(skull, _box(x, y - 0.1, 1.22 + 0.06 * y, 0.85, 0.5))
    elif looks.back == "long":
        skull = np.minimum(skull, _box(x + 0.04 * _wave(0.9 * y), y - 0.6, 1.2 + 0.05 * y, 1.35, 0.5))
    elif looks.back == "afro":
        skull = _ellipse(x, y + 0.28, 1.5, 1.42) + 0.14 * _noise(looks.noise, 3.2 * x + 6.0, 3.2 * y + 6.0)
    elif looks.back == "curls":
        for turn in range(11):
            angle = np.pi * (0.82 + 1.36 * turn / 10.0)
            spot_x, spot_y = round(1.06 * float(np.cos(angle)), 4), round(1.05 * float(np.sin(angle)), 4)
            skull = np.minimum(skull, _ellipse(x - spot_x, y - spot_y, 0.36, 0.36))
    easel.paint(skull, _shade(looks.hair, -0.25))
    _comb(easel, looks, 0.8)
    easel.tint(0.35 * _ramp(y, 0.0, 1.6), _shade(looks.hair, -0.8))
    return easel.finish("hair_back", _Mount((0.0, 0.0, -0.2)))


def _paint_tails(looks: _Looks, size: int, hat_covers: bool) -> list[_Sheet]:
    """Buns, knots and tails, which turn with the head."""
    sheets: list[_Sheet] = []

    def ball(name: str, at: tuple[float, float, float], radius: float) -> None:
        easel = _Easel(-radius - 0.1, -radius - 0.1, radius + 0.1, radius + 0.1, size)
        x, y = easel.x, easel.y
        easel.paint(_ellipse(x, y, radius, radius), looks.hair)
        rings = _wave((x * x + y * y) * 5.0 + 0.4 * x)
        easel.tint(0.2 * np.maximum(rings, 0.0), _shade(looks.hair, -0.7))
        easel.tint(0.4 * (1.0 - _ramp(_ellipse(x + 0.12, y + 0.14, 0.22, 0.18), -0.8, 0.4)), _shade(looks.hair, 0.6))
        sheets.append(easel.finish(name, _Mount(at, turns_over=True)))

    def tail(name: str, at: tuple[float, float, float], width: float, length: float, lean: float) -> None:
        easel = _Easel(-width - 0.3, -0.2, width + 0.3, length + 0.15, size)
        x, y = easel.x - lean * easel.y * easel.y, easel.y
        easel.paint(_ellipse(x, y - 0.5 * length, width * (0.75 + 0.3 * y / length), 0.53 * length), looks.hair)
        easel.tint(0.25 * np.maximum(_wave(3.3 * x / (0.4 + 0.5 * y + 0.3)), 0.0), _shade(looks.hair, -0.7))
        easel.tint(0.3 * (1.0 - _ramp(np.abs(y - 0.4), 0.05, 0.25)), _shade(looks.hair, 0.4))
        easel.paint(_box(easel.x, y - 0.02, 0.15, 0.09, 0.07), looks.accessory)
        sheets.append(easel.finish(name, _Mount(at, role="hanging", turns_over=True)))

    if looks.back == "buns" and not hat_covers:
        ball("left_bun", (-0.78, -0.98, -0.02), 0.42)
        ball("right_bun", (0.78, -0.98, -0.02), 0.42)
    elif looks.back == "knot" and not hat_covers:
        ball("knot", (0.0, -1.32, -0.25), 0.4)
    elif looks.back == "ponytail":
        tail("ponytail", (looks.side * 0.55, -0.55, -1.05), 0.36, 1.9, 0.08 * looks.side)
    elif looks.back == "pigtails":
        tail("left_tail", (-1.08, -0.2, -0.12), 0.33, 1.5, -0.1)
        tail("right_tail", (1.08, -0.2, -0.12), 0.33, 1.5, 0.1)
    return sheets


def _paint_hair_side(looks: _Looks, size: int, side: _Side) -> _Sheet:
    """Hair on the temple, seen as the head turns away from it."""
    sign = _sign(side)
    lowest = {"bob": 0.72, "long": 1.35, "afro": 0.25, "curls": 0.3}.get(looks.back, -0.02)
    easel = _Easel(-0.7, -1.0, 0.7, lowest + 0.15, size)
    forwards, y = -easel.x * sign, easel.y
    middle = 0.5 * (lowest - 0.85)
    panel = _box(forwards + 0.06, y - middle, 0.56, lowest - middle, 0.22)
    if lowest < 0.1:  # a sideburn before the ear
        panel = np.minimum(panel, _box(forwards - 0.14, y - 0.02, 0.09, 0.2, 0.08))
    easel.paint(panel, looks.hair)
    _comb(easel, looks)
    easel.tint(0.3 * _ramp(y, -0.2, 1.2), _shade(looks.hair, -0.7))
    return easel.finish(f"{side}_hair", _Mount((sign * 0.82 * looks.width, 0.0, -0.02), facing=sign * 90.0))


def _paint_hair_cap(looks: _Looks, size: int) -> _Sheet:
    """Hair on the crown, from outline to outline."""
    easel = _Easel(-1.3, -1.45, 1.3, 0.2, size, 1.3)
    x, y = easel.x, easel.y
    outline = _ellipse(x, y + 0.08, looks.width + 0.07, looks.height + 0.07)
    if looks.back == "afro":
        outline = _ellipse(x, y + 0.2, looks.width + 0.2, looks.height + 0.12) + 0.08 * _noise(
            looks.noise, 4.0 * x + 6.0, 4.0 * y + 6.0
        )
    hairline = -0.66 + 0.5 * x * x if looks.front != "none" else -0.55 + 0.42 * x * x
    easel.paint(np.maximum(outline, y - hairline - 0.02 * _zigzag(4.0 * x)), looks.hair)
    _comb(easel, looks)
    _gloss(easel, looks, -0.98)
    hat_covers = looks.hat in ("beanie", "cap", "brim")
    crown = () if hat_covers else (("crown", 0.0, -1.08 * looks.height),)
    return easel.finish("hair_cap", _Mount((0.0, 0.0, -0.03)), *crown)


def _paint_fringe(looks: _Looks, size: int) -> _Sheet:
    """Hair on the forehead; it moves across it as the head turns."""
    easel = _Easel(-0.98, -1.1, 0.98, 0.35, size)
    x, y = easel.x, easel.y
    parted = x * looks.side
    sides = np.maximum(_ellipse(x, y, 0.9 * looks.width, 1.12), -(y + 1.02 - 0.3 * x * x))
    if looks.front == "bangs":
        shape = np.maximum(sides, y + 0.42 - 0.2 * x * x - 0.07 * _zigzag(2.6 * x))
    elif looks.front == "swept":
        shape = np.maximum(sides, y + 0.56 - 0.36 * parted - 0.12 * parted * parted - 0.04 * _zigzag(3.0 * x))
    elif looks.front == "curtain":
        shape = np.maximum(sides, y + 0.82 - 1.0 * np.abs(x + 0.12 * looks.side) + 0.25 * x * x)
    elif looks.front == "spikes":
        shape = np.maximum(sides, y + 0.68 - 0.32 * _zigzag(2.1 * x + 0.3 * looks.turn + 0.2 * y) - 0.1 * x * x)
    else:
        shape = np.maximum(sides, y + 0.72 - 0.3 * x * x)
        for spot in range(6):
            spot_x = -0.78 + 0.312 * spot
            lift = 0.06 * float(looks.noise[0, spot])
            shape = np.minimum(shape, _ellipse(x - spot_x, y + 0.66 - 0.35 * spot_x * spot_x + lift, 0.24, 0.24))
    easel.paint(shape, looks.hair)
    _comb(easel, looks)
    _gloss(easel, looks, -0.8, 0.2)
    return easel.finish("fringe", _Mount((0.0, 0.0, 0.5), facing=0.0))


def _paint_glasses(looks: _Looks, size: int) -> list[_Sheet]:
    easel = _Easel(-0.85, -0.4, 0.85, 0.4, size, 2.0)
    x, y = easel.x, easel.y
    frame = _shade(looks.accessory, -0.35)
    apart = np.abs(x) - looks.eye_gap
    if looks.glasses == "round":
        reach = np.sqrt(apart * apart + y * y + np.float32(1e-8)) - 0.3
        rims = np.abs(reach) - 0.035
    else:
        rims = np.abs(_box(apart, y, 0.31, 0.25, 0.1)) - 0.038
    bridge = np.maximum(np.abs(y + 0.08 - 0.6 * x * x) - 0.03, np.abs(x) - (looks.eye_gap - 0.29))
    easel.paint(np.minimum(rims, bridge), frame)
    sheets = [easel.finish("glasses", _Mount((0.0, looks.eye_height + 0.02, 0.86), facing=0.0))]
    for side in (-1.0, 1.0):
        easel = _Easel(-0.5, -0.1, 0.5, 0.1, size)
        easel.paint(_box(easel.x, easel.y, 0.44, 0.03, 0.02), frame)
        mount = _Mount((side * 0.9, looks.eye_height - 0.06, 0.38), facing=side * 80.0)
        sheets.append(easel.finish("left_temple" if side < 0 else "right_temple", mount))
    return sheets


def _paint_brim(looks: _Looks, size: int) -> _Sheet:
    """The far half of a sun hat's brim."""
    easel = _Easel(-1.7, -0.9, 1.7, 0.1, size, 1.3)
    easel.paint(_ellipse(easel.x, easel.y + 0.42, 1.6, 0.42), _shade(looks.accessory, -0.35))
    return easel.finish("brim_back", _Mount((0.0, -0.28, -0.1)))


def _paint_hat(looks: _Looks, size: int) -> list[_Sheet]:
    colour, trim = looks.accessory, looks.trim
    if looks.hat in ("beanie", "cap", "brim"):
        return _paint_dome(looks, size)
    if looks.hat == "band":
        easel = _Easel(-1.25, -1.3, 1.25, 0.0, size)
        x, y = easel.x, easel.y
        outline = _ellipse(x, y + 0.08, looks.width + 0.11, looks.height + 0.11)
        easel.paint(np.maximum(outline, np.abs(y + 0.72 - 0.32 * x * x) - 0.11), colour)
        easel.tint(0.3 * _ramp(np.abs(x), 0.4, 1.1), _shade(colour, -0.7))
        return [easel.finish("band", _Mount((0.0, 0.0, -0.01)))]
    easel = _Easel(-0.5, -0.4, 0.5, 0.4, size, 1.8)
    x, y = easel.x, easel.y
    at = (looks.side * 0.56, -0.82, 0.42)
    if looks.hat == "bow":
        apart = np.abs(x)
        easel.paint(np.maximum(np.abs(y) - 0.08 - 0.5 * apart, apart - 0.42), colour)
        easel.tint(0.4 * (1.0 - _ramp(apart, 0.1, 0.3)), _shade(colour, -0.8))
        easel.paint(_ellipse(x, y, 0.11, 0.12), _shade(colour, 0.15))
    else:
        for turn in range(5):
            angle = 2.0 * np.pi * (turn / 5.0 + 0.05)
            petal_x, petal_y = round(0.19 * float(np.cos(angle)), 4), round(0.19 * float(np.sin(angle)), 4)
            easel.paint(_ellipse(x - petal_x, y - petal_y, 0.15, 0.15), _shade(colour, 0.25 + 0.05 * (turn % 2)))
        easel.paint(_ellipse(x, y, 0.11, 0.11), _mix(trim, (1.0, 0.85, 0.3), 0.7))
    return [easel.finish(looks.hat, _Mount(at, facing=looks.side * 25.0))]


def _paint_dome(looks: _Looks, size: int) -> list[_Sheet]:
    """The hats that cover the crown: a woollen one, one with a visor, one with a wide brim."""
    colour, trim = looks.accessory, looks.trim
    easel = _Easel(-1.35, -1.75, 1.35, -0.1, size, 1.3)
    x, y = easel.x, easel.y
    dome = np.maximum(_ellipse(x, y + 0.25, looks.width + 0.14, looks.height + 0.07), y + 0.5 - 0.16 * x * x)
    if looks.hat == "beanie":
        easel.paint(
            _ellipse(x, y + 1.42, 0.27, 0.25) + 0.15 * _noise(looks.noise, 8.0 * x + 6.0, 8.0 * y + 16.0),
            trim,
        )
    easel.paint(dome, colour)
    if looks.hat == "beanie":
        easel.tint(0.3 * easel.cover(0.45 - _zigzag((x / (1.35 + 0.5 * y)) * 4.0)), _shade(colour, -0.6))
    elif looks.hat == "cap":
        easel.tint(easel.cover(np.abs(np.abs(x) - 0.5 * (y + 1.3)) - 0.018), _shade(colour, -0.5))
        easel.paint(_ellipse(x, y + 1.3, 0.09, 0.05), _shade(colour, -0.3))
    easel.tint(0.4 * _ramp(_ellipse(x - 0.15, y + 0.15, 1.25, 1.25), -0.6, 0.2), _shade(colour, -0.7))
    easel.tint(0.3 * (1.0 - _ramp(_ellipse(x + 0.4, y + 0.9, 0.5, 0.35), -0.9, 0.3)), _shade(colour, 0.6))
    if looks.hat == "beanie":
        band = _box(x, y + 0.55 - 0.16 * x * x, looks.width + 0.2, 0.19, 0.12)
        easel.paint(band, _shade(colour, 0.18))
        easel.tint(0.35 * easel.cover(np.maximum(band, 0.6 - _zigzag(5.0 * x))), _shade(colour, -0.6))
    elif looks.hat == "brim":
        easel.tint(easel.cover(np.abs(y + 0.66 - 0.16 * x * x) - 0.11), trim)
    sheets = [easel.finish(looks.hat, _Mount((0.0, 0.0, -0.02)), ("crown", 0.0, -1.1))]
    if looks.hat == "cap":
        easel = _Easel(-0.95, -0.35, 0.95, 0.35, size)
        x, y = easel.x, easel.y
        easel.paint(np.maximum(_ellipse(x, y + 0.2, 0.84, 0.44), 0.3 * x * x - 0.16 - y), _shade(colour, -0.3))
        easel.tint(0.4 * _ramp(y, 0.0, 0.25), _shade(colour, -0.8))
        sheets.append(easel.finish("visor", _Mount((0.0, -0.5, 0.62), facing=0.0)))
    elif looks.hat == "brim":
        easel = _Easel(-1.7, -0.5, 1.7, 0.5, size, 1.3)
        x, y = easel.x, easel.y
        easel.paint(np.maximum(_ellipse(x, y, 1.6, 0.36), -_ellipse(x, y + 0.34, 1.25, 0.36)), _shade(colour, 0.08))
        easel.tint(0.35 * _ramp(np.abs(x), 0.6, 1.6), _shade(colour, -0.7))
        sheets.append(easel.finish("brim_front", _Mount((0.0, -0.52, 0.1))))
    return sheets


def _paint_background(looks: _Looks, size: int) -> _Numbers:
    """Channels-first RGB in [0, 1] of what stands still behind the puppet, 3 size size."""
    line = np.arange(size, dtype=np.float32) * np.float32(2.0 / (size - 1)) - 1.0
    x, y = line[None, :], line[:, None]
    sharp = np.float32(size / 2.0)

    def edge(shape: _Field) -> _Field:
        return np.clip(0.5 - shape * sharp, 0.0, 1.0)

    along = x + looks.turn * y
    upright = y - looks.turn * x
    amount = _ramp(upright, -1.4, 1.4)
    if looks.scenery == "stripes":
        pattern = edge((0.5 - _zigzag(along * 1.6)) * 0.3)
    elif looks.scenery == "dots":
        column, row = along * 2.2, upright * 2.2
        pattern = edge((_ellipse(column - np.floor(column) - 0.5, row - np.floor(row) - 0.5, 0.3, 0.3)) * 0.07)
    elif looks.scenery == "checks":
        pattern = 0.5 * edge((0.5 - _zigzag(along * 1.3)) * 0.35) + 0.5 * edge((0.5 - _zigzag(upright * 1.3)) * 0.35)
    elif looks.scenery == "clouds":
        cloud = _noise(looks.noise, 2.6 * x + 6.0, 3.6 * y + 6.0) + 0.5 * _noise(
            looks.noise, 6.0 * x + 6.3, 7.0 * y + 6.3
        )
        pattern = _ramp(cloud, -0.5, 0.7)
    elif looks.scenery == "hills":
        far = edge((0.15 + 0.2 * _wave(0.6 * x + looks.turn)) - y)
        near = edge((0.45 + 0.15 * _wave(0.45 * x - looks.turn)) - y)
        pattern = np.maximum(0.55 * far, near)
    elif looks.scenery == "rings":
        distance = np.sqrt((x - 0.5 * looks.turn) ** 2 + (y + 0.4) ** 2)
        pattern = edge((0.5 - _zigzag(distance * 1.8)) * 0.28)
    elif looks.scenery == "rays":
        distance = np.abs(x - 0.3 * looks.turn) + np.abs(y - 1.2) + np.float32(1e-3)
        pattern = edge((0.5 - _zigzag(5.0 * (x - 0.3 * looks.turn) / distance)) * 0.2 * distance)
    else:
        pattern = np.zeros_like(amount)
    grain = 0.025 * _noise(looks.noise, 1.7 * x + 6.0, 1.7 * y + 6.0)
    accent = _mix(_mix(looks.sky, looks.ground, 0.75), _WHITE, 0.08)
    planes = [
        np.clip(
            (sky + (ground - sky) * 0.6 * amount) * (1.0 - 0.55 * pattern) + 0.55 * pattern * third + grain,
            0.0,
            1.0,
        )
        for sky, ground, third in zip(looks.sky, looks.ground, accent, strict=True)
    ]
    return np.stack(planes).astype(np.float32)


# --- Drawing frames ---------------------------------------------------------------------------------------


def _rank(number: int, sheet: _Sheet, place: _Placement) -> _Whole:
    """When the sheet is drawn in each frame: later lies over earlier, -1 is never."""
    own = np.where(place.nearer & sheet.mount.turns_over, 100 + number, number)
    return np.where(place.shown, own, -1).astype(np.int16)


def _render(scenery: _Numbers, sheets: list[_Sheet], affine: _Numbers, rank: _Whole) -> tuple[_Numbers, _Whole]:
    """Lay all sheets over the background.

    Args:
        scenery: 3 size size.
        sheets: The parts; sheet `i` is layer `i + 1`.
        affine: time layers 2 3: sheet coordinates to xy.
        rank: sheets time: see `_rank`.

    Returns:
        RGB (time 3 size size) and the topmost layer (time size size).
    """
    count, size = affine.shape[0], scenery.shape[-1]
    picture = np.tile(scenery, (count, 1, 1, 1))
    layer = np.zeros((count, size, size), np.uint8)
    to_sheet = _invert(affine.astype(np.float64))
    group = max(1, _PIXELS_AT_ONCE // (size * size))
    for start in range(0, count, group):
        part = slice(start, min(start + group, count))
        turns = sorted(
            {(int(turn), number) for number in range(len(sheets)) for turn in rank[number, part] if turn >= 0}
        )
        for turn, number in turns:
            times = start + np.flatnonzero(rank[number, part] == turn)
            _lay_sheet(
                picture,
                layer,
                sheets[number],
                number + 1,
                times,
                affine[times, number + 1],
                to_sheet[times, number + 1],
            )
    return np.clip(picture, 0.0, 1.0, out=picture), layer  # blending may round to just above 1


def _lay_sheet(
    picture: _Numbers,
    layer: _Whole,
    sheet: _Sheet,
    label: int,
    times: _Whole,
    affine: _Numbers,
    to_sheet: _Affine,
) -> None:
    """Lay one sheet over some frames, each in the box of pixels where it can be seen."""
    size = picture.shape[-1]
    rows, cols = sheet.picture.shape[:2]
    pixel = 2.0 / (size - 1)
    left, right = sheet.left, sheet.left + (cols - 1) / sheet.density
    top, bottom = sheet.top, sheet.top + (rows - 1) / sheet.density
    corners = np.array([[left, top, 1.0], [right, top, 1.0], [left, bottom, 1.0], [right, bottom, 1.0]])
    spread = ((affine.astype(np.float64)[:, None] * corners[:, None]).sum(-1) + 1.0) / pixel
    lowest = np.clip(np.ceil(spread.min(axis=1)), 0, size).astype(np.intp)
    highest = np.clip(np.floor(spread.max(axis=1)) + 1, 0, size).astype(np.intp)
    wide, high = (int(length) for length in (highest - lowest).max(axis=0))
    if min(wide, high) <= 0:
        return
    first_col = np.minimum(lowest[:, 0], size - wide)
    first_row = np.minimum(lowest[:, 1], size - high)
    # Column and row of the pixel to column and row of the texel.
    across = to_sheet[:, :, 0] * pixel * sheet.density
    down = to_sheet[:, :, 1] * pixel * sheet.density
    origin = (to_sheet[:, :, 2] - to_sheet[:, :, 0] - to_sheet[:, :, 1] - np.array([left, top])) * sheet.density
    # Counted from the frame's corner, not the box's, so that no digit depends on which frames share a box.
    over_cols = across[..., None] * (first_col[:, None, None] + np.arange(wide)) + origin[..., None]
    over_rows = down[..., None] * (first_row[:, None, None] + np.arange(high))
    texel = over_cols[:, :, None, :].astype(np.float32) + over_rows[:, :, :, None].astype(np.float32)
    painted = _read(sheet.picture, texel[:, 0], texel[:, 1])
    keep = 1.0 - painted[:, 3]
    covers = painted[:, 3] > 0.5
    for number, time in enumerate(times):
        row, col = int(first_row[number]), int(first_col[number])
        box = (slice(row, row + high), slice(col, col + wide))
        under = picture[time, :, box[0], box[1]]
        under *= keep[number]
        under += painted[number, :3]
        np.copyto(layer[time][box], np.uint8(label), where=covers[number])


def _read(picture: _Picture, col: _Numbers, row: _Numbers) -> _Numbers:
    """Bilinear reading at texel positions (time high wide); gives time 4 high wide."""
    rows, cols = picture.shape[:2]
    np.clip(col, 0.0, cols - 1.01, out=col)
    np.clip(row, 0.0, rows - 1.01, out=row)
    first_col, first_row = col.astype(np.intp), row.astype(np.intp)
    share_col = np.broadcast_to((col - first_col).astype(np.float32)[..., None], (*col.shape, 4)).copy()
    share_row = np.broadcast_to((row - first_row).astype(np.float32)[..., None], (*col.shape, 4)).copy()
    texels: _Numbers = picture.reshape(-1, 4)
    first = first_row * cols + first_col
    above = _look_up(texels, first)
    above += (_look_up(texels, first + 1) - above) * share_col
    first += cols
    below = _look_up(texels, first)
    below += (_look_up(texels, first + 1) - below) * share_col
    above += (below - above) * share_row
    return np.ascontiguousarray(np.moveaxis(above, -1, 1))


def _look_up(table: _Numbers, index: _Whole) -> _Numbers:
    """Rows of a table, without a check of each index."""
    return table.take(index, axis=0, mode="clip")


# --- Truth ------------------------------------------------------------------------------------------------


def _shows(shown: _Whole, seen: _Whole, deformation: _Numbers) -> NDArray[np.bool_]:
    """Whether a frame with layers `shown` has at `deformation` the layer that is `seen`.

    One of the four pixels around the point suffices, for on a border the nearest may fall to either side.
    """
    rows, cols = shown.shape
    col = (deformation[..., 0] + 1.0) * np.float32(0.5 * (cols - 1))
    row = (deformation[..., 1] + 1.0) * np.float32(0.5 * (rows - 1))
    slack = np.float32(0.01)  # of a pixel, for rounding
    inside = (col >= -slack) & (col <= cols - 1 + slack) & (row >= -slack) & (row <= rows - 1 + slack)
    left = np.clip(col, 0, cols - 1).astype(np.intp)
    top = np.clip(row, 0, rows - 1).astype(np.intp)
    right, bottom = np.minimum(left + 1, cols - 1), np.minimum(top + 1, rows - 1)
    match = np.zeros(seen.shape, np.bool_)
    for nearby_row in (top, bottom):
        for nearby_col in (left, right):
            np.logical_or(match, shown[nearby_row, nearby_col] == seen, out=match)
    return inside & match


def _landmarks(
    sheets: list[_Sheet], affine: _Numbers, rank: _Whole, layer: _Whole
) -> tuple[_Numbers, NDArray[np.bool_]]:
    """xy of the keypoints (time points 2) and whether nothing lies over them (time points)."""
    count, size = layer.shape[0], layer.shape[-1]
    position = np.zeros((count, len(LANDMARKS), 2), np.float32)
    visible = np.zeros((count, len(LANDMARKS)), np.bool_)
    ranks = np.concatenate([np.full((1, count), -1, np.int16), rank])
    times = np.arange(count, dtype=np.intp)
    for number, sheet in enumerate(sheets):
        for name, x, y in sheet.landmarks:
            point = LANDMARKS.index(name)
            place = affine[:, number + 1]
            position[:, point] = place[:, :, 0] * np.float32(x) + place[:, :, 1] * np.float32(y) + place[:, :, 2]
            pixel = np.rint((position[:, point] + 1.0) * 0.5 * (size - 1)).astype(np.intp)
            inside = ((pixel >= 0) & (pixel < size)).all(axis=1)
            col, row = np.clip(pixel, 0, size - 1).T
            over = ranks[layer[times, row, col], times]
            visible[:, point] = inside & (rank[number] >= 0) & (over <= rank[number])
    return position, visible
