"""S3FD, the face detector in front of the 2-D FAN: the network with its published names, and what its output means.

Source: Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector" (ICCV 2017); constants as in the face-alignment
package, which publishes the weights (`s3fd-619a316812.pth`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.metrics.detectors.weights import load_weights, read_weights
from prioritycut.outputs import Frames

ADVICE = (
    "the S3FD weights (s3fd-619a316812.pth) are published by the face-alignment package (github.com/1adrianb/"
    "face-alignment): give their path after the FAN's, as --keypoints fan=FILE,S3FD_FILE"
)
MEAN_BGR = (104.0, 117.0, 123.0)
"""Subtracted from pixels of 0 to 255, channels in the order blue, green, red."""
STRIDES = (4, 8, 16, 32, 64, 128)
"""Pixels from one cell to the next, level by level. Each cell has one square anchor, four strides wide."""
VARIANCES = (0.1, 0.2)
"""What offsets of centres, in anchors, and logarithms of sizes are multiplied with."""
OVERLAP = 0.3
"""A box is dropped where its intersection over union with a better one is above this."""
FACE = 0.5
"""A box is a face where its probability is above this. The published detector lets boxes from 0.05 on compete first,
which changes nothing: none can displace a better one."""
SMALLEST = 32
"""Pixels of a side that five halvings can take; smaller frames are padded below and to the right."""

Boxes = Float[Tensor, "_found 5"]
"""Left, top, right, bottom in pixels, then the probability of a face."""

WIDTHS = (
    ("conv1_1", 3, 64),
    ("conv1_2", 64, 64),
    ("conv2_1", 64, 128),
    ("conv2_2", 128, 128),
    ("conv3_1", 128, 256),
    ("conv3_2", 256, 256),
    ("conv3_3", 256, 256),
    ("conv4_1", 256, 512),
    ("conv4_2", 512, 512),
    ("conv4_3", 512, 512),
    ("conv5_1", 512, 512),
    ("conv5_2", 512, 512),
    ("conv5_3", 512, 512),
)
"""The convolutions of VGG-16, by name, with channels in and out; each level but the last ends in a halving."""
HEADS = (
    ("conv3_3_norm", 256, 4),
    ("conv4_3_norm", 512, 2),
    ("conv5_3_norm", 512, 2),
    ("fc7", 1024, 2),
    ("conv6_2", 512, 2),
    ("conv7_2", 256, 2),
)
"""What faces are read from, by name, with its channels and its scores a cell."""
NORMS = {"conv3_3_norm": 10.0, "conv4_3_norm": 8.0, "conv5_3_norm": 5.0}
"""Features that are normalized first, with the length that training starts from."""


class ChannelNorm(nn.Module):
    """Features of each pixel scaled to length 1, then by a learned factor a channel."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), start))

    def forward(self, features: FeatureMap) -> FeatureMap:
        length = features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10
        return features / length * self.weight[:, None, None]


class S3fdNetwork(nn.Module):
    """Six levels of scores and box offsets from a frame, under the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        for name, inputs, outputs in WIDTHS:
            self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=3)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.conv6_1 = nn.Conv2d(1024, 256, 1)
        self.conv6_2 = nn.Conv2d(256, 512, 3, stride=2, padding=1)
        self.conv7_1 = nn.Conv2d(512, 128, 1)
        self.conv7_2 = nn.Conv2d(128, 256, 3, stride=2, padding=1)
        for name, channels, scores in HEADS:
            if name in NORMS:
                self.add_module(name, ChannelNorm(channels, NORMS[name]))
            self.add_module(f"{name}_mbox_conf", nn.Conv2d(channels, scores, 3, padding=1))
            self.add_module(f"{name}_mbox_loc", nn.Conv2d(channels, 4, 3, padding=1))

    def forward(self, pixels: Frames) -> tuple[tuple[FeatureMap, FeatureMap], ...]:
        """Two scores a cell (no face, face; before softmax) and four offsets, level by level, from fine to coarse."""
        features: dict[str, Tensor] = {}
        hidden = pixels
        level = "conv1"
        for name, _, _ in WIDTHS:
            if not name.startswith(level):
                level = name[:5]
                hidden = F.max_pool2d(hidden, 2)
            hidden = F.relu(self.get_submodule(name)(hidden))
            if f"{name}_norm" in NORMS:
                features[f"{name}_norm"] = self.get_submodule(f"{name}_norm")(hidden)
        hidden = F.max_pool2d(hidden, 2)
        for name in ("fc6", "fc7", "conv6_1", "conv6_2", "conv7_1", "conv7_2"):
            hidden = features[name] = F.relu(self.get_submodule(name)(hidden))
        return tuple(
            (
                _one_background(self.get_submodule(f"{name}_mbox_conf")(features[name])),
                self.get_submodule(f"{name}_mbox_loc")(features[name]),
            )
            for name, _, _ in HEADS
        )


def _one_background(scores: FeatureMap) -> FeatureMap:
    # The finest level scores three kinds of background, of which the likeliest counts.
    return torch.cat((scores[:, :-1].amax(dim=1, keepdim=True), scores[:, -1:]), dim=1)


def decode_boxes(levels: Sequence[tuple[Tensor, Tensor]]) -> tuple[Boxes, ...]:
    """The boxes that a network's output means, those more likely a face than not, unsorted, image by image.

    Args:
        levels: Of each stride in `STRIDES`: scores `batch 2 rows cols`, before softmax, and offsets `batch 4 rows
            cols`: of the centre in anchors / 0.1, and of width and height as logarithms / 0.2.
    """
    images: list[Tensor] = []
    boxes: list[Tensor] = []
    for stride, (scores, offsets) in zip(STRIDES, levels, strict=True):
        anchor = 4 * stride
        probability = scores.softmax(dim=1)[:, 1]
        image, row, col = (probability > FACE).nonzero(as_tuple=True)
        shift, log_size = offsets.permute(0, 2, 3, 1)[image, row, col].split(2, dim=1)
        centre = stride * (torch.stack((col, row), dim=1) + 0.5) + VARIANCES[0] * anchor * shift
        half = anchor / 2 * torch.exp(VARIANCES[1] * log_size)
        boxes.append(torch.cat((centre - half, centre + half, probability[image, row, col, None]), dim=1))
        images.append(image)
    owner, every = torch.cat(images), torch.cat(boxes)
    return tuple(every[owner == image] for image in range(levels[0][0].shape[0]))


def suppress(boxes: Boxes) -> Boxes:
    """Boxes by falling probability, without those that overlap a better one by more than 0.3.

    Widths and heights count the pixels of both ends, as the published detector has it.
    """
    rest = boxes[boxes[:, 4].argsort(descending=True, stable=True)]
    kept: list[Tensor] = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        rest = rest[_overlap(best, rest) <= OVERLAP]
    return torch.stack(kept) if kept else boxes


def _overlap(box: Float[Tensor, " 5"], others: Boxes) -> Float[Tensor, " _found"]:
    sides = (torch.minimum(box[2:4], others[:, 2:4]) - torch.maximum(box[:2], others[:, :2]) + 1).clamp(min=0)
    shared = sides.prod(dim=1)
    return shared / ((box[2:4] - box[:2] + 1).prod() + (others[:, 2:4] - others[:, :2] + 1).prod(dim=1) - shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3fd:
    """Boxes of faces in frames."""

    network: nn.Module
    device: torch.device

    @classmethod
    def load(cls, file: Path, device: torch.device) -> S3fd:
        """The detector with the weights in a file.

        Raises:
            UserError: The file is missing, or holds other weights.
        """
        network = S3fdNetwork()
        load_weights(network, read_weights(file, advice=ADVICE), where=file)
        return cls(network=network.to(device).eval(), device=device)

    def faces(self, frames: Frames) -> tuple[Boxes, ...]:
        """All faces of each frame, the best first."""
        pixels = 255 * frames.to(self.device).flip(1) - torch.tensor(MEAN_BGR, device=self.device)[:, None, None]
        height, width = frames.shape[2:]
        pixels = F.pad(pixels, (0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height)))
        with torch.no_grad():
            boxes = decode_boxes(self.network(pixels))
        return tuple(suppress(found) for found in boxes)

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 4"]:
        """Left, top, right, bottom of each frame's best face in pixels; NaN where there is none."""
        best = torch.full((len(frames), 4), torch.nan, device=self.device)
        for number, boxes in enumerate(self.faces(frames)):
            if len(boxes):
                best[number] = boxes[0, :4]
        return best
