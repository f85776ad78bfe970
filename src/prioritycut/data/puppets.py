"""Puppets: drawn characters with ground truth, the data set that needs no download.

Every puppet is a stack of parts. A part has a shape and a colour in coordinates of its own, and for each pose one
affine map into the frame. Parts sit on a head that turns: features slide over it and foreshorten, what lies behind
(hair, the far ear, the background) is covered and uncovered. Because colour belongs to the part and not to the
frame, the motion of every pixel and what the source cannot show are known exactly.

Coordinates: part and frame are xy, y down; the frame is [-1, 1] with its ends on the centres of the corner pixels.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi, radians, sin, tau

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

Array = np.ndarray
Affine = np.ndarray
"""2x3: frame = A[:, :2] @ part + A[:, 2]."""

SMALLEST, LARGEST = 64, 256
"""Sides of a frame, in pixels."""
RATE = 25
"""Frames a second that the motion is made for."""


@dataclass(frozen=True, slots=True)
class PairTruth:
    """What an animator should find out from a source and a driving frame.

    Attributes:
        deformation: For each driving pixel the xy in [-1, 1] where the source has that point of its surface;
            the identity grid where nothing moved.
        occlusion_map: 1 where the source shows the driving pixel, 0 where it does not.
    """

    deformation: Float[Tensor, "height width 2"]
    occlusion_map: Float[Tensor, "1 height width"]


@dataclass(frozen=True, slots=True)
class PuppetClip:
    """A clip with its ground truth.

    Attributes:
        name: File name without suffix.
        identity: The looks; equal numbers of one seed are the same character.
        frames: RGB in [0, 1].
        position: The `LANDMARKS`, xy in [-1, 1].
        visible: False where a landmark is behind something or outside of the frame.
        foreground: 1 puppet, 0 background.
        layer: Number of the topmost part at each pixel.
        affine: Map of each part into the frame.
    """

    name: str
    identity: int
    frames: Float[Tensor, "time 3 height width"]
    position: Float[Tensor, "time points 2"]
    visible: Bool[Tensor, "time points"]
    foreground: Float[Tensor, "time 1 height width"]
    layer: UInt8[Tensor, "time height width"]
    affine: Float[Tensor, "time layers 2 3"]

    def truth(self, source: int, driving: int) -> PairTruth:
        """Backward motion and occlusion of a pair of this clip's frames, by number."""
        height, width = self.layer.shape[1:]
        start, end = self.affine[source].double(), self.affine[driving].double()
        # Frame to part in the driving frame, then part to frame in the source.
        linear = start[:, :, :2] @ torch.linalg.inv(end[:, :, :2])
        shift = start[:, :, 2] - (linear @ end[:, :, 2:]).squeeze(-1)
        top = self.layer[driving].long()
        grid = torch.stack(
            torch.meshgrid(
                torch.linspace(-1, 1, width, dtype=torch.float64),
                torch.linspace(-1, 1, height, dtype=torch.float64),
                indexing="xy",
            ),
            -1,
        )
        where = (linear[top] @ grid[..., None]).squeeze(-1) + shift[top]

        # Visible if a pixel next to the place in the source belongs to the same part.
        column = (where[..., 0] + 1) / 2 * (width - 1)
        row = (where[..., 1] + 1) / 2 * (height - 1)
        inside = (column > -0.5) & (column < width - 0.5) & (row > -0.5) & (row < height - 0.5)
        seen = torch.zeros_like(inside)
        for rounded_row in (row.floor(), row.ceil()):
            for rounded_column in (column.floor(), column.ceil()):
                y = rounded_row.long().clamp(0, height - 1)
                x = rounded_column.long().clamp(0, width - 1)
                seen |= self.layer[source][y, x] == self.layer[driving]
        return PairTruth(where.float(), (seen & inside)[None].float())


# --------------------------------------------------------------------------------------------------
# Shapes: signed distance in the part's own units, negative inside. Colours: RGB at each point of the part.

Shape = Callable[[Array, Array], Array]
Colour = Callable[[Array, Array], Array]


def _ellipse(a: float, b: float) -> Shape:
    def distance(u: Array, v: Array) -> Array:
        k = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2)
        return k * (k - 1) / (slope + 1e-6)

    return distance


def _face(a: float, b: float, jaw: float) -> Shape:
    inner = _ellipse(a, b)
    return lambda u, v: inner(u * (1 + jaw * np.maximum(v, 0) ** 2), v)


def _ring(a: float, b: float, half: float) -> Shape:
    inner = _ellipse(a, b)
    return lambda u, v: np.abs(inner(u, v)) - half


def _box(a: float, b: float, corner: float) -> Shape:
    def distance(u: Array, v: Array) -> Array:
        du, dv = np.abs(u) - (a - corner), np.abs(v) - (b - corner)
        outside = np.sqrt(np.maximum(du, 0) ** 2 + np.maximum(dv, 0) ** 2)
        return outside + np.minimum(np.maximum(du, dv), 0) - corner

    return distance


def _bow(length: float, half: float, bend: float) -> Shape:
    """A bent stroke: a parabola from -length to length whose middle lies `bend` above its ends."""

    def distance(u: Array, v: Array) -> Array:
        across = np.abs(v + bend * (1 - (u / length) ** 2))
        along = np.abs(u) - length
        taper = half * (1 - 0.5 * np.minimum((u / length) ** 2, 1))
        return np.maximum(across - taper, along)

    return distance


def _below(inner: Shape, edge: Callable[[Array], Array]) -> Shape:
    """The part of a shape above the line v = edge(u)."""
    return lambda u, v: np.maximum(inner(u, v), v - edge(u))


def _union(*shapes: Shape) -> Shape:
    def distance(u: Array, v: Array) -> Array:
        result = shapes[0](u, v)
        for shape in shapes[1:]:
            result = np.minimum(result, shape(u, v))
        return result

    return distance


def _at(inner: Shape, x: float, y: float) -> Shape:
    return lambda u, v: inner(u - x, v - y)


def _plain(colour: Array) -> Colour:
    column = colour.reshape(3, 1, 1)
    return lambda u, v: np.broadcast_to(column, (3, *np.broadcast_shapes(u.shape, v.shape)))


def _shaded(colour: Array, amount: float, *, reach: float = 1.0) -> Colour:
    """Lit from above left, darker towards the lower right and the rim."""
    column = colour.reshape(3, 1, 1)

    def paint(u: Array, v: Array) -> Array:
        light = 1 - amount * (0.45 * (u + v) + 0.35 * (u * u + v * v)) / reach
        return column * light

    return paint


def _patterned(colour: Array, other: Array, pattern: int, frequency: float, angle: float) -> Colour:
    """Two colours as gradient, stripes, dots, checks or soft waves."""
    first, second = colour.reshape(3, 1, 1), other.reshape(3, 1, 1)
    c, s = cos(angle), sin(angle)

    def paint(u: Array, v: Array) -> Array:
        a, b = (c * u + s * v) * frequency, (c * v - s * u) * frequency
        if pattern == 0:
            share = 0.5 + 0.45 * (c * u + s * v)
        elif pattern == 1:
            share = 0.5 + 0.5 * np.clip(3 * np.sin(a), -1, 1)
        elif pattern == 2:
            share = np.clip(3 * (np.sin(a) * np.sin(b) - 0.25), 0, 1)
        elif pattern == 3:
            share = 0.5 + 0.5 * np.clip(4 * np.sin(a) * np.sin(b), -1, 1)
        else:
            share = 0.5 + 0.25 * (np.sin(0.5 * a + 2 * np.sin(0.4 * b)) + np.sin(0.7 * b + 1.3))
        return first + (second - first) * np.clip(share, 0, 1)

    return paint


# --------------------------------------------------------------------------------------------------
# Poses


@dataclass(frozen=True, slots=True)
class _Pose:
    yaw: float  # positive turns the face to the right of the frame
    pitch: float  # positive looks down
    roll: float
    x: float
    y: float
    size: float
    lids: float  # 0 closed, 1 open
    mouth: float  # 0 closed, 1 wide open
    gaze_x: float
    gaze_y: float


def _wave(random: np.random.Generator, amplitude: float, slowest: float, fastest: float) -> Callable[[float], float]:
    """A smooth path in time: three sines with random periods in seconds, never beyond the amplitude."""
    shares = amplitude * np.array([0.65, 0.25, 0.10])
    periods = np.array([random.uniform(fastest, slowest), *random.uniform(0.4 * fastest, fastest, 2)])
    phases = random.uniform(0, tau, 3)
    return lambda t: float((shares * np.sin(tau * t / periods + phases)).sum())


def _path(random: np.random.Generator) -> Callable[[float], _Pose]:
    """The pose at each second of a clip."""
    yaw = _wave(random, radians(random.uniform(32, 50)), 2.6, 1.3)
    pitch = _wave(random, radians(random.uniform(8, 16)), 3.0, 1.4)
    roll = _wave(random, radians(random.uniform(6, 16)), 3.0, 1.4)
    x, y = _wave(random, random.uniform(0.06, 0.18), 3.0, 1.5), _wave(random, random.uniform(0.04, 0.10), 2.4, 1.2)
    size = _wave(random, random.uniform(0.02, 0.07), 4.0, 2.0)
    talk, speech = _wave(random, 1.0, 0.7, 0.35), _wave(random, 1.0, 2.5, 1.2)
    gaze_x, gaze_y = _wave(random, 0.5, 2.2, 1.0), _wave(random, 0.3, 2.2, 1.0)
    blink_every, blink_at = random.uniform(1.2, 2.8), random.uniform(0, 2)
    middle_y, middle_size = random.uniform(-0.16, -0.06), random.uniform(0.50, 0.60)

    def pose(t: float) -> _Pose:
        since = (t + blink_at) % blink_every
        lids = min(1.0, abs(since - 0.13) / 0.13)
        return _Pose(
            yaw(t),
            pitch(t),
            roll(t),
            x(t),
            middle_y + y(t),
            middle_size * (1 + size(t)),
            lids,
            max(0.0, 0.15 + 0.85 * talk(t) * (0.6 + 0.4 * speech(t))),
            gaze_x(t),
            gaze_y(t),
        )

    return pose


# --------------------------------------------------------------------------------------------------
# Parts

WIDE, TALL = 0.80, 1.0
"""Half width and half height of the head, the unit of all parts."""

Place = Callable[[_Pose], tuple[Affine, float]]
"""Pose -> map into the frame, and the depth to draw at (a negative one is not drawn)."""


@dataclass(frozen=True, slots=True)
class _Part:
    group: str
    shape: Shape
    colour: Colour
    reach: tuple[float, float]
    place: Place


def _compose(outer: Affine, inner: Affine) -> Affine:
    linear = outer[:, :2] @ inner[:, :2]
    return np.concatenate([linear, outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], axis=1)


def _local(sx: float, sy: float, x: float, y: float) -> Affine:
    return np.array([[sx, 0.0, x], [0.0, sy, y]])


def _head(pose: _Pose) -> Affine:
    c, s = pose.size * cos(pose.roll), pose.size * sin(pose.roll)
    return np.array([[c, -s, pose.x], [s, c, pose.y]])


def _body(pose: _Pose) -> Affine:
    return np.array([[pose.size, 0.0, 0.45 * pose.x], [0.0, pose.size, 0.45 * pose.y]])


def _fixed(depth: float) -> Place:
    identity = _local(1, 1, 0, 0)
    return lambda pose: (identity, depth)


def _on_body(depth: float) -> Place:
    return lambda pose: (_body(pose), depth)


def _in_head(depth: float, *, parallax: float = 0.0, lift: float = 0.0) -> Place:
    """A flat layer of the head that slides with turning: forward layers (positive) along, those behind against."""
    return lambda pose: (
        _compose(_head(pose), _local(1, 1, parallax * sin(pose.yaw), lift * sin(pose.pitch))),
        depth,
    )


def _surface(pose: _Pose, longitude: float, latitude: float, bulge: float) -> tuple[Affine, bool]:
    """A tangent plane of the head, foreshortened, and whether it faces us."""
    lon, lat = longitude + pose.yaw, latitude + pose.pitch
    x, y = WIDE * bulge * sin(lon) * cos(lat * 0.6), TALL * bulge * sin(lat)
    faces = cos(lon) > 0.08
    return _compose(_head(pose), _local(max(cos(lon), 0.08), max(cos(lat), 0.3), x, y)), faces


def _on_face(
    longitude: float,
    latitude: float,
    depth: float,
    *,
    bulge: float = 1.0,
    inner: Callable[[_Pose], Affine] | None = None,
) -> Place:
    """On the head's surface at an angle, with a motion of its own on top."""
    lon, lat = radians(longitude), radians(latitude)

    def place(pose: _Pose) -> tuple[Affine, float]:
        plane, faces = _surface(pose, lon, lat, bulge)
        return (plane if inner is None else _compose(plane, inner(pose))), depth if faces else -1.0

    return place


def _ear(side: int, near: float, far: float) -> Place:
    """Left is -1. The ear on the turned-away side goes behind the head."""

    def place(pose: _Pose) -> tuple[Affine, float]:
        towards_us = -side * sin(pose.yaw)
        x = side * WIDE * (cos(pose.yaw) * 1.02)
        width = 0.55 + 0.45 * max(0.0, towards_us)
        plane = _compose(_head(pose), _local(width, 1.0, x, 0.08 + 0.5 * sin(pose.pitch)))
        return plane, near if towards_us > 0.12 else far

    return place


# Depths: a part is drawn over all parts of smaller depth.
_BACKGROUND, _HAIR_BACK, _TORSO, _NECK, _EAR_FAR, _SKULL, _EAR_NEAR = range(7)
_MARKS, _EYES, _BROWS, _MOUTH, _NOSE, _FRINGE, _GLASSES, _HAT = (float(i) for i in range(7, 15))


def _hsv(h: float, s: float, v: float) -> Array:
    return np.array(colorsys.hsv_to_rgb(h % 1.0, s, v), dtype=np.float32)


_SKINS = ((0.07, 0.28, 0.98), (0.06, 0.38, 0.92), (0.065, 0.46, 0.80), (0.06, 0.52, 0.62), (0.055, 0.55, 0.45))
_HAIRS = ((0.08, 0.65, 0.22), (0.07, 0.70, 0.40), (0.11, 0.55, 0.85), (0.03, 0.75, 0.62), (0.0, 0.0, 0.72), (0.6, 0.3, 0.16))
_FUNNY_HAIRS = ((0.92, 0.5, 0.9), (0.55, 0.55, 0.85), (0.75, 0.45, 0.8), (0.4, 0.5, 0.7))


def _parts(random: np.random.Generator) -> list[_Part]:
    """Draw the looks of one character."""
    skin = _hsv(*_SKINS[random.integers(len(_SKINS))]) * random.uniform(0.96, 1.02)
    shade = skin * np.array([0.82, 0.74, 0.72], dtype=np.float32)
    palette = _FUNNY_HAIRS if random.random() < 0.15 else _HAIRS
    hair = _hsv(*palette[random.integers(len(palette))])
    hue = random.random()
    backdrop = _hsv(hue, random.uniform(0.15, 0.5), random.uniform(0.6, 0.95))
    backdrop2 = _hsv(hue + random.uniform(-0.12, 0.12), random.uniform(0.1, 0.5), random.uniform(0.45, 0.9))
    cloth = _hsv(hue + random.uniform(0.3, 0.7), random.uniform(0.35, 0.8), random.uniform(0.4, 0.9))
    cloth2 = _hsv(hue + random.uniform(0.3, 0.7), random.uniform(0.2, 0.7), random.uniform(0.6, 1.0))
    white, dark = np.array([0.98, 0.98, 0.97], np.float32), np.array([0.10, 0.08, 0.09], np.float32)
    angle = random.uniform(0, pi)
    jaw = random.uniform(0.05, 0.28)

    parts = [
        _Part(
            "background",
            lambda u, v: np.full(np.broadcast_shapes(u.shape, v.shape), -9.0, np.float32),
            _patterned(backdrop, backdrop2, int(random.integers(5)), random.uniform(5, 12), angle),
            (1.2, 1.2),
            _fixed(_BACKGROUND),
        )
    ]

    # Torso and neck. The neck hangs from the head, the torso lags behind it.
    shoulders = random.uniform(1.25, 1.5)
    torso = _patterned(cloth, cloth2, int(random.integers(1, 5)), random.uniform(7, 14), random.uniform(0, pi))
    parts += [
        _Part("torso", _at(_box(shoulders, 1.4, 0.55), 0, 2.62), torso, (1.6, 4.1), _on_body(_TORSO)),
        _Part("torso", _at(_ellipse(0.46, 0.26), 0, 1.27), _plain(shade * 0.93), (0.5, 1.6), _on_body(_TORSO + 0.1)),
        _Part("neck", _at(_box(0.30, 0.45, 0.12), 0, 0.98), _plain(shade), (0.35, 1.5), _in_head(_NECK)),
    ]

    # Hair behind the head.
    style = int(random.integers(6))  # 0 bald, 1 short, 2 long, 3 curls, 4 bun, 5 bob
    long = style in (2, 5)
    hair_paint = _patterned(hair, hair * 0.78, 1, random.uniform(9, 16), random.uniform(-0.5, 0.5))
    back: Shape | None = None
    if style == 1:
        back = _at(_ellipse(0.88, 0.92), 0, -0.18)
    elif style == 2:
        back = _union(_at(_ellipse(0.98, 1.02), 0, -0.12), _at(_box(0.94, 0.95, 0.4), 0, 0.55))
    elif style == 3:
        ring = [_at(_ellipse(0.34, 0.34), 0.82 * sin(a), -0.25 - 0.80 * cos(a)) for a in np.linspace(-2.0, 2.0, 9)]
        back = _union(_at(_ellipse(0.85, 0.85), 0, -0.25), *ring)
    elif style == 4:
        back = _union(_at(_ellipse(0.86, 0.92), 0, -0.15), _at(_ellipse(0.36, 0.33), 0, -1.22))
    elif style == 5:
        back = _union(_at(_ellipse(0.98, 0.98), 0, -0.14), _at(_box(0.98, 0.55, 0.3), 0, 0.3))
    if back is not None:
        parts.append(_Part("hair", back, hair_paint, (1.3, 1.65), _in_head(_HAIR_BACK, parallax=-0.22, lift=-0.1)))

    ear = random.uniform(0.15, 0.22)
    for side, name in ((-1, "left_ear"), (1, "right_ear")):
        parts.append(
            _Part(name, _ellipse(ear, ear * 1.35), _shaded(shade * 1.08, 0.5), (0.3, 0.35), _ear(side, _EAR_NEAR, _EAR_FAR))
        )
        if random.random() < 0.25 and not long:
            parts.append(
                _Part(name, _at(_ellipse(0.06, 0.06), 0, ear * 1.35), _plain(cloth2), (0.1, 0.4), _ear(side, _EAR_NEAR + 0.1, _EAR_FAR + 0.1))
            )
    parts.append(_Part("skull", _face(WIDE, TALL, jaw), _shaded(skin, 0.22), (0.85, 1.05), _in_head(_SKULL)))

    # Marks on the skin.
    blush = skin * 0.45 + np.array([0.95, 0.42, 0.42], np.float32) * 0.55
    blush_size = random.uniform(0.10, 0.17)
    for side in (-1, 1):
        parts.append(_Part("skull", _ellipse(blush_size, blush_size * 0.75), _plain(blush), (0.2, 0.2), _on_face(33 * side, 19, _MARKS)))
        if random.random() < 0.3:
            for dx, dy in ((-0.09, 0.0), (0.02, 0.06), (0.10, -0.02)):
                parts.append(_Part("skull", _at(_ellipse(0.022, 0.022), dx, dy), _plain(shade * 0.75), (0.2, 0.2), _on_face(24 * side, 14, _MARKS + 0.1)))
    if random.random() < 0.18:  # a beard
        beard = _below(_face(WIDE * 1.03, TALL * 1.05, jaw), lambda u: np.full_like(u, 9.0))
        edge = random.uniform(0.28, 0.4)
        parts.append(
            _Part(
                "skull",
                lambda u, v: np.maximum(beard(u, v), edge - v + 0.10 * np.cos(4 * u)),
                _shaded(hair, 0.2),
                (0.9, 1.1),
                _in_head(_MARKS - 0.2, parallax=0.05),
            )
        )

    # Eyes: white, iris, pupil, light, and a lid of skin that comes down over them.
    apart, height = random.uniform(23, 28), random.uniform(-9, -3)
    a, b = random.uniform(0.155, 0.20), random.uniform(0.14, 0.20)
    iris = _hsv(random.choice([0.08, 0.3, 0.55, 0.6]), random.uniform(0.4, 0.8), random.uniform(0.3, 0.7))
    lid_colour = skin * 0.86
    for side, name in ((-1, "left_eye"), (1, "right_eye")):

        def at_eye(depth: float, inner: Callable[[_Pose], Affine] | None = None, side: int = side) -> Place:
            return _on_face(apart * side, height, depth, bulge=0.98, inner=inner)

        def looking(pose: _Pose) -> Affine:
            return _local(1, max(0.12, pose.lids), 0.10 * pose.gaze_x, 0.08 * pose.gaze_y)

        def opened(pose: _Pose) -> Affine:
            return _local(1, max(0.12, pose.lids), 0, 0)

        parts += [
            _Part(name, _ellipse(a * 1.16, b * 1.18), _plain(dark * 1.5), (0.26, 0.26), at_eye(_EYES, opened)),
            _Part(name, _ellipse(a, b), _plain(white), (0.22, 0.22), at_eye(_EYES + 0.1, opened)),
            _Part(name, _ellipse(a * 0.68, a * 0.68), _shaded(iris, 0.6, reach=0.15), (0.2, 0.2), at_eye(_EYES + 0.2, looking)),
            _Part(name, _ellipse(a * 0.38, a * 0.38), _plain(dark), (0.15, 0.15), at_eye(_EYES + 0.3, looking)),
            _Part(name, _at(_ellipse(a * 0.17, a * 0.17), a * 0.25, -a * 0.27), _plain(white), (0.15, 0.15), at_eye(_EYES + 0.4, looking)),
        ]
        thickness, arch, tilt = random.uniform(0.035, 0.07), random.uniform(0.02, 0.09), random.uniform(-0.05, 0.05)
        parts.append(
            _Part(
                name.replace("eye", "brow"),
                lambda u, v, w=thickness, c=arch, k=tilt * side: _bow(0.2, w, c)(u, v + k * u * 5),
                _plain(hair * 0.75),
                (0.25, 0.25),
                _on_face(apart * side, height - 19, _BROWS, inner=lambda pose: _local(1, 1, 0, -0.05 * pose.mouth)),
            )
        )

    # Mouth: opens by stretching; teeth and tongue are parts of the same plane.
    wide, lips = random.uniform(0.22, 0.34), _hsv(random.uniform(0.96, 1.0), random.uniform(0.45, 0.65), 0.75) * 0.6 + skin * 0.35
    smile = random.uniform(0.03, 0.12)

    def speaking(pose: _Pose) -> Affine:
        return _local(1 - 0.18 * pose.mouth, 0.16 + 0.84 * pose.mouth, 0, 0)

    def smiling(pose: _Pose) -> Affine:
        return _local(1 - 0.18 * pose.mouth, 1, 0, 0.16 * pose.mouth)

    parts += [
        _Part("mouth", _ellipse(wide, 0.20), _plain(lips), (0.4, 0.25), _on_face(0, 33, _MOUTH, inner=speaking)),
        _Part("mouth", _ellipse(wide * 0.84, 0.145), _plain(np.array([0.35, 0.08, 0.10], np.float32)), (0.4, 0.2), _on_face(0, 33, _MOUTH + 0.1, inner=speaking)),
        _Part("mouth", _at(_box(wide * 0.55, 0.05, 0.02), 0, -0.085), _plain(white), (0.3, 0.15), _on_face(0, 33, _MOUTH + 0.2, inner=speaking)),
        _Part("mouth", _at(_ellipse(wide * 0.45, 0.06), 0, 0.08), _plain(np.array([0.86, 0.42, 0.45], np.float32)), (0.3, 0.15), _on_face(0, 33, _MOUTH + 0.2, inner=speaking)),
        _Part("mouth", _bow(wide * 1.02, 0.026, -smile), _plain(lips * 0.7), (0.4, 0.2), _on_face(0, 35, _MOUTH - 0.1, inner=smiling)),
    ]

    # Nose: stands out, so it slides further than the rest.
    nose = random.uniform(0.07, 0.13)
    tip = _union(_ellipse(nose, nose * random.uniform(0.8, 1.3)), _at(_ellipse(nose * 0.5, nose * 1.7), 0, -nose))
    parts.append(_Part("nose", tip, _shaded(shade * 1.09, 1.2, reach=0.35), (0.2, 0.4), _on_face(0, 11, _NOSE, bulge=1.22)))

    # Hair over the forehead, following the head a little less than the face does.
    if style != 0:
        line, sway = random.uniform(-0.62, -0.42), random.uniform(-0.35, 0.35)
        teeth, depth = int(random.integers(0, 5)), random.uniform(0.03, 0.09)
        cap = _face(WIDE * 1.06, TALL * 1.05, 0.0)
        fringe = _below(cap, lambda u: line + sway * u + 0.5 * u * u + depth * np.cos(teeth * 3.2 * u))
        parts.append(_Part("hair", fringe, hair_paint, (0.9, 1.1), _in_head(_FRINGE, parallax=0.10, lift=0.25)))

    if random.random() < 0.28:
        frame = _hsv(random.random(), random.uniform(0, 0.8), random.uniform(0.08, 0.4))
        lens = _ellipse if random.random() < 0.6 else (lambda p, q: _box(p, q, 0.08))
        for side in (-1, 1):
            rim = lens(a * 1.55, b * 1.55)
            parts.append(
                _Part("glasses", lambda u, v, rim=rim: np.abs(rim(u, v)) - 0.028, _plain(frame), (0.38, 0.38), _on_face(apart * side, height, _GLASSES, bulge=1.08))
            )
        parts.append(_Part("glasses", _bow(0.13, 0.03, 0.03), _plain(frame), (0.15, 0.1), _on_face(0, height - 2, _GLASSES, bulge=1.10)))

    if random.random() < 0.28:
        felt = _patterned(cloth, cloth2, int(random.integers(5)), 9.0, 0.0)
        crown = random.uniform(0.35, 0.55)
        top = _below(_at(_ellipse(0.88, 0.55 + crown), 0, -0.52), lambda u: -0.50 + 0.10 * u * u)
        parts.append(_Part("hat", top, felt, (1.0, 1.7), _in_head(_HAT, parallax=0.03, lift=0.2)))
        if random.random() < 0.6:
            parts.append(_Part("hat", _at(_ellipse(1.08, 0.13), 0, -0.50), _shaded(cloth * 0.8, 0.2), (1.15, 0.7), _in_head(_HAT + 0.1, parallax=0.12, lift=0.25)))
        else:
            parts.append(_Part("hat", _at(_ellipse(0.15, 0.15), 0, -1.12 - crown), _plain(cloth2), (0.2, 2.0), _in_head(_HAT + 0.1, parallax=-0.03)))
    return parts


# --------------------------------------------------------------------------------------------------
# Landmarks: (name, group, which part of the group, point on it). Groups that may lie on top without hiding it.

_POINTS: tuple[tuple[str, str, float, float], ...] = (
    ("left_eye", "left_eye", 0.0, 0.0),
    ("right_eye", "right_eye", 0.0, 0.0),
    ("left_brow_outer", "left_brow", -0.17, 0.0),
    ("left_brow_inner", "left_brow", 0.17, 0.0),
    ("right_brow_inner", "right_brow", -0.17, 0.0),
    ("right_brow_outer", "right_brow", 0.17, 0.0),
    ("nose_tip", "nose", 0.0, 0.0),
    ("mouth_left", "mouth", -0.24, 0.0),
    ("mouth_right", "mouth", 0.24, 0.0),
    ("mouth_top", "mouth", 0.0, -0.18),
    ("mouth_bottom", "mouth", 0.0, 0.18),
    ("left_ear", "left_ear", 0.0, 0.0),
    ("right_ear", "right_ear", 0.0, 0.0),
    ("chin", "skull", 0.0, 0.88),
    ("left_cheek", "skull", -0.62, 0.30),
    ("right_cheek", "skull", 0.62, 0.30),
    ("crown", "skull", 0.0, -0.90),
    ("left_shoulder", "torso", -1.0, 1.45),
    ("right_shoulder", "torso", 1.0, 1.45),
)
LANDMARKS: tuple[str, ...] = tuple(name for name, *_ in _POINTS)
"""Names of the keypoints. Left is the left of the picture when the puppet looks straight ahead."""

_MAY_LIE_ON_SKULL = frozenset({"skull", "mouth", "nose"})
_THIN = frozenset({"left_brow", "right_brow"})  # so thin that the pixel beside them may be skin


class _Canvas:
    """One frame being painted, part over part."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rgb = np.zeros((3, size, size), np.float32)
        self.top = np.zeros((size, size), np.uint8)
        self._axis = (2 * np.arange(size, dtype=np.float32) / (size - 1) - 1).astype(np.float32)

    def paint(self, number: int, part: _Part, affine: Affine) -> None:
        """Lay a part on top of what is there."""
        linear, shift = affine[:, :2], affine[:, 2]
        half = np.abs(linear) @ np.array(part.reach)
        per_unit = (self.size - 1) / 2
        low = np.maximum(np.floor((shift - half + 1) * per_unit).astype(int) - 1, 0)
        high = np.minimum(np.ceil((shift + half + 1) * per_unit).astype(int) + 2, self.size)
        if (low >= high).any():
            return
        x, y = self._axis[None, low[0] : high[0]], self._axis[low[1] : high[1], None]
        determinant = float(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0])
        a, b, c, d = (float(n) / determinant for n in (linear[1, 1], -linear[0, 1], -linear[1, 0], linear[0, 0]))
        dx, dy = x - np.float32(shift[0]), y - np.float32(shift[1])
        u, v = np.float32(a) * dx + np.float32(b) * dy, np.float32(c) * dx + np.float32(d) * dy
        # An edge of one pixel: signed distance in pixels, by the narrower side of a foreshortened part.
        pixels = np.float32(per_unit * abs(determinant) ** 0.5)
        cover = np.clip(0.5 - part.shape(u, v) * pixels, 0, 1)
        block = self.rgb[:, low[1] : high[1], low[0] : high[0]]
        block += cover * (part.colour(u, v) - block)
        self.top[low[1] : high[1], low[0] : high[0]][cover > 0.5] = number


def generate_puppet(seed: int, index: int, *, frames: int, size: int) -> PuppetClip:
    """Draw one clip: the character and its path follow from `seed` and `index` alone.

    Args:
        seed: Of a set of characters. Two sets share nobody.
        index: Which character of the set, from 0.
        frames: Length; a longer clip is the same path, gone further.
        size: Height and width in pixels, 64 to 256; the drawing is the same at every size.

    Raises:
        ValueError: `size` or `frames` is out of range, or a number is negative.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size must lie in [{SMALLEST}, {LARGEST}], got {size}")
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative, got {seed} and {index}")
    looks, motion = (np.random.default_rng((seed, index, part)) for part in (0, 1))
    parts, path = _parts(looks), _path(motion)
    first = {part.group: number for number, part in reversed(list(enumerate(parts)))}

    pictures = np.empty((frames, 3, size, size), np.float32)
    layer = np.empty((frames, size, size), np.uint8)
    affine = np.empty((frames, len(parts), 2, 3))
    position = np.empty((frames, len(_POINTS), 2))
    visible = np.zeros((frames, len(_POINTS)), bool)
    for time in range(frames):
        pose = path(time / RATE)
        placed = [part.place(pose) for part in parts]
        canvas = _Canvas(size)
        for number in sorted(range(len(parts)), key=lambda n: placed[n][1]):
            affine[time, number] = placed[number][0]
            if placed[number][1] >= 0:
                canvas.paint(number, parts[number], placed[number][0])
        pictures[time], layer[time] = canvas.rgb, canvas.top
        for point, (_, group, u, v) in enumerate(_POINTS):
            number = first[group]
            xy = placed[number][0] @ np.array([u, v, 1.0])
            position[time, point] = xy
            column, row = np.rint((xy + 1) / 2 * (size - 1)).astype(int)
            if placed[number][1] >= 0 and 0 <= column < size and 0 <= row < size:
                above = parts[canvas.top[row, column]].group
                on_skull = group == "skull" and above in _MAY_LIE_ON_SKULL
                visible[time, point] = above == group or on_skull or (group in _THIN and above == "skull")
    return PuppetClip(
        name=f"puppet-{seed}-{index:06d}",
        identity=index,
        frames=torch.from_numpy(np.clip(pictures, 0, 1)),
        position=torch.from_numpy(position).float(),
        visible=torch.from_numpy(visible),
        foreground=torch.from_numpy(layer != 0)[:, None].float(),
        layer=torch.from_numpy(layer),
        affine=torch.from_numpy(affine).float(),
    )


def generate_puppets(clips: int, *, frames: int = 32, size: int = 64, seed: int = 0) -> Iterator[PuppetClip]:
    """Clips one after the other; clip i is `generate_puppet(seed, i, ...)`.

    Args:
        clips: How many.
        frames, size, seed: See `generate_puppet`.
    """
    if clips < 1:
        raise ValueError(f"clips must be at least 1, got {clips}")
    return (generate_puppet(seed, index, frames=frames, size=size) for index in range(clips))
