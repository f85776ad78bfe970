"""The two small networks that look at puppets: where the parts of one are, and who it is.

Both see 64x64 pixels and take frames of any other size through one anti-aliased resize.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.blocks import DownBlock, Hourglass, ResidualBlock, SameBlock
from prioritycut.outputs import Frames

_HEATMAP_SHARE = 2  # pixels of the input to a cell of the heatmaps


@dataclass(frozen=True, kw_only=True)
class KeypointNetworkConfig:
    """What the keypoint network is built from."""

    landmarks: tuple[str, ...]
    """Names of the points, in the order of the output."""
    size: int = 64
    """Height and width of the frames that it sees."""
    width: int = 32
    """Channels at half of that size; they double with each halving."""
    max_features: int = 96
    """Widest layer."""
    halvings: int = 3
    """Of the heatmaps' size, within the hourglass."""

    def __post_init__(self) -> None:
        if not self.landmarks or min(self.width, self.max_features, self.halvings) < 1:
            raise ValueError("landmarks must be named; width, max_features and halvings must be at least 1")
        if self.size < 1 or self.size % (_HEATMAP_SHARE * 2**self.halvings):
            raise ValueError(f"size must be a multiple of {_HEATMAP_SHARE * 2**self.halvings}, got {self.size}")


@dataclass(frozen=True, kw_only=True)
class EmbeddingNetworkConfig:
    """What the identity network is built from."""

    features: int = 64
    """Numbers in an embedding."""
    size: int = 64
    """Height and width of the frames that it sees."""
    widths: tuple[int, ...] = (32, 64, 96, 96)
    """Channels after each halving."""

    def __post_init__(self) -> None:
        if self.features < 1 or not self.widths or min(self.widths) < 1:
            raise ValueError("features and each of widths must be at least 1")
        if self.size < 1 or self.size % 2 ** len(self.widths):
            raise ValueError(f"size must be a multiple of {2 ** len(self.widths)}, got {self.size}")


@dataclass(frozen=True, slots=True)
class SeenPoints:
    """What the keypoint network says of frames.

    Attributes:
        position: xy in pixels of the frames that it sees, from the centre of the first pixel.
        visibility: Logit that the point can be seen: above 0 it is more likely visible than not.
        log_heatmap: Logarithm of the probability that the point lies in each cell; a cell is two pixels wide.
    """

    position: Float[Tensor, "batch points 2"]
    visibility: Float[Tensor, "batch points"]
    log_heatmap: Float[Tensor, "batch points rows cols"]


class PuppetKeypointNetwork(nn.Module):
    """A heatmap for each landmark; its mean is the position, the features beneath it tell whether it is visible.

    Source: integral regression (Sun et al., ECCV 2018), which makes the mean of a heatmap exact to parts of a cell.
    """

    def __init__(self, config: KeypointNetworkConfig) -> None:
        super().__init__()
        self.config = config
        points = len(config.landmarks)
        self.stem = nn.Sequential(DownBlock(3, config.width), SameBlock(config.width, config.width))
        self.hourglass = Hourglass(
            config.width,
            block_expansion=config.width,
            num_blocks=config.halvings,
            max_features=config.max_features,
        )
        self.heatmaps = nn.Conv2d(self.hourglass.out_channels, points, 3, padding=1)
        self.visible_weight = nn.Parameter(torch.zeros(points, self.hourglass.out_channels))
        self.visible_bias = nn.Parameter(torch.zeros(points))

    def forward(self, frames: Frames) -> SeenPoints:
        features = self.hourglass(self.stem(frames * 2 - 1))
        logits = self.heatmaps(features).float()
        log_heatmap = logits.flatten(2).log_softmax(-1).view_as(logits)
        heatmap = log_heatmap.exp()
        beneath = torch.einsum("bprc,bfrc->bpf", heatmap, features.float())
        visibility = (beneath * self.visible_weight).sum(-1) + self.visible_bias
        return SeenPoints(mean_pixel(heatmap), visibility, log_heatmap)


def cell_centres(count: int, *, device: torch.device | None = None) -> Float[Tensor, " count"]:
    """Where the cells of a heatmap lie along one side, in pixels of the network's input."""
    return torch.arange(count, device=device) * float(_HEATMAP_SHARE) + (_HEATMAP_SHARE - 1) / 2


def mean_pixel(heatmap: Float[Tensor, "batch points rows cols"]) -> Float[Tensor, "batch points 2"]:
    """The mean xy under each heatmap, in pixels of the network's input; each heatmap sums to 1."""
    rows, cols = heatmap.shape[-2:]
    x = heatmap.sum(2) @ cell_centres(cols, device=heatmap.device)
    y = heatmap.sum(3) @ cell_centres(rows, device=heatmap.device)
    return torch.stack([x, y], dim=-1)


class PuppetEmbeddingNetwork(nn.Module):
    """Convolutions with a residual block at two sizes, then one linear layer onto the unit sphere."""

    def __init__(self, config: EmbeddingNetworkConfig) -> None:
        super().__init__()
        self.config = config
        layers = list[nn.Module]()
        for level, (before, after) in enumerate(zip((3, *config.widths), config.widths, strict=False)):
            layers.append(DownBlock(before, after))
            # At the two middle sizes, where a block is cheap and still sees the layout of a face.
            if level in (1, 2):
                layers.append(ResidualBlock(after))
        side = config.size // 2 ** len(config.widths)
        self.convolutions = nn.Sequential(*layers)
        self.embedding = nn.Linear(config.widths[-1] * side * side, config.features)

    def forward(self, frames: Frames) -> Float[Tensor, "batch features"]:
        """Embeddings of length 1."""
        embedding = self.embedding(self.convolutions(frames * 2 - 1).flatten(1))
        return F.normalize(embedding.float(), dim=1)


def fit_input(frames: Frames, size: int) -> Float[Tensor, "batch 3 size size"]:
    """Frames at the size that a network sees, anti-aliased where they shrink; others than square are squeezed."""
    if frames.shape[-2:] == (size, size):
        return frames
    return F.interpolate(frames, size=(size, size), mode="bilinear", align_corners=False, antialias=True)


def original_pixels(
    position: Float[Tensor, "batch points 2"], size: int, height: int, width: int
) -> Float[Tensor, "batch points 2"]:
    """Positions in frames that `fit_input` brought to `size`, as positions in the frames as they were."""
    scale = torch.tensor([width / size, height / size], dtype=position.dtype, device=position.device)
    return (position + 0.5) * scale - 0.5
