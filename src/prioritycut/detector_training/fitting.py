"""The losses of the two networks, and the loop that fits either.

Every random draw of a step comes from (seed, step), so the same config gives the same weights on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.optim import AdamW

from prioritycut.detector_training.cast import Cast, place_before
from prioritycut.detector_training.config import (
    DegradationConfig,
    DetectorTraining,
    IdentityTraining,
    KeypointTraining,
    OptimizerConfig,
)
from prioritycut.detector_training.degradation import degrade, move
from prioritycut.metrics.detectors.puppet_networks import (
    PuppetEmbeddingNetwork,
    PuppetKeypointNetwork,
    SeenPoints,
    cell_centres,
)

Module = TypeVar("Module", bound=nn.Module)

Advance = Callable[[int, float], None]
"""Told the steps done so far and the last loss."""

_OUT_OF_SIGHT = 1e-6  # keeps the square root's slope finite where a position is exact


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames as a network is shown them, with the truth.

    Attributes:
        frames: Moved, degraded, some before another background.
        position: xy in pixels of the landmarks.
        visible: Whether each can be seen.
        character: Which member of the cast each is, counted from 0.
    """

    frames: Float[Tensor, "batch 3 height width"]
    position: Float[Tensor, "batch points 2"]
    visible: Bool[Tensor, "batch points"]
    character: Int[Tensor, " batch"]


def draw_batch(cast: Cast, size: int, config: DegradationConfig, *, generator: torch.Generator) -> Batch:
    """Frames of characters drawn by lot.

    Args:
        cast: Whom to draw from.
        size: How many frames.
        config: How they are altered.
        generator: Of all that is drawn.
    """
    characters, takes = cast.frames.shape[:2]
    character = torch.randint(characters, (size,), generator=generator)
    take = torch.randint(takes, (size,), generator=generator)
    frames = cast.frames[character, take].float() / 255
    behind = cast.background[torch.randint(characters, (size,), generator=generator)].float() / 255
    swapped = torch.rand(size, 1, 1, 1, generator=generator) < config.background_probability
    frames = place_before(frames, cast.inside[character, take] | ~swapped, behind)
    moved = move(frames, cast.position[character, take], cast.visible[character, take], config, generator=generator)
    return Batch(degrade(moved.frames, config, generator=generator), moved.position, moved.visible, character)


def keypoint_loss(
    seen: SeenPoints,
    position: Float[Tensor, "batch points 2"],
    visible: Bool[Tensor, "batch points"],
    config: KeypointTraining,
) -> Float[Tensor, ""]:
    """Distance in pixels, cross-entropy with a Gaussian heatmap, and cross-entropy of visible or not.

    Landmarks beyond the frame's edge have no place in a heatmap and count for visibility alone.
    """
    rows, cols = seen.log_heatmap.shape[-2:]
    x, y = cell_centres(cols, device=position.device), cell_centres(rows, device=position.device)
    within = ((position >= x[0]) & (position <= torch.stack([x[-1], y[-1]]))).all(-1)
    weight = within * (config.hidden_weight + (1 - config.hidden_weight) * visible)
    weight = weight / weight.sum().clamp(min=1)

    distance = ((seen.position - position) ** 2).sum(-1).add(_OUT_OF_SIGHT).sqrt()
    bell_x = (-((x - position[..., :1]) ** 2) / (2 * config.spread**2)).softmax(-1)
    bell_y = (-((y - position[..., 1:]) ** 2) / (2 * config.spread**2)).softmax(-1)
    crossed = -(bell_y[..., :, None] * bell_x[..., None, :] * seen.log_heatmap).sum((-2, -1))
    judged = F.binary_cross_entropy_with_logits(seen.visibility, visible.float())
    return (weight * (distance + config.heatmap_weight * crossed)).sum() + config.visibility_weight * judged


def identity_loss(
    embedding: Float[Tensor, "batch features"],
    centres: Float[Tensor, "characters features"],
    character: Int[Tensor, " batch"],
    config: IdentityTraining,
) -> Float[Tensor, ""]:
    """Cross-entropy over the cosines with every character's centre, the right one handicapped by the margin.

    Source: CosFace (Wang et al., CVPR 2018), equation 4.
    """
    cosine = embedding @ F.normalize(centres, dim=1).T
    handicap = config.margin * F.one_hot(character, len(centres))
    return F.cross_entropy(config.sharpness * (cosine - handicap), character)


def fit_keypoints(cast: Cast, config: DetectorTraining, *, advance: Advance) -> PuppetKeypointNetwork:
    """A keypoint network trained on a cast, in evaluation mode."""
    training = config.keypoints
    network = _seeded(lambda: PuppetKeypointNetwork(training.network), config.seed)

    def loss(batch: Batch) -> Float[Tensor, ""]:
        with _autocast(config):
            seen = network(batch.frames.contiguous(memory_format=torch.channels_last))
        return keypoint_loss(seen, batch.position, batch.visible, training)

    _fit(network, loss, cast, training.degradation, training.optimizer, seed=config.seed, advance=advance)
    return network.eval()


def fit_identity(cast: Cast, config: DetectorTraining, *, advance: Advance) -> PuppetEmbeddingNetwork:
    """An identity network trained on a cast, in evaluation mode; the characters' centres are thrown away."""
    training = config.identity
    network = _seeded(lambda: PuppetEmbeddingNetwork(training.network), config.seed)
    centres = _seeded(lambda: nn.Embedding(len(cast.frames), training.network.features), config.seed)

    def loss(batch: Batch) -> Float[Tensor, ""]:
        with _autocast(config):
            embedding = network(batch.frames.contiguous(memory_format=torch.channels_last))
        return identity_loss(embedding, centres.weight, batch.character, training)

    both = nn.ModuleList([network, centres])
    _fit(both, loss, cast, training.degradation, training.optimizer, seed=config.seed, advance=advance)
    return network.eval()


def _seeded(build: Callable[[], Module], seed: int) -> Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Channels last and bfloat16 together are what a CPU is fastest at; torch's stubs leave this form out.
        return build().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _autocast(config: DetectorTraining) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16-mixed")


def _fit(
    module: nn.Module,
    loss: Callable[[Batch], Float[Tensor, ""]],
    cast: Cast,
    degradation: DegradationConfig,
    config: OptimizerConfig,
    *,
    seed: int,
    advance: Advance,
) -> None:
    module.train()
    optimizer = AdamW(module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule((step + 1) / config.steps, config.warmup_share)
        batch = draw_batch(cast, config.batch_size, degradation, generator=step_generator(seed, step))
        optimizer.zero_grad(set_to_none=True)
        value = loss(batch)
        value.backward()
        optimizer.step()
        advance(step + 1, value.item())


def schedule(share: float, warmup_share: float) -> float:
    """Share of the full learning rate after this share of the steps: a straight rise, then half a cosine to 0."""
    if share < warmup_share:
        return share / warmup_share
    return 0.5 * (1 + math.cos(math.pi * (share - warmup_share) / (1 - warmup_share)))


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    state = np.random.SeedSequence((seed, _STEP, step)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


_STEP = 4  # apart from the draws of the animators' training
