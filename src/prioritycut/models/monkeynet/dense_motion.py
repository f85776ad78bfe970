"""From keypoints to the motion of every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap, Hourglass
from prioritycut.geometry import coordinate_grid, warp
from prioritycut.models.monkeynet.config import MonkeyNetConfig
from prioritycut.models.monkeynet.keypoints import keypoint_heatmaps
from prioritycut.outputs import Keypoints, MotionOutput


def heatmap_differences(
    start: Keypoints, end: Keypoints, height: int, width: int, *, norm: float
) -> Float[Tensor, "batch points height width"]:
    """Driving blobs minus source blobs."""
    ending = keypoint_heatmaps(end, height, width, norm=norm)
    return ending - keypoint_heatmaps(start, height, width, norm=norm)


def displacements(start: Keypoints, end: Keypoints) -> Float[Tensor, "batch motions 2"]:
    """From where each keypoint lies in the driving frame to where in the source; motion 0, the background's, is 0."""
    moved = start.position - end.position
    return torch.cat([torch.zeros_like(moved[:, :1]), moved], dim=1)


def movement_embedding(
    source: Float[Tensor, "batch 3 rows cols"],
    start: Keypoints,
    end: Keypoints,
    *,
    norm: float,
    align_corners: bool,
) -> Float[Tensor, "batch motions_by_4 rows cols"]:
    """What the dense motion network sees of each motion: its heatmap difference, and the source shifted by it."""
    rows, cols = source.shape[-2:]
    differences = heatmap_differences(start, end, rows, cols, norm=norm)
    heatmaps = torch.cat([torch.zeros_like(differences[:, :1]), differences], dim=1)
    shifts = displacements(start, end)
    batch, count = shifts.shape[:2]
    places = coordinate_grid(rows, cols, device=source.device) + shifts[:, :, None, None]
    repeated = source[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1)
    shifted = warp(repeated, places.flatten(0, 1), align_corners=align_corners).unflatten(0, (batch, count))
    return torch.cat([heatmaps[:, :, None], shifted], dim=2).flatten(1, 2)


class GroupBlock(nn.Module):
    """1x1 convolution within each motion's four channels, batch norm, ReLU."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, groups=groups)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: FeatureMap) -> FeatureMap:
        return F.relu(self.norm(self.conv(features)))


@dataclass(frozen=True, slots=True)
class DenseMotionOutput:
    """The dense motion network's answer, with the parts that it was put together from.

    Attributes:
        motion: Deformation and background mask (the weight of motion 0); there is no occlusion map.
        weights: Share of each motion at each pixel; they sum to 1.
        correction: What the network adds to their blend, in [-1, 1] units.
    """

    motion: MotionOutput
    weights: Float[Tensor, "batch motions rows cols"]
    correction: Float[Tensor, "batch rows cols 2"]


class DenseMotionNetwork(nn.Module):
    """Keypoints of two frames and the source -> the motion of every pixel.

    A new network's last layer is zero but for a bias of 2 on the background's share: it moves all pixels alike.
    """

    def __init__(self, config: MonkeyNetConfig) -> None:
        super().__init__()
        dense, motions = config.dense_motion, config.num_keypoints + 1
        self.config = config
        channels = 4 * motions
        self.group_blocks = nn.ModuleList(GroupBlock(channels, motions) for _ in range(config.num_group_blocks))
        self.hourglass = Hourglass(
            channels,
            block_expansion=dense.block_expansion,
            num_blocks=dense.num_blocks,
            max_features=dense.max_features,
        )
        self.head = nn.Conv2d(self.hourglass.out_channels, motions + 2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[0] = 2.0

    def forward(
        self, source: Float[Tensor, "batch 3 rows cols"], start: Keypoints, end: Keypoints
    ) -> DenseMotionOutput:
        """`source` at this network's scale (`every_nth` brings it there)."""
        hidden = movement_embedding(
            source, start, end, norm=self.config.heatmap_norm, align_corners=self.config.align_corners
        )
        for block in self.group_blocks:
            hidden = block(hidden)
        answer = self.head(self.hourglass(hidden)).float()
        weights, correction = answer[:, :-2].softmax(1), answer[:, -2:].permute(0, 2, 3, 1)
        flow = (weights[..., None] * displacements(start, end)[:, :, None, None]).sum(1) + correction
        deformation = coordinate_grid(*source.shape[-2:], device=source.device) + flow
        motion = MotionOutput(deformation, background_mask=weights[:, :1], weights=weights)
        return DenseMotionOutput(motion, weights, correction)
