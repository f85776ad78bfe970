"""The 2-D face alignment network (2DFAN-4): 68 points of a face, the tool of the paper's AKD on faces.

Source: Bulat & Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?" (ICCV 2017); names of
weights, crop and decoding as in the face-alignment package, which publishes them (`2DFAN4-11f355bf06.pth.tar`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.face_boxes import MediapipeBoxes
from prioritycut.metrics.detectors.s3fd import S3fd
from prioritycut.metrics.detectors.weights import load_weights, read_weights, weights_version
from prioritycut.outputs import Frames

ADVICE = (
    "the 2-D FAN weights (2DFAN4-11f355bf06.pth.tar) are published by the face-alignment package (github.com/1adrianb/"
    "face-alignment): give their path as --keypoints fan=FILE"
)
POINTS = 68
MODULES = 4
LEVELS = 4
"""Halvings in one hourglass."""
WIDTH = 256
"""Channels of an hourglass."""
CROP = 256
"""Side of the square that the network sees, in pixels."""
REFERENCE = 195.0
"""Width and height of a box, added, that make a crop of 200 pixels of the frame."""
LIFT = 0.12
"""How far the crop's centre lies above the box's, in heights of the box: the box reaches below the points."""

FaceBoxes: TypeAlias = Callable[[Tensor], Tensor]
"""From frames (`batch 3 height width`) to left, top, right, bottom of one face each (`batch 4`) in pixels, or NaN."""


class MultiScaleBlock(nn.Module):
    """Three 3x3 convolutions in a row, each after batch norm and ReLU; what each gives is kept, and the input added."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(quarter)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample = (
            None
            if in_channels == out_channels
            else nn.Sequential(
                nn.BatchNorm2d(in_channels), nn.ReLU(), nn.Conv2d(in_channels, out_channels, 1, bias=False)
            )
        )

    def forward(self, features: FeatureMap) -> FeatureMap:
        large = self.conv1(F.relu(self.bn1(features)))
        middle = self.conv2(F.relu(self.bn2(large)))
        small = self.conv3(F.relu(self.bn3(middle)))
        straight = features if self.downsample is None else self.downsample(features)
        return torch.cat((large, middle, small), dim=1) + straight


class FanHourglass(nn.Module):
    """Four halvings and four doublings, with a block on every way: b1 across, b2 down, b3 up."""

    def __init__(self) -> None:
        super().__init__()
        for level in range(LEVELS, 0, -1):
            for way in ("b1", "b2", "b3"):
                self.add_module(f"{way}_{level}", MultiScaleBlock(WIDTH, WIDTH))
        self.b2_plus_1 = MultiScaleBlock(WIDTH, WIDTH)

    def forward(self, features: FeatureMap) -> FeatureMap:
        across: list[Tensor] = []
        for level in range(LEVELS, 0, -1):
            across.append(self.get_submodule(f"b1_{level}")(features))
            features = self.get_submodule(f"b2_{level}")(F.avg_pool2d(features, 2))
        features = self.b2_plus_1(features)
        for level in range(1, LEVELS + 1):
            features = across.pop() + F.interpolate(self.get_submodule(f"b3_{level}")(features), scale_factor=2)
        return features


class FanNetwork(nn.Module):
    """Four stacked hourglasses, under the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = MultiScaleBlock(64, 128)
        self.conv3 = MultiScaleBlock(128, 128)
        self.conv4 = MultiScaleBlock(128, WIDTH)
        for number in range(MODULES):
            self.add_module(f"m{number}", FanHourglass())
            self.add_module(f"top_m_{number}", MultiScaleBlock(WIDTH, WIDTH))
            self.add_module(f"conv_last{number}", nn.Conv2d(WIDTH, WIDTH, 1))
            self.add_module(f"bn_end{number}", nn.BatchNorm2d(WIDTH))
            self.add_module(f"l{number}", nn.Conv2d(WIDTH, POINTS, 1))
            if number < MODULES - 1:
                self.add_module(f"bl{number}", nn.Conv2d(WIDTH, WIDTH, 1))
                self.add_module(f"al{number}", nn.Conv2d(POINTS, WIDTH, 1))

    def forward(self, crops: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch 68 cells cells"]:
        """The last hourglass's heatmap of every point, a quarter as wide as the RGB crops in [0, 1]."""
        hidden = F.avg_pool2d(self.conv2(F.relu(self.bn1(self.conv1(crops)))), 2)
        hidden = self.conv4(self.conv3(hidden))
        refined, heatmaps = self._look(0, hidden)
        for number in range(1, MODULES):
            hidden = hidden + self._part(f"bl{number - 1}", refined) + self._part(f"al{number - 1}", heatmaps)
            refined, heatmaps = self._look(number, hidden)
        return heatmaps

    def _look(self, number: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        seen = self._part(f"top_m_{number}", self._part(f"m{number}", hidden))
        refined = F.relu(self._part(f"bn_end{number}", self._part(f"conv_last{number}", seen)))
        return refined, self._part(f"l{number}", refined)

    def _part(self, name: str, features: Tensor) -> Tensor:
        return self.get_submodule(name)(features)


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """The square of a frame that shows a face, in pixels from the outer corner of the frame's first pixel."""

    x: float
    y: float
    """Centre."""
    side: float

    @classmethod
    def around(cls, box: Sequence[float]) -> FaceCrop:
        """The crop for a face's left, top, right, bottom."""
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        return cls((left + right) / 2, (top + bottom) / 2 - LIFT * height, 200 * (width + height) / REFERENCE)

    def cut(self, frame: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 256 256"]:
        """The frame in the crop, black beyond its borders.

        Cut at whole pixels, of which the published rule takes one less on the left and above, and brought to size
        bilinearly without smoothing.
        """
        height, width = frame.shape[1:]
        x = (2 * self._samples(self.x) + 1) / width - 1
        y = (2 * self._samples(self.y) + 1) / height - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2).to(frame)
        return F.grid_sample(frame[None], grid[None], align_corners=False)[0]

    def _samples(self, centre: float) -> Float[Tensor, " 256"]:
        """Where the crop looks along one axis, in pixels from the centre of the frame's first."""
        start, end = int(centre - self.side / 2 + self.side / CROP), int(centre + self.side / 2)
        samples = start + (torch.arange(CROP, dtype=torch.float64) + 0.5) * ((end - start) / CROP) - 0.5
        return samples.clamp(start, end - 1)

    def to_frame(self, points: Float[Tensor, "points 2"], cells: int) -> Float[Tensor, "points 2"]:
        """From cells of a heatmap that many cells wide to pixels of the frame, both from the outer corner."""
        corner = points.new_tensor([self.x - self.side / 2, self.y - self.side / 2])
        return corner + points * (self.side / cells)


def decode_heatmaps(heatmaps: Float[Tensor, "batch points rows cols"]) -> Float[Tensor, "batch points 2"]:
    """Where each heatmap is highest: xy in cells, from the outer corner of the first.

    The centre of the highest cell, a quarter cell towards the higher neighbour on each axis; cells at the border, which
    lack one, stay at their centre.
    """
    rows, cols = heatmaps.shape[2:]
    flat = heatmaps.flatten(2)
    index = flat.argmax(dim=2)
    x, y = index % cols, index // cols
    inside = (x > 0) & (x < cols - 1) & (y > 0) & (y < rows - 1)

    def step(offset: int) -> Tensor:
        ahead = flat.gather(2, (index + offset).clamp(max=rows * cols - 1)[..., None])
        behind = flat.gather(2, (index - offset).clamp(min=0)[..., None])
        return (ahead - behind).sign()[..., 0] * inside

    shift = 0.25 * torch.stack((step(1), step(cols)), dim=2)
    return torch.stack((x, y), dim=2) + 0.5 + shift


@dataclass(frozen=True, slots=True, kw_only=True)
class FanDetector:
    """68 points of the best face in each frame.

    Points are whole pixels, as the published package gives them: the pixel that a point falls into.
    """

    network: nn.Module
    boxes: FaceBoxes
    tool: Tool
    device: torch.device

    @classmethod
    def load(cls, files: Sequence[Path], device: torch.device, *, boxes: FaceBoxes | None = None) -> FanDetector:
        """The detector with published weights.

        Args:
            files: The FAN's weights, and then S3FD's, which the paper's tool finds faces with.
            device: Where to run.
            boxes: What finds faces where S3FD's file is not given; mediapipe's face detector by default.

        Raises:
            UserError: A file is missing or holds other weights, or mediapipe is needed and not installed.
        """
        if not 1 <= len(files) <= 2:
            raise UserError(f"fan needs one or two weights files, got {len(files)}; {ADVICE}")
        network = FanNetwork()
        load_weights(network, read_weights(files[0], advice=ADVICE), where=files[0])
        note, found_by = "", ""
        if len(files) == 2:
            boxes = S3fd.load(files[1], device)
        elif boxes is not None:
            note = "face boxes come from another detector than the paper's S3FD"
        else:
            finder = MediapipeBoxes(user="fan")
            found_by = f"+mediapipe {finder.tool.version}"  # another version finds other boxes
            boxes, note = finder, f"face boxes come from mediapipe {finder.tool.version}; the paper's are S3FD's"
        return cls(
            network=network.to(device).eval(),
            boxes=boxes,
            tool=Tool(role="keypoints", name="fan", version=weights_version(files) + found_by, note=note),
            device=device,
        )

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 68 2"]:
        """xy in pixels of the frame; all NaN where no face was found."""
        points = torch.full((len(frames), POINTS, 2), torch.nan)
        crops = {
            number: FaceCrop.around(box)
            for number, box in enumerate(self.boxes(frames).tolist())
            if all(map(math.isfinite, box)) and min(box[2] - box[0], box[3] - box[1]) >= 1
        }
        if crops:
            seen = torch.stack([crop.cut(frames[number]) for number, crop in crops.items()]).to(self.device)
            with torch.no_grad():
                heatmaps = self.network(seen).cpu()
            decoded = decode_heatmaps(heatmaps)
            for (number, crop), cells in zip(crops.items(), decoded, strict=True):
                points[number] = crop.to_frame(cells, heatmaps.shape[3]).trunc()
        return points.to(frames.device)
