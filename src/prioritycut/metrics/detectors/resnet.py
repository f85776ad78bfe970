"""ResNet-50 and ResNet-101 with torchvision's state-dict keys, from which re-identification, segmentation and matting
networks are made; and how the published weights of those are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

from prioritycut.blocks import FeatureMap
from prioritycut.outputs import Frames

Norm: TypeAlias = Callable[[int], nn.Module]
"""Makes the normalization of so many channels."""

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Bottlenecks of the four stages, by depth."""
WIDTHS = (64, 128, 256, 512)
"""Inner channels of the four stages."""
EXPANSION = 4
"""Outer channels of a bottleneck, in inner ones."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_normalized(frames: Frames) -> Frames:
    """Frames in [0, 1], less the mean and over the standard deviation of ImageNet's colours."""
    mean = frames.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
    std = frames.new_tensor(IMAGENET_STD).view(3, 1, 1)
    return (frames - mean) / std


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution around a shortcut; the stride is the 3x3's (as torchvision's, not the paper's)."""

    def __init__(
        self, in_channels: int, width: int, *, stride: int, dilation: int, projected: bool, norm: Norm
    ) -> None:
        super().__init__()
        channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = norm(channels)
        self.downsample = (
            nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), norm(channels))
            if projected
            else None
        )

    def forward(self, features: FeatureMap) -> FeatureMap:
        hidden = F.relu(self.bn1(self.conv1(features)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        hidden = self.bn3(self.conv3(hidden))
        return F.relu(hidden + (features if self.downsample is None else self.downsample(features)))


class ResNet(nn.Module):
    """The convolutional part of a ResNet, without its classifier.

    Args:
        depth: 50 (23,508,032 weights) or 101 (42,500,160).
        in_channels: Of the pictures.
        dilated: Of the last three stages, those that dilate their 3x3 convolutions instead of halving the size, so that
            the weights still see what they were trained to see.
        norm: What stands under the names `bn1`, `bn2`, ...

    Source: He et al., CVPR 2016; dilation: Chen et al., DeepLab.
    """

    def __init__(
        self,
        depth: Literal[50, 101],
        *,
        in_channels: int = 3,
        dilated: tuple[bool, bool, bool] = (False, False, False),
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(WIDTHS[0])
        channels, dilation = WIDTHS[0], 1
        stages = list[nn.Sequential]()
        for width, blocks, halves, dilates in zip(
            WIDTHS, BLOCKS[depth], (False, True, True, True), (False, *dilated), strict=True
        ):
            before = dilation  # what the first block looks at is still as dense as the stage before left it
            dilation *= 2 if dilates else 1
            stride = 2 if halves and not dilates else 1
            first = Bottleneck(channels, width, stride=stride, dilation=before, projected=True, norm=norm)
            channels = EXPANSION * width
            others = [
                Bottleneck(channels, width, stride=1, dilation=dilation, projected=False, norm=norm)
                for _ in range(blocks - 1)
            ]
            stages.append(nn.Sequential(first, *others))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, images: FeatureMap) -> tuple[FeatureMap, ...]:
        """What the stem (before pooling) and the four stages give: 64, 256, 512, 1024 and 2048 channels.

        At a half, a quarter, an eighth, a sixteenth and a thirty-second of the size, rounded up, where not dilated.
        """
        stem = F.relu(self.bn1(self.conv1(images)))
        one = self.layer1(F.max_pool2d(stem, 3, stride=2, padding=1))
        two = self.layer2(one)
        three = self.layer3(two)
        return stem, one, two, three, self.layer4(three)


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights lie."""
    return next(network.parameters()).device
