"""Where people are: DeepLabV3+ trained on Pascal VOC, the first step of the paper's salient masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.resnet import (
    ResNet,
    device_of,
    imagenet_normalized,
)
from prioritycut.metrics.detectors.weights import fill_from_file
from prioritycut.outputs import Frames

NAME = "deeplabv3plus"
CLASSES = 21
"""Background and the twenty classes of Pascal VOC."""
PERSON = 15
RATES = (6, 12, 18)
"""Dilations of the parallel convolutions, for features at a sixteenth of the frame's size."""

ADVICE = (
    "it is DeepLabV3+ with ResNet-101, output stride 16, trained on Pascal VOC "
    "(best_deeplabv3plus_resnet101_voc_os16.pth of VainF/DeepLabV3Plus-Pytorch); get it there and give "
    "--salient deeplabv3plus=FILE"
)

_make_scalar = cast("Callable[..., Any]", np.float64(0).__reduce__()[0])
_NUMPY_NUMBER: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_make_scalar, "numpy.core.multiarray.scalar"),
    (_make_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
]
"""The published file keeps its score beside the weights as a number of numpy's, which holds no code either."""


def _convolution(in_channels: int, channels: int, kernel: int, *, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=dilation, bias=False)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


class PyramidPooling(nn.Module):
    """Looks at deep features at five extents, from one point to the whole frame (atrous spatial pyramid pooling)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_convolution(in_channels, channels, 1)),
                *(nn.Sequential(*_convolution(in_channels, channels, 3, dilation=rate)) for rate in RATES),
                nn.Sequential(nn.AdaptiveAvgPool2d(1), *_convolution(in_channels, channels, 1)),
            ]
        )
        self.project = nn.Sequential(*_convolution(len(self.convs) * channels, channels, 1))

    def forward(self, features: FeatureMap) -> FeatureMap:
        size = features.shape[-2:]
        # The last one has one value a channel, which is spread over the frame.
        return self.project(torch.cat([look(features).expand(-1, -1, *size) for look in self.convs], dim=1))


class Decoder(nn.Module):
    """Joins what the deep features mean with where the shallow ones have edges."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Sequential(*_convolution(256, 48, 1))
        self.aspp = PyramidPooling(2048, 256)
        self.classifier = nn.Sequential(*_convolution(48 + 256, 256, 3), nn.Conv2d(256, CLASSES, 1))

    def forward(self, shallow: FeatureMap, deep: FeatureMap) -> FeatureMap:
        meaning = F.interpolate(self.aspp(deep), shallow.shape[-2:], mode="bilinear", align_corners=False)
        return self.classifier(torch.cat([self.project(shallow), meaning], dim=1))


class DeepLabV3Plus(nn.Module):
    """ResNet-101 at a sixteenth of the size, pyramid pooling and decoder: 58,753,973 weights.

    Source: Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018; names as in the public PyTorch
    weights, which have plain convolutions instead of separable ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet(101, dilated=(False, False, True))
        self.classifier = Decoder()

    def forward(self, frames: Frames) -> Float[Tensor, "batch 21 height width"]:
        """Of frames in [0, 1], the score of each class at each pixel, before any softmax."""
        _, shallow, _, _, deep = self.backbone(imagenet_normalized(frames))
        scores = self.classifier(shallow, deep)
        return F.interpolate(scores, frames.shape[-2:], mode="bilinear", align_corners=False)


class DeepLabSegmenter:
    """Marks the pixels that are more likely a person than any other class.

    SPEC section 8 asks for a binary mask. With 21 classes the likeliest may have a probability far below a half, so
    the mask is the arg max itself, 1 or 0, and not a probability that somebody might threshold at a half.
    """

    def __init__(self, network: DeepLabV3Plus, *, version: str) -> None:
        self.network = network
        self.tool = Tool(
            role="salient", name=NAME, version=version, note="ResNet-101, Pascal VOC, person where it is the arg max"
        )

    @classmethod
    def load(cls, files: Sequence[Path], device: torch.device | str) -> DeepLabSegmenter:
        """Read published weights.

        Args:
            files: One: a state dict with `backbone.*` and `classifier.*`, plain or under "model_state".
            device: Where to compute.

        Raises:
            UserError: No file, more than one, or one that does not fit.
        """
        network = DeepLabV3Plus()
        with torch.serialization.safe_globals(_NUMPY_NUMBER):
            version = fill_from_file(network, files, tool=NAME, advice=ADVICE)
        return cls(network.to(device), version=version)

    @torch.no_grad()
    def __call__(self, frames: Frames) -> Float[Tensor, "batch 1 height width"]:
        """1 where person is the likeliest of the 21 classes, else 0. Frames of any size, seen as they are."""
        scores = self.network(frames.to(device_of(self.network), torch.float32))
        return (scores.argmax(1, keepdim=True) == PERSON).to(frames.device, frames.dtype)
