"""Our FOMM against the numbers of the reference implementation, array by array.

The complete arrays lie beside the project (`../shared/parity/fomm`, with a README); the repository carries them
thinned (`tests/data/parity/make_fomm.py`). The same tests run on whichever is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from parity_arrays import imported
from prioritycut.animation import animate_clip, transfer_motion
from prioritycut.blocks import ImagePyramid, antialias_kernel
from prioritycut.geometry import SmoothTransform, gaussian_heatmaps, resize_deformation, warp
from prioritycut.losses import LossWeights, PerceptualConfig, PerceptualLoss, Vgg19, seeded_weights
from prioritycut.models.discriminators import PatchDiscriminator, PatchDiscriminatorConfig
from prioritycut.models.fomm import Fomm, heatmap_differences
from prioritycut.outputs import Keypoints
from prioritycut.train_config import TrainConfig
from prioritycut.training import Networks, discriminator_losses, generator_losses, step

COMMITTED = Path(__file__).parent / "data" / "parity" / "fomm"
COMPLETE = Path(__file__).parents[2] / "shared" / "parity" / "fomm"
FOLDER = COMPLETE if COMPLETE.is_dir() else COMMITTED
CHECKPOINT = FOLDER / "vox-small-checkpoint.pth.tar"
YAML = FOLDER / "vox-small-config.yaml"


class Golden:
    """The reference's arrays; `eval/mask@1,1,2,2` holds every second row and column of `eval/mask`."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "vox-small-golden.npz") as stored:
            self.arrays = {key.partition("@")[0]: torch.from_numpy(stored[key]) for key in stored.files}
            self.steps = {key.partition("@")[0]: key.partition("@")[2] for key in stored.files}

    def __getitem__(self, name: str) -> Tensor:
        assert not self.steps[name], f"{name} is thinned; it can be compared, not computed with"
        return self.arrays[name]

    def thinned(self, name: str, ours: Tensor) -> Tensor:
        """The rows and columns of a complete array that are stored."""
        steps = self.steps[name]
        return ours[tuple(slice(None, None, int(step)) for step in steps.split(","))] if steps else ours

    def pair(self, name: str, ours: Tensor) -> tuple[Tensor, Tensor]:
        """Our array as the reference's is stored, and the reference's."""
        thinned, expected = self.thinned(name, ours.detach()), self.arrays[name]
        assert thinned.shape == expected.shape, name
        return thinned.double(), expected.double()


GOLDEN = Golden(FOLDER)
# The README's tolerances. Closed-form arithmetic on given numbers has less room than a network.
NETWORK, ARITHMETIC = 2e-5, 1e-6
# Of a prediction with batch statistics the README says only that it is ill-conditioned: the reference in float32 is
# 3.3e-3 away from the same model in float64.
TRAIN_PREDICTION = 5e-3
LOSS_EVAL, LOSS_TRAIN, JACOBIAN_LOSS_TRAIN = 2e-6, 1e-5, 2e-3
GRADIENT_EVAL, GRADIENT_TRAIN = 3e-3, 1e-1
INPUTS = {
    "source",
    "driving",
    *(name for name in GOLDEN.arrays if name.startswith("normalize_kp/in/")),
    *(f"transform/{name}" for name in ("theta", "control_points", "control_params", "points_in")),
}
FAMILIES = (
    "eval/", "eval_align_corners_false/", "pyramid/", "normalize_kp/out", "animation/", "transform/",
    "loss_eval/", "loss_train/", "grad_eval/", "gradnorm_eval/", "grad_train/", "gradnorm_train/",
    "train/", "after_train_forward/",
)  # fmt: skip


def names(family: str) -> list[str]:
    """The arrays of a family that ours are compared with."""
    return [name for name in GOLDEN.arrays if name.startswith(family) and name not in INPUTS]


@pytest.fixture(scope="module")
def matches(parity_table):
    """A check that remembers its errors for the table: absolute, or relative to the largest element."""

    def check(name: str, ours: Tensor, tolerance: float, *, relative: bool = False) -> None:
        actual, expected = GOLDEN.pair(name, ours)
        error = (actual - expected).abs().max().item()
        if relative:
            error /= expected.abs().max().item()
        parity_table.add(f"fomm {group_of(name)}{' (relative)' if relative else ''}", error, tolerance)
        assert error <= tolerance

    return check


def group_of(name: str) -> str:
    """The row of the table that an array belongs to."""
    family, _, rest = name.partition("/")
    if family in ("grad_eval", "grad_train", "gradnorm_eval", "gradnorm_train"):
        return family
    if family.startswith("loss_"):
        return f"{family}/*/{rest.split('/')[-1]}"
    if family == "normalize_kp":
        return f"{family}/*/{rest.split('/')[-1]}"
    if family == "after_train_forward":
        return f"{family}/*{name[name.rindex('.') :]}"
    return name.replace("kp_source/", "kp_*/").replace("kp_driving/", "kp_*/")


def published_animator(*, align_corners: bool = True) -> Fomm:
    """The reference's weights through our command; with the other convention, in a model that has it."""
    animator = imported(CHECKPOINT, "fomm", "--config", YAML)
    assert isinstance(animator, Fomm)
    if not align_corners:
        other = Fomm(replace(animator.config, align_corners=False))
        other.load_state_dict(animator.state_dict())
        animator = other.eval()
    return animator


def discriminator_config(variant: str) -> PatchDiscriminatorConfig:
    settings = yaml.safe_load(YAML.read_text())["discriminators"][variant]
    keypoints = 10 if settings.pop("use_kp", False) else 0
    spectral, scales = settings.pop("sn", False), tuple(map(float, settings.pop("scales")))
    return PatchDiscriminatorConfig(scales=scales, num_keypoints=keypoints, spectral_norm=spectral, **settings)


def published_discriminator(variant: str) -> PatchDiscriminator:
    path = CHECKPOINT if variant == "sn" else FOLDER / "vox-small-discriminator_adv.pth.tar"
    discriminator = PatchDiscriminator(discriminator_config(variant))
    discriminator.load_state_dict(torch.load(path, weights_only=True)["discriminator"])
    return discriminator.eval()


def given_transform() -> SmoothTransform:
    return SmoothTransform(
        GOLDEN["transform/theta"],
        GOLDEN["transform/control_points"].view(-1, 2),
        GOLDEN["transform/control_params"].flatten(1),
    )


def given_keypoints(which: str) -> Keypoints:
    return Keypoints(*(GOLDEN[f"normalize_kp/in/kp_{which}/{part}"] for part in ("value", "jacobian")))


@pytest.fixture(scope="module")
def perceptual() -> PerceptualLoss:
    return PerceptualLoss(PerceptualConfig(weights="random", seed=1234))


@cache
@torch.no_grad()
def evaluation() -> dict[str, Tensor]:
    """Every step of moving `source` to `driving`, evaluation mode."""
    animator, source, driving = published_animator(), GOLDEN["source"], GOLDEN["driving"]
    detector = animator.kp_detector
    start, end = animator.detect(source), animator.detect(driving)
    assert start.jacobian is not None
    assert end.jacobian is not None
    parts = animator.dense_motion(source, start, end)
    motion = parts.motion
    assert motion.occlusion_map is not None
    small = detector.down(source)
    deformation = resize_deformation(motion.deformation, *source.shape[-2:])
    ours = {
        "kp_source/value": start.position,
        "kp_source/jacobian": start.jacobian,
        "kp_driving/value": end.position,
        "kp_driving/jacobian": end.jacobian,
        "kp_input_downsampled_source": small,
        "kp_heatmap_source": detector.heatmaps(detector.predictor(small)),
        "heatmap_representation": heatmap_differences(start, end, 32, 32, variance=0.01)[:, :, None],
        "sparse_motion": parts.sparse_motion,
        "sparse_deformed": parts.sparse_deformed,
        "mask": parts.weights,
        "deformation": motion.deformation,
        "occlusion_map": motion.occlusion_map,
        "deformed": warp(source, deformation),
        "prediction": animator.render(source, start, end).prediction,
        "kp2gaussian_driving_stride4": gaussian_heatmaps(end.position, 128, 128)[..., ::4, ::4],
    }
    for variant in ("sn", "adv"):
        (judged,) = published_discriminator(variant)(driving, end)
        ours |= {f"disc_{variant}/feature_maps_1_{i}": maps for i, maps in enumerate(judged.features)}
        ours[f"disc_{variant}/feature_maps_1_0_stride4"] = judged.features[0][..., ::4, ::4]
        ours[f"disc_{variant}/prediction_map_1"] = judged.score
    return {f"eval/{name}": values for name, values in ours.items()}


@pytest.mark.parametrize("name", names("eval/"))
def test_each_step_from_two_frames_to_a_prediction_and_its_judgement_is_the_references(name, matches):
    matches(name, evaluation()[name], NETWORK)


@pytest.mark.parametrize("name", names("eval_align_corners_false/"))
def test_the_switch_for_the_other_sampling_convention_gives_what_newer_pytorch_gave(name, matches):
    animator, source = published_animator(align_corners=False), GOLDEN["source"]
    output = animator(source, GOLDEN["driving"])
    deformation = resize_deformation(output.motion.deformation, *source.shape[-2:])
    ours = {"prediction": output.prediction, "deformed": warp(source, deformation, align_corners=False)}
    matches(name, ours[name.partition("/")[2]], NETWORK)


def test_the_two_sampling_conventions_are_told_apart_by_the_tolerance():
    right, wrong = GOLDEN.pair("eval_align_corners_false/prediction", evaluation()["eval/prediction"])
    assert (right - wrong).abs().mean() > 10 * NETWORK


@pytest.mark.parametrize("name", names("pyramid/"))
def test_the_antialiased_pyramid_and_its_kernels_are_the_references(name, matches):
    kind, scale = name.partition("/")[2].split("_")
    if kind == "kernel":
        matches(name, antialias_kernel(float(scale)), ARITHMETIC)
    else:
        (small,) = ImagePyramid((float(scale),))(GOLDEN["driving"])
        matches(name, small, ARITHMETIC)


@pytest.mark.parametrize("name", names("normalize_kp/out"))
def test_motion_is_transferred_as_the_reference_normalizes_keypoints(name, matches):
    _, case, part = name.split("/")
    movement, jacobian, adapt = (f"{switch}1" in case for switch in ("movement", "jacobian", "adapt"))
    moved = transfer_motion(
        given_keypoints("source"),
        given_keypoints("driving"),
        given_keypoints("driving_initial"),
        relative=movement,
        relative_jacobian=jacobian,
        adapt_scale=adapt,
    )
    ours = moved.position if part == "value" else moved.jacobian
    assert ours is not None
    matches(name, ours, ARITHMETIC)


@cache
def driving_video() -> Tensor:
    """The rule of the reference's clip: a cross-fade of four frames, from a driving frame to a source."""
    share = torch.arange(4).view(-1, 1, 1, 1) / 5
    return torch.lerp(GOLDEN["driving"][:1], GOLDEN["source"][1:], share)


@pytest.mark.parametrize("name", names("animation/"))
def test_a_picture_moves_with_a_clip_as_the_reference_moves_it(name, matches):
    animator, source = published_animator(), GOLDEN["source"][0]
    ours = {
        "driving_video": driving_video,
        "prediction_absolute": lambda: animate_clip(animator, source, driving_video(), relative=False),
        "prediction_relative_adapt": lambda: animate_clip(
            animator, source, driving_video(), relative=True, adapt_scale=True
        ),
    }
    matches(name, ours[name.partition("/")[2]](), NETWORK)


@pytest.mark.parametrize("name", names("transform/"))
def test_a_given_smooth_transform_moves_frames_and_points_as_the_reference(name, matches):
    transform, points = given_transform(), GOLDEN["transform/points_in"]
    ours = {
        "transformed_frame": (transform.frames(GOLDEN["driving"]), NETWORK),
        "points_warped": (transform.points(points), ARITHMETIC),
        "points_jacobian": (transform.jacobian(points), ARITHMETIC),
    }
    matches(name, *ours[name.partition("/")[2]])


def test_the_random_perceptual_network_follows_the_references_rule(perceptual):
    first = perceptual.vgg.features["0"].weight.double().sum().item()
    # Convolution 15 lies beyond the deepest tap, so the rule is tried on one like it.
    beyond = Vgg19(1)
    beyond.features = torch.nn.ModuleDict({"34": torch.nn.Conv2d(512, 512, 3)})
    seeded_weights(beyond, 1234 + 15)
    last = beyond.features["34"].weight.double().sum().item()
    assert first == pytest.approx(10.502087188695441, rel=1e-9)
    assert last == pytest.approx(-47.619937842658544, rel=1e-9)


# Training: losses, gradients, statistics


@dataclass(frozen=True)
class Step:
    """What one generator pass and one discriminator pass left, without an update."""

    prediction: Tensor
    losses: dict[str, Tensor]
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def norm(self, network: str) -> Tensor:
        """Norm of all gradients of one network, in float64."""
        flat = [g.double().flatten() for name, g in self.gradients.items() if name.startswith(network)]
        return torch.cat(flat).norm()


class Steps:
    """A step for each mode and discriminator, run when first asked for and always from the checkpoint."""

    def __init__(self, perceptual: PerceptualLoss) -> None:
        self.perceptual = perceptual
        self.done: dict[tuple[str, str], Step] = {}

    def __call__(self, mode: str, variant: str) -> Step:
        if (mode, variant) not in self.done:
            self.done[mode, variant] = self.run(mode, variant)
        return self.done[mode, variant]

    def run(self, mode: str, variant: str) -> Step:
        training_mode = mode == "train"
        animator = published_animator().requires_grad_(True).train(training_mode)
        discriminator = published_discriminator(variant).train(training_mode)
        networks = Networks(animator, discriminator, self.perceptual)
        config = TrainConfig(
            name="parity",
            model=animator.config,
            discriminator=discriminator.config,
            losses=published_weights(),
        )
        source, driving = GOLDEN["source"], GOLDEN["driving"]

        generated = generator_losses(networks, config, source, driving, generator=torch.Generator())
        losses, weights = generated.losses, config.losses
        losses.total(weights).backward()
        gradients = {name: p.grad for name, p in animator.named_parameters() if p.grad is not None}

        discriminator.zero_grad()
        prediction = generated.output.prediction.detach()
        judged = discriminator_losses(discriminator, config, driving, prediction, generated.driving_keypoints, None)
        judged.total(weights).backward()
        gradients |= {
            f"discriminator.{name}": p.grad for name, p in discriminator.named_parameters() if p.grad is not None
        }
        buffers = {name: b.clone() for name, b in animator.named_buffers()}
        buffers |= {f"discriminator.{name}": b.clone() for name, b in discriminator.named_buffers()}
        weighted = {
            "perceptual": losses.perceptual,
            "gen_gan": weights.adversarial * losses.adversarial,
            "feature_matching": weights.feature_matching * losses.feature_matching.sum(),
            "equivariance_value": weights.equivariance_value * losses.equivariance_value,
            "equivariance_jacobian": weights.equivariance_jacobian * losses.equivariance_jacobian,
            "disc_gan": weights.discriminator_encoder * judged.encoder,
        }
        return Step(prediction, weighted, gradients, buffers)


def published_weights() -> LossWeights:
    """The loss weights of the YAML, which are our defaults."""
    settings = yaml.safe_load(YAML.read_text())["train_params"]["loss_weights"]
    (matching,) = set(settings["feature_matching"])
    return LossWeights(
        perceptual=tuple(map(float, settings["perceptual"])),
        equivariance_value=float(settings["equivariance_value"]),
        equivariance_jacobian=float(settings["equivariance_jacobian"]),
        adversarial=float(settings["generator_gan"]),
        feature_matching=float(matching),
        discriminator_encoder=float(settings["discriminator_gan"]),
    )


@pytest.fixture(scope="module")
def steps(perceptual) -> Iterator[Steps]:
    """Our training step with the reference's transform in place of a random one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "random_transform", lambda *_, **__: given_transform())
        yield Steps(perceptual)


def test_our_default_loss_weights_are_the_published_ones():
    assert published_weights() == LossWeights()


@pytest.mark.parametrize("name", [*names("loss_eval/"), *names("loss_train/")])
def test_each_weighted_loss_of_a_step_is_the_references(name, steps, matches):
    family, variant, loss = name.split("/")
    mode = family.removeprefix("loss_")
    tolerance = LOSS_EVAL
    if mode == "train":
        tolerance = JACOBIAN_LOSS_TRAIN if loss == "equivariance_jacobian" else LOSS_TRAIN
    matches(name, steps(mode, variant).losses[loss], tolerance, relative=True)


@pytest.mark.parametrize("name", [*names("grad_eval/"), *names("grad_train/")])
def test_each_gradient_of_a_step_is_the_references(name, steps, matches):
    family, variant, network, parameter = name.split("/")
    mode = family.removeprefix("grad_")
    tolerance = GRADIENT_EVAL if mode == "eval" else GRADIENT_TRAIN
    matches(name, steps(mode, variant).gradients[f"{network}.{parameter}"], tolerance, relative=True)


@pytest.mark.parametrize("name", [*names("gradnorm_eval/"), *names("gradnorm_train/")])
def test_the_size_of_each_networks_gradient_is_the_references(name, steps, matches):
    family, variant, network = name.split("/")
    mode = family.removeprefix("gradnorm_")
    tolerance = GRADIENT_EVAL if mode == "eval" else GRADIENT_TRAIN
    matches(name, steps(mode, variant).norm(network), tolerance, relative=True)


@pytest.mark.parametrize("name", names("train/"))
def test_a_prediction_with_batch_statistics_is_the_references(name, steps, matches):
    variant = name.split("/")[1]
    every = {"sn": 1, "adv": 4}[variant]  # 128 and 32 rows in the reference's file
    matches(name, steps("train", variant).prediction[..., ::every, ::every], TRAIN_PREDICTION)


@pytest.mark.parametrize("name", names("after_train_forward/"))
def test_a_step_leaves_the_references_statistics_and_power_iterations(name, steps, matches):
    _, variant, network, buffer = name.split("/")
    matches(name, steps("train", variant).buffers[f"{network}.{buffer}"], NETWORK)


# The data itself


def test_no_array_of_the_reference_is_left_out():
    compared = {name for family in FAMILIES for name in names(family)}
    assert compared | INPUTS == set(GOLDEN.arrays)


def test_the_committed_arrays_are_those_beside_the_project():
    committed = Golden(COMMITTED)
    beside = GOLDEN if FOLDER == COMPLETE else committed
    for name, kept in committed.arrays.items():
        thinned = committed.thinned(name, beside.arrays[name]) if FOLDER == COMPLETE else beside.arrays[name]
        assert torch.equal(thinned, kept), name
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) <= 6_500_000
