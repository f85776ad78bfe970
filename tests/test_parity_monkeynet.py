"""Our Monkey-Net against the numbers of the reference implementation, array by array.

The reference works on clips, `batch channel time height width`; its arrays are compared frame by frame. The complete
ones lie beside the project (`../shared/parity/monkeynet`, with a README); the repository carries them thinned
(`tests/data/parity/make_baselines.py`). The same tests run on whichever is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from parity_arrays import Golden, imported
from prioritycut.animation import transfer_motion
from prioritycut.geometry import resize_deformation, warp
from prioritycut.losses import (
    LossWeights,
    discriminator_adversarial_loss,
    feature_matching_loss,
    generator_adversarial_loss,
)
from prioritycut.models.monkeynet import MonkeyNet, MonkeyNetDiscriminator
from prioritycut.models.monkeynet.dense_motion import heatmap_differences, movement_embedding
from prioritycut.models.monkeynet.keypoints import every_nth, keypoint_heatmaps
from prioritycut.outputs import AnimationOutput, DiscriminatorOutput, Frames, Keypoints
from prioritycut.presets import MONKEY_NET
from prioritycut.published import import_monkeynet_discriminator
from prioritycut.train_config import TrainConfig
from prioritycut.training import Networks, discriminator_losses, generator_losses

COMMITTED = Path(__file__).parent / "data" / "parity" / "monkeynet"
COMPLETE = Path(__file__).parents[2] / "shared" / "parity" / "monkeynet"
FOLDER = COMPLETE if COMPLETE.is_dir() else COMMITTED
CHECKPOINT = FOLDER / "vox-small-checkpoint.pth.tar"
YAML = FOLDER / "vox-small-config.yaml"
GOLDEN = Golden(FOLDER / "vox-small-golden.npz")
INPUTS = ("source", "video")
BATCH, TIME = GOLDEN["video"].shape[0], GOLDEN["video"].shape[2]

# The README gives the noise of rounding: 2.3e-7 of a mean, 1.1e-7 of a covariance, 1.8e-6 of a prediction. A warp of a
# sharp edge, or batch statistics, enlarge it; the reference in float32 is no nearer to itself in float64.
KEYPOINTS, ARITHMETIC, NETWORK = 1e-6, 1e-6, 2e-5
TRAIN_PREDICTION = 5e-4
LOSS_EVAL, LOSS_TRAIN = 2e-6, 1e-5
GRADIENT_EVAL, GRADIENT_TRAIN = 1e-4, 1e-2


def frames_of(clips: Tensor) -> Tensor:
    """Clips `batch channel time rows cols` -> frames, clip after clip."""
    return clips.transpose(1, 2).flatten(0, 1)


def clips_of(frames: Tensor) -> Tensor:
    """The reverse."""
    return frames.unflatten(0, (BATCH, TIME)).transpose(1, 2)


SOURCE = GOLDEN["source"][:, :, 0]
SOURCES = SOURCE.repeat_interleave(TIME, 0)
DRIVING = frames_of(GOLDEN["video"])


@pytest.fixture(scope="module")
def matches(parity_table):
    """A check that remembers its errors for the table: absolute, or relative to the largest element."""

    def check(name: str, ours: Tensor, tolerance: float, *, relative: bool = False) -> None:
        error = GOLDEN.errors(name, ours).max().item()
        if relative:
            error /= GOLDEN.arrays[name].abs().max().item()
        parity_table.add(f"monkeynet {group_of(name)}{' (relative)' if relative else ''}", error, tolerance)
        assert error <= tolerance

    return check


def group_of(name: str) -> str:
    """The row of the table that an array belongs to."""
    family, _, rest = name.partition("/")
    if family.startswith("grad"):
        return family
    if family == "normalize_kp":
        return f"{family}/*/{rest.split('/')[-1]}"
    return (
        name.replace("kp_source/", "kp_*/")
        .replace("kp_driving/", "kp_*/")
        .replace("generated", "*")
        .replace("disc_real", "disc_*")
    )


class OfClips(MonkeyNet):
    """Our Monkey-Net on the reference's clips: what is one source frame there is repeated for each driving frame here,
    and shall count once in the batch statistics of the detector."""

    def detect_pair(self, source: Frames, driving: Frames) -> tuple[Keypoints, Keypoints]:
        keypoints = self.detect(torch.cat([source[::TIME], driving]))
        assert keypoints.covariance is not None
        sources = keypoints.position[:BATCH], keypoints.covariance[:BATCH]
        position, covariance = (each.repeat_interleave(TIME, 0) for each in sources)
        return Keypoints(position, covariance=covariance), keypoints[BATCH:]


class JudgeOfClips(MonkeyNetDiscriminator):
    """Our discriminator on the reference's clips, whose frames it normalizes together."""

    def forward(self, frames: Frames, keypoints: Keypoints | None = None) -> tuple[DiscriminatorOutput, ...]:
        return super().forward(frames, keypoints, clip_length=TIME)


def published(*, align_corners: bool = True) -> OfClips:
    """The reference's weights through our command."""
    convention = "--align-corners" if align_corners else "--no-align-corners"
    given = imported(CHECKPOINT, "monkeynet", "--config", YAML, convention)
    assert isinstance(given, MonkeyNet)
    animator = OfClips(given.config)
    animator.load_state_dict(given.state_dict())
    return animator.eval().requires_grad_(False)


def published_discriminator() -> JudgeOfClips:
    given = import_monkeynet_discriminator(CHECKPOINT, YAML)
    discriminator = JudgeOfClips(given.config)
    discriminator.load_state_dict(given.state_dict())
    return discriminator


def deformed(output: AnimationOutput, *, align_corners: bool = True) -> Frames:
    """The source warped at its full size."""
    deformation = resize_deformation(output.motion.deformation, *SOURCE.shape[-2:])
    return warp(SOURCES, deformation, align_corners=align_corners)


# Evaluation


@cache
@torch.no_grad()
def evaluation() -> dict[str, Tensor]:
    """Every step of moving each source to its driving frames, and their judgement."""
    animator = published()
    start, end = animator.detect_pair(SOURCES, DRIVING)
    assert start.covariance is not None
    assert end.covariance is not None
    norm = animator.config.heatmap_norm
    small = every_nth(SOURCES, 0.25)
    output = animator.render(SOURCES, start, end)
    deformation = output.motion.deformation
    shifts = movement_embedding(small, start, end, norm=norm, align_corners=True)
    moves = torch.cat([torch.zeros(len(SOURCES), 1, 2), start.position - end.position], dim=1)
    ours = {
        "kp_source/mean": start.position.unflatten(0, (BATCH, TIME))[:, :1],
        "kp_source/var": start.covariance.unflatten(0, (BATCH, TIME))[:, :1],
        "kp_driving/mean": end.position.unflatten(0, (BATCH, TIME)),
        "kp_driving/var": end.covariance.unflatten(0, (BATCH, TIME)),
        "kp2gaussian_driving": keypoint_heatmaps(end, 16, 16, norm=1.0).unflatten(0, (BATCH, TIME)),
        "mask_embedding": clips_of(shifts),
        "difference_embedding": clips_of(moves.flatten(1)[:, :, None, None].expand(-1, -1, 4, 4)),
        "deformation": torch.nn.functional.pad(deformation, (0, 1)).unflatten(0, (BATCH, TIME)),
        "kp_embedding": clips_of(heatmap_differences(start, end, 16, 16, norm=norm)),
        "video_prediction": clips_of(output.prediction),
        "video_deformed": clips_of(deformed(output)),
    }
    discriminator = published_discriminator().eval()
    for kind, frames in (("generated", output.prediction), ("real", DRIVING)):
        (judged,) = discriminator(frames, end)
        for i, maps in enumerate((*judged.features, judged.score), start=1):
            ours[f"disc_{kind}/map_{i}"] = clips_of(maps)
            ours[f"disc_{kind}/map_{i}_stride2"] = clips_of(maps[..., ::2, ::2])
    return {f"eval/{name}": values for name, values in ours.items()}


@pytest.mark.parametrize("name", GOLDEN.names("eval/"))
def test_each_step_from_two_frames_to_a_prediction_and_its_judgement_is_the_references(name, matches):
    matches(name, evaluation()[name], KEYPOINTS if name.endswith(("mean", "var")) else NETWORK)


@pytest.mark.parametrize("name", GOLDEN.names("eval_align_corners_false/"))
@torch.no_grad()
def test_the_switch_for_the_other_sampling_convention_gives_what_newer_pytorch_gave(name, matches):
    animator = published(align_corners=False)
    output = animator.render(SOURCES, *animator.detect_pair(SOURCES, DRIVING))
    ours = {"video_prediction": output.prediction, "video_deformed": deformed(output, align_corners=False)}
    matches(name, clips_of(ours[name.partition("/")[2]]), NETWORK)


def test_the_two_sampling_conventions_are_told_apart_by_the_tolerance():
    right = evaluation()["eval/video_prediction"]
    assert GOLDEN.errors("eval_align_corners_false/video_prediction", right).mean() > 10 * NETWORK


def keypoints_of_first(which: str) -> Keypoints:
    """The reference's keypoints of sample 0, one set a frame."""
    position, covariance = (GOLDEN[f"eval/kp_{which}/{part}"][0] for part in ("mean", "var"))
    return Keypoints(position, covariance=covariance)


def transferred(*, scale: bool = False, relative_spread: bool = False) -> Keypoints:
    """Sample 0's motion from its first driving frame on, carried to its source."""
    source, driving = keypoints_of_first("source"), keypoints_of_first("driving")
    return transfer_motion(source, driving, driving[:1], adapt_scale=scale, relative_covariance=relative_spread)


@pytest.mark.parametrize("name", GOLDEN.names("normalize_kp/"))
def test_motion_is_transferred_as_the_reference_normalizes_keypoints(name, matches):
    _, case, part = name.split("/")
    moved = transferred(scale="mult1" in case, relative_spread="adaptvar1" in case)
    position = moved.position.clamp(-1, 1) if "clip1" in case else moved.position
    ours = position if part == "mean" else moved.covariance
    assert ours is not None
    matches(name, ours[None], ARITHMETIC)


@torch.no_grad()
def test_a_picture_moves_with_a_clip_as_the_reference_moves_it(matches):
    animator = published()
    encoded = animator.encode(SOURCE[:1], keypoints_of_first("source"))
    frames = animator.render_encoded(encoded, transferred()).prediction
    matches("transfer/prediction_move_location", frames.transpose(0, 1)[None], NETWORK)


# Training: losses, gradients, statistics of the loop's own step


@dataclass(frozen=True)
class Step:
    """What one generator pass and one discriminator pass of our training left, without an update.

    Attributes:
        prediction: With the mode's statistics.
        terms: The weighted losses of the batch.
        losses: The same of each sample.
        gradients: By parameter.
        buffers: By name.
    """

    prediction: Tensor
    terms: dict[str, Tensor]
    losses: dict[str, Tensor]
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def norm(self, network: str) -> Tensor:
        """Norm of all gradients of one network, in float64."""
        flat = [g.double().flatten() for name, g in self.gradients.items() if name.startswith(network)]
        return torch.cat(flat).norm()


def part(judged: DiscriminatorOutput, clip: slice) -> DiscriminatorOutput:
    return DiscriminatorOutput(judged.score[clip], tuple(maps[clip] for maps in judged.features))


@cache
def step(mode: str) -> Step:
    """A step in one mode of all modules, always from the checkpoint."""
    training = mode == "train"
    animator = published().requires_grad_(True).train(training)
    discriminator = published_discriminator().train(training)
    weights = published_weights()
    config = TrainConfig(name="parity", model=animator.config, discriminator=discriminator.config, losses=weights)

    generated = generator_losses(
        Networks(animator, discriminator), config, SOURCES, DRIVING, generator=torch.Generator()
    )
    generated.losses.total(weights).backward()
    gradients = {name: p.grad for name, p in animator.named_parameters() if p.grad is not None}
    discriminator.zero_grad()
    prediction = generated.output.prediction.detach()
    judged = discriminator_losses(discriminator, config, DRIVING, prediction, generated.driving_keypoints, None)
    judged.total(weights).backward()
    gradients |= {f"discriminator.{name}": p.grad for name, p in discriminator.named_parameters() if p.grad is not None}

    ours = generated.losses
    terms = weighted(weights, ours.pixel, ours.feature_matching, ours.adversarial, judged.encoder)
    assert generated.driving_keypoints is not None
    with torch.no_grad():
        (fake,) = discriminator(prediction, generated.driving_keypoints)
        (real,) = discriminator(DRIVING, generated.driving_keypoints)
    samples = list[dict[str, Tensor]]()
    for clip in (slice(i * TIME, (i + 1) * TIME) for i in range(BATCH)):
        real_part, fake_part = part(real, clip), part(fake, clip)
        samples.append(
            weighted(
                weights,
                (prediction[clip] - DRIVING[clip]).abs().mean(),
                feature_matching_loss((real_part,), (fake_part,)),
                generator_adversarial_loss(fake_part.score),
                discriminator_adversarial_loss(real_part.score, fake_part.score),
            )
        )
    losses = {name: torch.stack([sample[name] for sample in samples]) for name in terms}
    return Step(prediction, terms, losses, gradients, dict(animator.named_buffers()))


def weighted(weights: LossWeights, pixel: Tensor, matching: Tensor, adversarial: Tensor, judged: Tensor) -> dict:
    """The losses under the reference's names: its layer 0 is the frame itself."""
    assert isinstance(weights.feature_matching, tuple)
    blocks = enumerate(zip(weights.feature_matching, matching, strict=True), start=1)
    return {
        "layer-0_rec": weights.pixel * pixel,
        **{f"layer-{i}_rec": weight * value for i, (weight, value) in blocks},
        "gen_gan": weights.adversarial * adversarial,
        "disc_gan": weights.discriminator_encoder * judged,
    }


def published_weights() -> LossWeights:
    """The loss weights of the YAML; Monkey-Net has no other losses."""
    settings = yaml.safe_load(YAML.read_text())["train_params"]["loss_weights"]
    frame, *blocks = map(float, settings["reconstruction"])
    return LossWeights(
        perceptual=(0.0,) * 5,
        equivariance_value=0.0,
        equivariance_jacobian=0.0,
        pixel=frame,
        feature_matching=tuple(blocks),
        deformed=float(settings["reconstruction_deformed"]),
        adversarial=float(settings["generator_gan"]),
        discriminator_encoder=float(settings["discriminator_gan"]),
    )


# Published names of the layers whose gradients are given.
OURS = {
    "kp_detector/predictor.decoder.conv.weight": "kp_detector.heatmap.weight",
    "generator/dense_motion_module.hourglass.decoder.conv.bias": "generator.dense_motion_module.head.bias",
}


def test_the_presets_loss_weights_are_the_published_ones():
    assert published_weights() == MONKEY_NET


@pytest.mark.parametrize("name", [*GOLDEN.names("loss_eval/"), *GOLDEN.names("loss_train/")])
def test_each_weighted_loss_of_a_step_is_the_references(name, matches):
    family, loss = name.split("/")
    mode = family.removeprefix("loss_")
    tolerance = LOSS_EVAL if mode == "eval" else LOSS_TRAIN
    matches(name, step(mode).losses[loss], tolerance, relative=True)
    assert step(mode).terms[loss].item() == pytest.approx(GOLDEN[name].mean().item(), rel=tolerance)


@pytest.mark.parametrize("name", [*GOLDEN.names("grad_eval/"), *GOLDEN.names("grad_train/")])
def test_each_gradient_of_a_step_is_the_references(name, matches):
    family, _, parameter = name.partition("/")
    mode = family.removeprefix("grad_")
    gradient = step(mode).gradients[OURS[parameter]]
    if gradient.ndim == 4:
        gradient = gradient[:, :, None]  # the axis of time
    matches(name, gradient, GRADIENT_EVAL if mode == "eval" else GRADIENT_TRAIN, relative=True)


@pytest.mark.parametrize("name", [*GOLDEN.names("gradnorm_eval/"), *GOLDEN.names("gradnorm_train/")])
def test_the_size_of_each_networks_gradient_is_the_references(name, matches):
    family, network = name.split("/")
    mode = family.removeprefix("gradnorm_")
    matches(name, step(mode).norm(network), GRADIENT_EVAL if mode == "eval" else GRADIENT_TRAIN, relative=True)


def test_a_prediction_with_batch_statistics_is_the_references(matches):
    matches("train/video_prediction", clips_of(step("train").prediction), TRAIN_PREDICTION)


@pytest.mark.parametrize("name", GOLDEN.names("after_train_forward/"))
def test_a_step_leaves_the_references_statistics(name, matches):
    _, network, buffer = name.split("/")
    matches(name, step("train").buffers[f"{network}.{buffer}"], NETWORK)


# The data itself


def test_no_array_of_the_reference_is_left_out():
    families = (
        "eval/", "eval_align_corners_false/", "normalize_kp/", "transfer/prediction_move_location",
        "loss_eval/", "loss_train/", "grad_eval/", "grad_train/", "gradnorm_eval/", "gradnorm_train/",
        "train/video_prediction", "after_train_forward/",
    )  # fmt: skip
    compared = {name for family in families for name in GOLDEN.names(family)}
    assert compared | set(INPUTS) == set(GOLDEN.arrays)


@pytest.mark.skipif(FOLDER != COMPLETE, reason="the complete arrays do not lie beside the project (../shared/parity)")
def test_the_committed_data_is_that_beside_the_project():
    Golden(COMMITTED / "vox-small-golden.npz").assert_kept_of(GOLDEN)
    assert (COMMITTED / YAML.name).read_bytes() == YAML.read_bytes()
    kept = torch.load(COMMITTED / CHECKPOINT.name, weights_only=True)
    complete = torch.load(CHECKPOINT, weights_only=True)
    for network in ("kp_detector", "generator", "discriminator"):
        assert kept[network].keys() == complete[network].keys()
        assert all(torch.equal(tensor, complete[network][name]) for name, tensor in kept[network].items())
