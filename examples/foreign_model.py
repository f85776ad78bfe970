"""PriorityCut for a model that is not ours: an adapter says what it makes in this package's words, and everything fits.

python examples/foreign_model.py --steps 100 --output out/foreign.mp4

Trains the model against our U-Net discriminator, regularized by PriorityCut, measures it as `prioritycut evaluate`
does, and animates a picture with it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from prioritycut.animation import animate_clip
from prioritycut.data.clips import write_clip
from prioritycut.data.datasets import PuppetData, build_pairs
from prioritycut.data.puppets import generate_puppet
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.evaluation.instruments import Instruments
from prioritycut.evaluation.masks import true_masks
from prioritycut.evaluation.measurement import ScoredClip, Subject, measure_clips
from prioritycut.evaluation.protocol import Protocol
from prioritycut.evaluation.reconstructing import reconstructor
from prioritycut.evaluation.reconstruction import reconstructed
from prioritycut.evaluation.testsets import TestClip, puppet_set
from prioritycut.geometry import coordinate_grid
from prioritycut.losses import (
    discriminator_adversarial_loss,
    feature_matching_loss,
    generator_adversarial_loss,
)
from prioritycut.models.discriminators import UNetDiscriminator, UNetDiscriminatorConfig
from prioritycut.outputs import AnimationOutput, Frames, MotionOutput
from prioritycut.regularizers import PriorityCut, consistency_loss, draw_mask, mix, mix_probability
from prioritycut.results import Result, summary_lines
from prioritycut.versions import code_versions

SIZE, BATCH = 64, 4


class TheirModel(nn.Module):
    """Somebody's warping network, with habits of its own: colours in [-1, 1], flow in pixels, 1 means hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(nn.Conv2d(6, 24, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(24, 48, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(48, 48, 3, padding=1), nn.ReLU()),
            *(nn.Upsample(scale_factor=4, mode="bilinear"), nn.Conv2d(48, 7, 5, padding=2)),
        )

    def animate(self, picture: Tensor, target: Tensor) -> dict[str, Tensor]:
        flow, hidden, moving, paint = self.network(torch.cat([picture, target], 1)).split([2, 1, 1, 3], 1)
        pixel = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="xy"))
        looked_up = ((pixel + flow) * 2 / (SIZE - 1) - 1).permute(0, 2, 3, 1)
        moved = nn.functional.grid_sample(picture, looked_up, align_corners=True)
        hidden, moving = hidden.sigmoid(), moving.sigmoid()
        image = (1 - hidden) * moved + hidden * paint.tanh()
        return {"image": image, "flow": flow, "hidden": hidden, "moving": moving}


class Adapter:
    """Their model as an `Animator`. A model with keypoints adds `detect` and `render` (see `models/base.py`)."""

    def __init__(self, theirs: TheirModel) -> None:
        self.theirs = theirs

    def __call__(self, source: Frames, driving: Frames) -> AnimationOutput:
        made = self.theirs.animate(2 * source - 1, 2 * driving - 1)
        # Pixels to [-1, 1], whose ends are the centres of the corner pixels; xy last.
        shift = made["flow"].permute(0, 2, 3, 1) * 2 / (SIZE - 1)
        motion = MotionOutput(
            deformation=coordinate_grid(SIZE, SIZE) + shift,
            occlusion_map=1 - made["hidden"],  # here 0 is hidden, to be painted
            background_mask=1 - made["moving"],
        )
        return AnimationOutput(prediction=(made["image"] + 1) / 2, motion=motion)


def train(theirs: TheirModel, steps: int) -> None:
    """Against a U-Net discriminator, half of the later steps regularized by PriorityCut."""
    animator, regularizer = Adapter(theirs), PriorityCut()
    judge = UNetDiscriminator(UNetDiscriminatorConfig(block_expansion=8, max_features=64))
    learn_to_make = torch.optim.Adam(theirs.parameters(), lr=1e-3, betas=(0.5, 0.99))
    learn_to_judge = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.99))
    pairs = build_pairs(PuppetData(clips=4 * BATCH, frames=16), SIZE, seed=0)
    draws = torch.Generator().manual_seed(0)
    for step in range(steps):
        batch = torch.stack([pairs[step * BATCH + index] for index in range(BATCH)])
        source, driving = batch[:, 0], batch[:, 1]

        output = animator(source, driving)
        fake, real = judge(output.prediction), judge(driving)
        loss = 50 * (output.prediction - driving).abs().mean() + feature_matching_loss(real, fake).sum()
        for judged in (fake[0].score, fake[0].pixel_score):
            loss = loss + generator_adversarial_loss(judged)
        learn_to_make.zero_grad()
        loss.backward()
        learn_to_make.step()

        made = output.prediction.detach()
        (fake,), (real,) = judge(made), judge(driving)
        loss = discriminator_adversarial_loss(real.score, fake.score)
        loss = loss + discriminator_adversarial_loss(real.pixel_score, fake.pixel_score)
        if torch.rand((), generator=draws) < mix_probability(step, warmup_epochs=steps / 5):
            # Any regularizer's config may stand here; PriorityCut is the one that looks at the motion.
            mask = draw_mask(regularizer, output.motion, driving, generator=draws)
            (mixed,) = judge(mix(driving, made, mask))
            loss = loss + consistency_loss(mixed.pixel_score, real.pixel_score, fake.pixel_score, mask)
        learn_to_judge.zero_grad()
        loss.backward()
        learn_to_judge.step()


def measure(theirs: TheirModel, *, clips: int, frames: int) -> Result:
    """On held-out puppets, as `prioritycut evaluate` measures our own models."""
    tests, protocol = puppet_set(SIZE, clips=clips, frames=frames), Protocol()
    reconstruct = reconstructor(Adapter(theirs))

    def scored(clip: TestClip) -> ScoredClip:
        return ScoredClip(clip.name, lambda: reconstructed(clip, reconstruct, protocol.batch_size))

    subject = Subject(
        kind="reconstruction",
        method="theirs",
        dataset=tests.name,
        version="example",
        settings=tests.settings,
        versions=code_versions(),
    )
    return measure_clips([scored(clip) for clip in tests.clips], subject, Instruments(salient=true_masks()), protocol)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--clips", type=int, default=4, help="held-out puppets that it is measured on")
    parser.add_argument("--frames", type=int, default=16, help="frames of each")
    parser.add_argument("--output", type=Path, default=Path("out/foreign.mp4"))
    arguments = parser.parse_args()

    torch.manual_seed(0)
    theirs = TheirModel()
    train(theirs, arguments.steps)
    print(*summary_lines(measure(theirs, clips=arguments.clips, frames=arguments.frames)), sep="\n")

    picture = generate_puppet(HELD_OUT_SEED, 5, frames=1, size=SIZE).frames[0]
    driving = generate_puppet(HELD_OUT_SEED, 7, frames=arguments.frames, size=SIZE).frames
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    # Without keypoints there is no relative motion.
    write_clip(arguments.output, animate_clip(Adapter(theirs), picture, driving, relative=False))
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
