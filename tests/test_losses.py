"""Losses, by worked numbers, numpy and keypoints that move exactly as they should."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from prioritycut.errors import UserError
from prioritycut.geometry import random_transform
from prioritycut.losses import (
    DiscriminatorLosses,
    GeneratorLosses,
    LossWeights,
    PerceptualConfig,
    PerceptualLoss,
    Vgg19,
    discriminator_adversarial_loss,
    equivariance_jacobian_loss,
    equivariance_value_loss,
    explained_loss,
    feature_matching_loss,
    generator_adversarial_loss,
    load_vgg19,
    mixed_adversarial_loss,
    pixel_scores_for,
)
from prioritycut.outputs import DiscriminatorOutput, Keypoints

TORCHVISION_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
"""Where torchvision's VGG-19 has its convolutions up to relu5_1."""
TORCHVISION_WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)
NARROW = PerceptualConfig(weights="random", width=4)
ONES = (1.0, 1.0, 1.0, 1.0, 1.0)


def scalars(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(value) for value in values]


def torchvision_state() -> dict[str, torch.Tensor]:
    """What torchvision's file holds, as far as names and shapes go; the classifier's are cut short."""
    state = dict[str, torch.Tensor]()
    rng = torch.Generator().manual_seed(0)
    for number, index in enumerate((*TORCHVISION_CONVOLUTIONS, 30, 32, 34)):
        into, out = (TORCHVISION_WIDTHS[number], TORCHVISION_WIDTHS[number + 1]) if number < 13 else (1, 1)
        state[f"features.{index}.weight"] = torch.randn(out, into, 3, 3, generator=rng) * 0.01
        state[f"features.{index}.bias"] = torch.randn(out, generator=rng)
    for index in (0, 3, 6):
        state[f"classifier.{index}.weight"] = torch.zeros(2, 2)
        state[f"classifier.{index}.bias"] = torch.zeros(2)
    return state


# The perceptual network


def test_the_perceptual_network_has_torchvisions_names_and_shapes():
    wanted = {
        f"features.{index}.{part}": shape
        for number, index in enumerate(TORCHVISION_CONVOLUTIONS)
        for part, shape in (
            ("weight", (TORCHVISION_WIDTHS[number + 1], TORCHVISION_WIDTHS[number], 3, 3)),
            ("bias", (TORCHVISION_WIDTHS[number + 1],)),
        )
    }
    with torch.device("meta"):
        found = {name: tuple(value.shape) for name, value in Vgg19().state_dict().items()}
    assert found == wanted


def test_taps_halve_in_size_and_double_in_width():
    with torch.device("meta"):
        taps = Vgg19()(torch.rand(2, 3, 64, 64))
    assert [tuple(tap.shape) for tap in taps] == [
        (2, 64, 64, 64),
        (2, 128, 32, 32),
        (2, 256, 16, 16),
        (2, 512, 8, 8),
        (2, 512, 4, 4),
    ]


def test_taps_are_those_of_a_plain_sequence_of_torchvisions_layers():
    torch.manual_seed(0)
    vgg = Vgg19(width=2)
    layers = list[torch.nn.Module]()
    for block, convolutions in enumerate((2, 2, 4, 4, 1)):
        layers += [torch.nn.MaxPool2d(2)] if block else []
        for _ in range(convolutions):
            layers += [vgg.features[str(len(layers))], torch.nn.ReLU()]
    frames = torch.rand(1, 3, 32, 32)
    hidden = (frames - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    outputs = []
    for layer in layers:
        hidden = layer(hidden)
        outputs.append(hidden)
    # relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of torchvision's features
    for tap, index in zip(vgg(frames), (1, 6, 11, 20, 29), strict=True):
        torch.testing.assert_close(tap, outputs[index])


def test_the_perceptual_network_is_never_trained():
    assert not any(parameter.requires_grad for parameter in PerceptualLoss(NARROW).parameters())


def test_equal_frames_have_no_perceptual_distance_and_others_have():
    loss, frames = PerceptualLoss(NARROW), torch.rand(2, 3, 128, 128)
    assert loss(frames, frames, ONES).item() == 0.0
    assert loss(1 - frames, frames, ONES).item() > 0.0


def test_the_perceptual_distance_weighs_its_taps():
    loss = PerceptualLoss(PerceptualConfig(weights="random", width=4, scales=(1.0,)))
    fake, real = torch.rand(2, 1, 3, 32, 32)
    distances = [np.abs(f.numpy() - r.numpy()).mean() for f, r in zip(loss.vgg(fake), loss.vgg(real), strict=True)]
    weights = (1.0, 2.0, 0.0, 4.0, 0.5)
    wanted = sum(w * d for w, d in zip(weights, distances, strict=True))
    assert loss(fake, real, weights).item() == pytest.approx(wanted, rel=1e-5)


def test_the_perceptual_distance_adds_its_scales():
    fake, real = torch.rand(2, 1, 3, 32, 32)

    def distance(*scales: float) -> float:
        return PerceptualLoss(PerceptualConfig(weights="random", width=4, scales=scales))(fake, real, ONES).item()

    assert distance(1.0, 0.5) == pytest.approx(distance(1.0) + distance(0.5), rel=1e-5)


def test_the_perceptual_distance_teaches_the_prediction_alone():
    fake, real = (torch.rand(1, 3, 128, 128) for _ in range(2))
    fake.requires_grad_()
    real.requires_grad_()
    PerceptualLoss(NARROW)(fake, real, ONES).backward()
    assert fake.grad.abs().sum() > 0
    assert real.grad is None


def test_random_weights_depend_on_the_seed_alone():
    first, again = (load_vgg19(NARROW).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = load_vgg19(PerceptualConfig(weights="random", width=4, seed=5)).state_dict()
    assert not torch.equal(first["features.0.weight"], other["features.0.weight"])
    drawn = np.random.RandomState(1234).standard_normal((4, 3, 3, 3)) * math.sqrt(2 / 27)
    np.testing.assert_allclose(first["features.0.weight"].numpy(), drawn, rtol=1e-6)


@pytest.mark.parametrize("settings", [{"width": 16}, {"weights": "random", "width": 0}, {"scales": ()}])
def test_a_perceptual_network_that_cannot_be_is_refused(settings):
    with pytest.raises(ValueError, match=r"width|scale"):
        PerceptualConfig(**settings)


# Its weights file


def test_torchvisions_file_is_loaded_by_its_path(tmp_path):
    state, path = torchvision_state(), tmp_path / "vgg19.pth"
    torch.save(state, path)
    vgg = load_vgg19(PerceptualConfig(weights=path))
    for name, value in vgg.state_dict().items():
        assert torch.equal(value, state[name])


def one_line(error: pytest.ExceptionInfo[UserError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_missing_weights_file_is_the_users_error(tmp_path):
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig(weights=tmp_path / "none.pth"))
    one_line(error, str(tmp_path / "none.pth"), "give")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes(range(256)) * 8])
def test_a_file_that_holds_no_weights_is_the_users_error(tmp_path, content):
    path = tmp_path / "vgg.pth"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig(weights=path))
    one_line(error, str(path), "give VGG-19's file")


def test_weights_of_another_network_are_the_users_error(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig(weights=path))
    one_line(error, str(path), "features.0.weight", "vgg19")


@pytest.mark.parametrize("content", [[1, 2, 3], torch.zeros(3), {"features.0.weight": "text"}])
def test_a_file_of_something_else_is_the_users_error(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig(weights=path))
    one_line(error, str(path))


def test_missing_weights_are_named(tmp_path):
    state, path = torchvision_state(), tmp_path / "part.pth"
    del state["features.28.bias"]
    torch.save(state, path)
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig(weights=path))
    one_line(error, str(path), "features.28.bias")


# Adversarial


def test_adversarial_losses_are_numpys():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 3, 1, 4, 4)) * 3
    log_sigmoid = lambda x: -np.log1p(np.exp(-x))  # noqa: E731
    judged = {
        "lsgan": ((real - 1) ** 2).mean() + (fake**2).mean(),
        "logistic": -log_sigmoid(real).mean() - log_sigmoid(-fake).mean(),
        "hinge": np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
    }
    fooled = {"lsgan": ((fake - 1) ** 2).mean(), "logistic": -log_sigmoid(fake).mean(), "hinge": -fake.mean()}
    for mode, wanted in judged.items():
        given = discriminator_adversarial_loss(torch.from_numpy(real), torch.from_numpy(fake), mode=mode)
        assert given.item() == pytest.approx(wanted, rel=1e-9)
        given = generator_adversarial_loss(torch.from_numpy(fake), mode=mode)
        assert given.item() == pytest.approx(fooled[mode], rel=1e-9)


@pytest.mark.parametrize("mode", ["lsgan", "logistic", "hinge"])
def test_a_mixed_frame_is_asked_pixel_by_pixel(mode):
    rng = np.random.default_rng(3)
    scores, mask = rng.normal(size=(2, 1, 4, 4)) * 2, rng.uniform(size=(2, 1, 4, 4)) > 0.4
    as_real, as_fake = {
        "lsgan": ((1 - scores) ** 2, scores**2),
        "logistic": (np.log1p(np.exp(-scores)), np.log1p(np.exp(scores))),
        "hinge": (np.maximum(0, 1 - scores), np.maximum(0, 1 + scores)),
    }[mode]
    given = mixed_adversarial_loss(torch.from_numpy(scores), torch.from_numpy(mask), mode=mode)
    assert given.item() == pytest.approx(np.where(mask, as_fake, as_real).mean(), rel=1e-9)


def test_a_mixed_frame_under_least_squares_has_the_mask_as_its_target():
    rng = np.random.default_rng(4)
    scores, mask = rng.uniform(size=(2, 1, 4, 4)), rng.uniform(size=(2, 1, 4, 4)) > 0.5
    given = mixed_adversarial_loss(torch.from_numpy(scores), torch.from_numpy(mask))
    assert given.item() == pytest.approx(((scores - ~mask) ** 2).mean(), rel=1e-9)


def test_least_squares_take_probabilities_and_the_others_logits():
    logit = torch.randn(1, 1, 4, 4)
    output = DiscriminatorOutput(torch.zeros(1, 1, 2, 2), (), logit.sigmoid(), logit)
    assert pixel_scores_for(output, mode="lsgan") is output.pixel_score
    assert pixel_scores_for(output, mode="logistic") is output.pixel_logit
    assert pixel_scores_for(output, mode="hinge") is output.pixel_logit


def judged(*features: torch.Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.zeros(len(features[0]), 1, 1, 1), features)


def test_feature_matching_sums_the_mean_distance_of_every_block_and_scale():
    rng = np.random.default_rng(1)
    shapes = [(2, 4, 8, 8), (2, 8, 3, 3)]
    real, fake = ([[rng.normal(size=s) for s in shapes] for _ in range(2)] for _ in range(2))
    wanted = sum(np.abs(f - r).mean() for fs, rs in zip(fake, real, strict=True) for f, r in zip(fs, rs, strict=True))
    real_scales, fake_scales = (
        tuple(judged(*(torch.from_numpy(f).float() for f in scale)) for scale in scales) for scales in (real, fake)
    )
    assert feature_matching_loss(real_scales, fake_scales).sum().item() == pytest.approx(wanted, rel=1e-5)
    assert feature_matching_loss(real_scales, real_scales).tolist() == [0.0, 0.0]


def test_feature_matching_is_told_block_by_block():
    real, fake = (judged(torch.full((1, 2, 4, 4), a), torch.full((1, 3, 2, 2), b)) for a, b in ((0.0, 1.0), (0.5, 4.0)))
    assert feature_matching_loss((real,), (fake,)).tolist() == [0.5, 3.0]
    assert feature_matching_loss((real, real), (fake, real)).tolist() == [0.5, 3.0]


def test_feature_matching_moves_the_fake_towards_the_real():
    real, fake = torch.zeros(1, 1, 2, 2, requires_grad=True), torch.ones(1, 1, 2, 2, requires_grad=True)
    feature_matching_loss((judged(real),), (judged(fake),)).sum().backward()
    assert real.grad is None
    assert torch.equal(fake.grad, torch.full((1, 1, 2, 2), 0.25))
    feature_matching_loss((judged(real),), (judged(fake),), through_real=True).sum().backward()
    assert torch.equal(real.grad, torch.full((1, 1, 2, 2), -0.25))


# Equivariance


@pytest.mark.parametrize("seed", range(3))
def test_keypoints_that_follow_the_transform_lose_nothing(seed):
    rng = torch.Generator().manual_seed(seed)
    transform = random_transform(2, generator=rng)
    moved = torch.rand(2, 5, 2, generator=rng) * 1.6 - 0.8
    shape = torch.eye(2) + 0.2 * torch.randn(2, 5, 2, 2, generator=rng)
    transformed = Keypoints(moved, shape)
    # Where T takes the place, T' takes the shape.
    driving = Keypoints(transform.points(moved), transform.jacobian(moved) @ shape)
    assert equivariance_value_loss(driving, transformed, transform).item() == pytest.approx(0.0, abs=1e-6)
    assert equivariance_jacobian_loss(driving, transformed, transform).item() == pytest.approx(0.0, abs=1e-5)
    off = Keypoints(driving.position + 0.25, 2 * driving.jacobian)
    assert equivariance_value_loss(off, transformed, transform).item() == pytest.approx(0.25, abs=1e-5)
    # A doubled shape makes the product half the identity: two of four entries are off by a half.
    assert equivariance_jacobian_loss(off, transformed, transform).item() == pytest.approx(0.25, abs=1e-4)


def test_equivariance_of_shapes_needs_jacobians():
    bare, transform = Keypoints(torch.zeros(1, 2, 2)), random_transform(1, generator=torch.Generator())
    with pytest.raises(ValueError, match="carry no jacobian; leave"):
        equivariance_jacobian_loss(bare, bare, transform)


# Weights


def test_the_generators_total_weighs_as_equation_6_does():
    losses = GeneratorLosses(*scalars(7.0, 0.5, 0.75, 0.25, 0.1, 0.2, 0.8, 0.03))
    # 7 + 0 * 0.5 + 0 * 0.75 + 0 * 0.25 + 10 * 0.1 + 10 * 0.2 + 1 * 0.8 + 10 * 0.03
    assert losses.total(LossWeights()).item() == pytest.approx(11.1)
    weights = LossWeights(
        pixel=2.0,
        deformed=8.0,
        explained=4.0,
        equivariance_value=3.0,
        equivariance_jacobian=5.0,
        adversarial=0.5,
        feature_matching=100.0,
    )
    assert losses.total(weights).item() == pytest.approx(7 + 1 + 6 + 1 + 0.3 + 1 + 0.4 + 3)


def test_monkeynets_total_weighs_the_frame_and_each_block():
    zero, frame, adversarial = scalars(0.0, 0.25, 0.0625)
    losses = GeneratorLosses(
        perceptual=zero,
        pixel=frame,
        deformed=torch.tensor(0.65),
        explained=zero,
        equivariance_value=zero,
        equivariance_jacobian=zero,
        adversarial=adversarial,
        feature_matching=torch.tensor([0.5, 2.0]),
    )
    weights = LossWeights(pixel=10.0, feature_matching=(4.0, 1.0), deformed=2.0, adversarial=8.0)
    assert losses.total(weights).item() == pytest.approx(2.5 + 2 + 2 + 1.3 + 0.5)
    assert losses.total(replace(weights, feature_matching=3.0)).item() == pytest.approx(2.5 + 7.5 + 1.3 + 0.5)


def test_the_discriminators_total_weighs_as_equation_4_does():
    losses = DiscriminatorLosses(*scalars(0.5, 0.25, 0.125))
    assert losses.total(LossWeights()).item() == pytest.approx(0.875)
    weights = LossWeights(discriminator_encoder=2.0, discriminator_decoder=4.0, consistency=16.0)
    assert losses.total(weights).item() == pytest.approx(1 + 1 + 2)


def test_terms_that_are_not_the_papers_count_where_a_step_has_them():
    losses = DiscriminatorLosses(*scalars(0.5, 0.25, 0.125, 1.0, 2.0, 4.0, 8.0))
    assert losses.total(LossWeights()).item() == pytest.approx(0.875 + 3.0)
    weights = LossWeights(discriminator_encoder=2.0, discriminator_decoder=0.5, lecam=0.25, r1=0.125)
    assert losses.total(weights).item() == pytest.approx(1 + 0.125 + 0.125 + 2 + 1 + 1 + 1)


def test_the_papers_weights_are_the_defaults():
    weights = LossWeights()
    assert weights.perceptual == (10.0,) * 5
    assert (weights.equivariance_value, weights.equivariance_jacobian) == (10.0, 10.0)
    assert (weights.adversarial, weights.feature_matching) == (1.0, 10.0)
    assert (weights.discriminator_encoder, weights.discriminator_decoder, weights.consistency) == (1.0, 1.0, 1.0)
    assert (weights.lecam, weights.r1) == (0.0, 0.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"perceptual": (10.0, 10.0)},
        {"perceptual": (10.0, 10.0, -1.0, 10.0, 10.0)},
        {"pixel": -1.0},
        {"adversarial": math.nan},
        {"consistency": -0.1},
        {"deformed": -1.0},
        {"lecam": -1.0},
        {"r1": math.nan},
        {"feature_matching": (10.0, -1.0)},
    ],
)
def test_weights_that_make_no_sense_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        LossWeights(**settings)


def test_the_best_map_under_the_explained_loss_gives_up_what_the_warp_does_not_explain():
    # Source shows colour 0.5; the driving frame has 0.5 on the left and 0.7 on the right half.
    deformed = torch.full((1, 3, 2, 4), 0.5)
    driving = deformed.clone()
    driving[..., 2:] = 0.7
    logit = torch.zeros(1, 1, 2, 4, requires_grad=True)
    optimizer = torch.optim.Adam([logit], lr=0.1)
    for _ in range(600):
        optimizer.zero_grad()
        explained_loss(deformed, driving, logit.sigmoid()).backward()
        optimizer.step()
    kept = logit.sigmoid().detach()
    assert kept[..., :2].min() > 0.95
    # b / e = 0.02 / 0.2
    assert torch.allclose(kept[..., 2:], torch.tensor(0.1), atol=5e-3)
