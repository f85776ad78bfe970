"""OpenFace nn4.small2: who a face is, as 128 numbers; the tool of the paper's AED on faces.

Source: Amos et al., "OpenFace: a general-purpose face recognition library with mobile applications" (2016); names of
weights as in the PyTorch port that the public evaluation code uses (OpenFacePytorch, `openface.pth`). The port numbers
the layers as Torch did:

| name | layer |
|---|---|
| `layer1`, `layer2` | 7x7 convolution, batch norm |
| `layer6`, `layer7` | 1x1 convolution, batch norm |
| `layer9`, `layer10` | 3x3 convolution, batch norm |
| `layer14` to `layer19`, `layer21` | inceptions 3a, 3b, 3c, 4a, 4e, 5a, 5b |
| `layer25` | 736 features to 128 |

Numbers between are layers without weights. In an inception `seq_list.N` is its N-th branch, and in a branch the name
begins with the place in line: `1_conv`, `2_bn`, then `4_conv`, `5_bn`; `2_conv`, `3_bn` after pooling.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import FeatureMap
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.weights import fill_from_file
from prioritycut.outputs import Frames

ADVICE = (
    "the OpenFace weights (openface.pth) are published by github.com/thnkim/OpenFacePytorch: give their path as "
    "--identity openface=FILE"
)
SIDE = 96
"""Pixels of the square that the network sees."""
FEATURES = 128
POOLED = 736
"""Channels before the last layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InceptionShape:
    """Widths of one inception."""

    inputs: int
    kernels: tuple[tuple[int, int, int], ...]
    """Of each branch with a large kernel: its side, the channels it is reduced to before, and those it gives."""
    stride: int = 1
    """Of the large kernels."""
    power_pool: bool = False
    """The pooling branch takes root mean squares (times 3) of 3x3, else maxima of 3x3 in steps of two."""
    pooled: int | None = None
    """Channels after pooling; `None` leaves them as they are."""
    direct: int | None = None
    """Channels of the branch with nothing but a 1x1 convolution; `None` for an inception without it."""


INCEPTIONS = {
    "layer14": InceptionShape(inputs=192, kernels=((3, 96, 128), (5, 16, 32)), pooled=32, direct=64),
    "layer15": InceptionShape(inputs=256, kernels=((3, 96, 128), (5, 32, 64)), power_pool=True, pooled=64, direct=64),
    "layer16": InceptionShape(inputs=320, kernels=((3, 128, 256), (5, 32, 64)), stride=2),
    "layer17": InceptionShape(inputs=640, kernels=((3, 96, 192), (5, 32, 64)), power_pool=True, pooled=128, direct=256),
    "layer18": InceptionShape(inputs=640, kernels=((3, 160, 256), (5, 64, 128)), stride=2),
    "layer19": InceptionShape(inputs=1024, kernels=((3, 96, 384),), power_pool=True, pooled=96, direct=256),
    "layer21": InceptionShape(inputs=736, kernels=((3, 96, 384),), pooled=96, direct=256),
}


class Inception(nn.Module):
    """Branches side by side, their maps padded with zeros to the largest."""

    def __init__(self, shape: InceptionShape) -> None:
        super().__init__()
        branches = [
            _in_line(
                *_convolution(shape.inputs, reduced, 1),
                *_convolution(reduced, outputs, side, stride=shape.stride),
            )
            for side, reduced, outputs in shape.kernels
        ]
        pool = nn.LPPool2d(2, 3, stride=3) if shape.power_pool else nn.MaxPool2d(3, stride=2)
        after_pool = () if shape.pooled is None else _convolution(shape.inputs, shape.pooled, 1)
        branches.append(_in_line(("pool", pool), *after_pool))
        if shape.direct is not None:
            branches.append(_in_line(*_convolution(shape.inputs, shape.direct, 1)))
        self.seq_list = nn.ModuleList(branches)

    def forward(self, features: FeatureMap) -> FeatureMap:
        maps = [branch(features) for branch in self.seq_list]
        rows, cols = max(one.shape[2] for one in maps), max(one.shape[3] for one in maps)
        return torch.cat([_pad(one, rows, cols) for one in maps], dim=1)


def _convolution(inputs: int, outputs: int, side: int, *, stride: int = 1) -> tuple[tuple[str, nn.Module], ...]:
    return (
        ("conv", nn.Conv2d(inputs, outputs, side, stride=stride, padding=side // 2)),
        ("bn", nn.BatchNorm2d(outputs)),
        ("relu", nn.ReLU()),
    )


def _in_line(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((f"{place}_{name}", layer) for place, (name, layer) in enumerate(layers, 1)))


def _pad(features: Tensor, rows: int, cols: int) -> Tensor:
    below, right = rows - features.shape[2], cols - features.shape[3]
    return F.pad(features, (right // 2, right - right // 2, below // 2, below - below // 2))


class Nn4Small2(nn.Module):
    """The network, under the names of the port's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.layer2 = nn.BatchNorm2d(64)
        self.layer6 = nn.Conv2d(64, 64, 1)
        self.layer7 = nn.BatchNorm2d(64)
        self.layer9 = nn.Conv2d(64, 192, 3, padding=1)
        self.layer10 = nn.BatchNorm2d(192)
        for name, shape in INCEPTIONS.items():
            self.add_module(name, Inception(shape))
        self.layer25 = nn.Linear(POOLED, FEATURES)
        # As the port computes it: the running sum of squares never drops the first channel, which it does in
        # `LocalResponseNorm`.
        self.contrast = nn.CrossMapLRN2d(5, alpha=1e-4, beta=0.75, k=1)

    def forward(self, pixels: Float[Tensor, "batch 3 96 96"]) -> Float[Tensor, "batch 128"]:
        """Vectors of length 1 from pixels in [0, 1], channels in the order blue, green, red."""
        hidden = F.max_pool2d(F.relu(self.layer2(self.layer1(pixels))), 3, stride=2, padding=1)
        hidden = F.relu(self.layer7(self.layer6(self.contrast(hidden))))
        hidden = self.contrast(F.relu(self.layer10(self.layer9(hidden))))
        hidden = F.max_pool2d(hidden, 3, stride=2, padding=1)
        for name in INCEPTIONS:
            hidden = self.get_submodule(name)(hidden)
        features = self.layer25(F.avg_pool2d(hidden, 3).flatten(1))
        return features / (features.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFaceNetwork:
    """One vector a frame, of the whole frame as it is: no face is looked for and none aligned."""

    network: nn.Module
    tool: Tool
    device: torch.device

    @classmethod
    def load(cls, files: Sequence[Path], device: torch.device) -> OpenFaceNetwork:
        """The network with the weights in a file.

        Raises:
            UserError: Not one file is given, it is missing, or it holds other weights.
        """
        network = Nn4Small2()
        version = fill_from_file(network, files, tool="openface", advice=ADVICE)
        return cls(
            network=network.to(device),
            tool=Tool(role="identity", name="openface", version=version),
            device=device,
        )

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 128"]:
        """An embedding of length 1 for every frame."""
        # Bilinear without smoothing, as scikit-image 0.14 shrank, which the public evaluation code asks for.
        pixels = F.interpolate(
            frames.to(self.device).flip(1), size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=False
        )
        with torch.no_grad():
            return self.network(pixels).to(frames.device)
