"""Which pixels are cut, judged by worked examples and by a slow second derivation in plain Python."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from prioritycut.outputs import MotionOutput
from prioritycut.regularizers import (
    CutMix,
    Cutout,
    Mixup,
    PriorityCut,
    RandomCut,
    box_mask,
    consistency_loss,
    dominant_background,
    draw_mask,
    foreground_mask,
    mix,
    mix_probability,
    partner,
    priority_cut_mask,
    random_mask,
)

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden_examples.json").read_text())
CUT = GOLDEN["priority_cut"]


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Arguments as they reach the function in use, where nobody checks shapes first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quantised_maps(seed: int, *, batch: int = 3, height: int = 7, width: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Occlusion of five levels, so that ties are frequent, and background around and at the threshold."""
    rng = np.random.default_rng(seed)
    occlusion = rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], (batch, 1, height, width))
    background = rng.choice([0.0, 0.5, 0.9, 0.91, 1.0], (batch, 1, height, width))
    return torch.tensor(occlusion, dtype=torch.float32), torch.tensor(background, dtype=torch.float32)


def slow_cut(
    occlusion: torch.Tensor, background: torch.Tensor, fraction: float, *, denominator: str = "foreground"
) -> list[list[bool]]:
    """One image's mask by sorting (occlusion, row, column) of its foreground pixels."""
    rows, cols = occlusion.shape
    foreground = [
        (float(occlusion[y, x]), y, x) for y in range(rows) for x in range(cols) if float(background[y, x]) <= 0.9
    ]
    pixels = len(foreground) if denominator == "foreground" else rows * cols
    chosen = {(y, x) for _, y, x in sorted(foreground)[: min(math.floor(fraction * pixels), len(foreground))]}
    return [[(y, x) in chosen for x in range(cols)] for y in range(rows)]


def motion_of(occlusion: torch.Tensor | None, background: torch.Tensor | None, side: int = 4) -> MotionOutput:
    batch = 1 if occlusion is None else occlusion.shape[0]
    return MotionOutput(torch.zeros(batch, side, side, 2), occlusion, background)


# The worked examples


@pytest.mark.parametrize("case", CUT["cases"], ids=lambda case: f"{case['p']}% of {case['denominator']}")
def test_cuts_the_pixels_of_the_worked_example(case):
    occlusion, background = (torch.tensor(CUT[name])[None, None] for name in ("occlusion", "M_bg"))
    mask = priority_cut_mask(occlusion, background, case["p"] / 100, denominator=case["denominator"])
    assert mask.dtype == torch.bool
    assert mask[0, 0].int().tolist() == case["mask"]
    assert mask.sum() == case["k"]
    assert foreground_mask(background).sum() == case["num_foreground"]


def test_mixes_the_frames_of_the_worked_example():
    real = (torch.arange(16.0) / 16).view(1, 1, 4, 4)
    mask = torch.tensor(CUT["cases"][0]["mask"]).bool()[None, None]
    assert mix(real, 1 - real, mask)[0, 0].tolist() == CUT["mix"]["mixed"]
    assert mix(real, 1 - real, mask.float())[0, 0].tolist() == CUT["mix"]["mixed"]


@pytest.mark.parametrize("case", GOLDEN["schedule"]["cases"], ids=lambda case: f"epoch {case['epoch']}")
def test_the_chance_of_mixing_climbs_as_in_the_worked_example(case):
    assert mix_probability(float(case["epoch"]), warmup_epochs=float(case["n"])) == pytest.approx(case["prob"])


def test_without_a_ramp_the_chance_of_mixing_is_full_from_the_start():
    assert mix_probability(0.0, warmup_epochs=0.0) == 0.5
    assert mix_probability(5.0, warmup_epochs=10.0, maximum=0.8) == pytest.approx(0.4)


# Properties of the PriorityCut mask


@pytest.mark.parametrize("denominator", ["foreground", "image"])
@pytest.mark.parametrize("seed", range(25))
def test_agrees_with_sorting_occlusion_row_and_column(seed, denominator):
    occlusion, background = quantised_maps(seed)
    fractions = np.random.default_rng(1000 + seed).choice([0.07, 0.29, 0.5, 0.57, 0.58, 0.99], 3)
    mask = priority_cut_mask(occlusion, background, torch.tensor(fractions), denominator=denominator)
    for image in range(3):
        wanted = slow_cut(occlusion[image, 0], background[image, 0], float(fractions[image]), denominator=denominator)
        assert mask[image, 0].tolist() == wanted


@pytest.mark.parametrize("seed", range(20))
def test_never_cuts_confident_background_and_cuts_exactly_the_floor_of_the_share(seed):
    rng = np.random.default_rng(seed)
    occlusion, background = torch.rand(2, 4, 1, 16, 16, generator=generator(seed))
    fraction = float(rng.uniform())
    for denominator, pixels in (
        ("foreground", (background <= 0.9).flatten(1).sum(1)),
        ("image", torch.full((4,), 256)),
    ):
        mask = priority_cut_mask(occlusion, background, fraction, denominator=denominator)
        foreground = (background <= 0.9).flatten(1).sum(1)
        counts = [min(math.floor(fraction * int(n)), int(f)) for n, f in zip(pixels, foreground, strict=True)]
        assert mask.flatten(1).sum(1).tolist() == counts
        assert not (mask & (background > 0.9)).any()


@pytest.mark.parametrize(("fraction", "count"), [(0.29, 28), (0.57, 56), (0.58, 57), (0.3, 30), (0.07, 7)])
def test_the_count_is_the_floor_in_double_precision(fraction, count):
    # In double precision 0.29 * 100 is 28.999999999999996, in single precision 29.
    assert math.floor(fraction * 100) == count
    mask = priority_cut_mask(torch.rand(1, 1, 10, 10), torch.zeros(1, 1, 10, 10), fraction)
    assert mask.sum() == count


def test_a_thousandth_of_a_large_image_is_counted_exactly():
    mask = priority_cut_mask(torch.rand(1, 1, 256, 256), torch.zeros(1, 1, 256, 256), 0.9999)
    assert mask.sum() == math.floor(0.9999 * 65536)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6, 0.7, 0.9])
def test_only_a_probability_strictly_above_the_threshold_is_background(threshold):
    at = torch.full((1, 1, 1, 1), threshold)
    above = torch.nextafter(at, torch.ones(()))
    background = torch.cat([at, above], dim=3)
    mask = priority_cut_mask(torch.zeros(1, 1, 1, 2), background, 1.0, threshold=threshold)
    assert mask.flatten().tolist() == [True, False]


def test_the_most_occluded_pixels_go_first():
    occlusion = torch.tensor([0.9, 0.1, 0.5, 0.0]).view(1, 1, 2, 2)
    mask = priority_cut_mask(occlusion, torch.zeros(1, 1, 2, 2), 0.5)
    assert mask.flatten().tolist() == [False, True, False, True]


def test_equally_occluded_pixels_are_cut_in_row_major_order():
    mask = priority_cut_mask(torch.full((1, 1, 3, 3), 0.5), torch.zeros(1, 1, 3, 3), 0.5)
    assert mask.flatten().tolist() == [True] * 4 + [False] * 5


@pytest.mark.parametrize("seed", range(5))
def test_no_image_depends_on_its_neighbours_in_the_batch(seed):
    occlusion, background = quantised_maps(seed, batch=4)
    fractions = torch.tensor([0.1, 0.4, 0.7, 1.0])
    together = priority_cut_mask(occlusion, background, fractions)
    for image in range(4):
        alone = priority_cut_mask(occlusion[image, None], background[image, None], float(fractions[image]))
        assert torch.equal(alone[0], together[image])
    order = torch.randperm(4, generator=generator(seed))
    permuted = priority_cut_mask(occlusion[order], background[order], fractions[order])
    assert torch.equal(permuted, together[order])


def test_no_gradient_flows_through_the_mask():
    occlusion = torch.rand(2, 1, 4, 4, requires_grad=True)
    background = (torch.rand(2, 1, 4, 4) * 0.5).requires_grad_()
    assert not priority_cut_mask(occlusion, background, 0.5).requires_grad
    real, fake = torch.rand(2, 2, 3, 8, 8).unbind()
    fake.requires_grad_()
    mask = draw_mask(PriorityCut(fraction=(0.5, 0.5)), motion_of(occlusion, background), real, generator=generator())
    mix(real, fake, mask).sum().backward()
    assert occlusion.grad is None
    assert background.grad is None
    assert torch.equal(fake.grad, mask.float().expand(2, 3, 8, 8))


def test_an_image_without_foreground_gets_an_empty_mask():
    background = torch.zeros(2, 1, 4, 4)
    background[1] = 1.0
    mask = priority_cut_mask(torch.zeros(2, 1, 4, 4), background, 1.0)
    assert mask.flatten(1).sum(1).tolist() == [16, 0]


def test_a_share_of_nothing_cuts_nothing_and_a_share_of_one_the_whole_foreground():
    occlusion, background = quantised_maps(3)
    assert not priority_cut_mask(occlusion, background, 0.0).any()
    for denominator in ("foreground", "image"):
        everything = priority_cut_mask(occlusion, background, 1.0, denominator=denominator)
        assert torch.equal(everything, background <= 0.9)


@pytest.mark.parametrize("fraction", [math.nan, -0.1, 1.1, math.inf])
def test_refuses_a_share_outside_of_zero_to_one(fraction):
    maps = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"fraction must lie in \[0, 1\]"):
        priority_cut_mask(maps, maps, fraction)
    with pytest.raises(ValueError, match=r"fraction must lie in \[0, 1\]"):
        priority_cut_mask(maps, maps, torch.tensor([0.5, fraction]))


@pytest.mark.usefixtures("unchecked")
def test_refuses_shares_for_another_number_of_images():
    maps = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"one number an image \(2\)"):
        priority_cut_mask(maps, maps, torch.tensor([0.5, 0.5, 0.5]))


@pytest.mark.usefixtures("unchecked")
def test_refuses_an_unknown_denominator():
    maps = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="denominator must be"):
        priority_cut_mask(maps, maps, 0.5, denominator="picture")


# The other readings of the paper: a quantile (A2), the background by its weight (A1)


@pytest.mark.parametrize("seed", range(15))
def test_a_quantile_takes_every_foreground_pixel_up_to_it(seed):
    occlusion, background = quantised_maps(seed)
    fraction = float(np.random.default_rng(seed).choice([0.07, 0.29, 0.5, 0.58, 1.0]))
    mask = priority_cut_mask(occlusion, background, fraction, selection="quantile")
    exact = priority_cut_mask(occlusion, background, fraction)
    for image in range(3):
        foreground = background[image, 0].numpy() <= 0.9
        values = occlusion[image, 0].numpy()
        count = int(exact[image].sum())
        if count == 0:
            assert not mask[image].any()
            continue
        # The smallest value that at least this share of the foreground does not exceed.
        share = count / foreground.sum()
        quantile = np.quantile(values[foreground], share - 1e-9, method="inverted_cdf")
        assert np.array_equal(mask[image, 0].numpy(), foreground & (values <= quantile))
    assert not (exact & ~mask).any()


def test_a_quantile_takes_more_than_its_share_where_pixels_are_equally_occluded():
    occlusion = torch.tensor([0.1, 0.5, 0.5, 0.5, 0.9, 0.9]).view(1, 1, 2, 3)
    mask = priority_cut_mask(occlusion, torch.zeros(1, 1, 2, 3), 1 / 3, selection="quantile")
    assert mask.flatten().tolist() == [True, True, True, True, False, False]


def test_a_quantile_is_the_exact_share_where_no_pixels_are_equally_occluded():
    occlusion = torch.rand(4, 1, 16, 16, generator=generator(1))
    background = torch.rand(4, 1, 16, 16, generator=generator(2))
    for fraction in (0.0, 0.3, 1.0):
        exact, quantile = (
            priority_cut_mask(occlusion, background, fraction, selection=selection)
            for selection in ("exact", "quantile")
        )
        assert torch.equal(exact, quantile)


def test_an_image_without_foreground_has_no_quantile():
    ones = torch.ones(1, 1, 3, 3)
    assert not priority_cut_mask(0 * ones, ones, 1.0, selection="quantile").any()


def with_weights(occlusion: torch.Tensor, weights: torch.Tensor) -> MotionOutput:
    return MotionOutput(torch.zeros(len(weights), *weights.shape[-2:], 2), occlusion, weights[:, :1], weights)


def test_the_dominant_background_is_numpys_argmax():
    weights = torch.randn(3, 5, 6, 7, generator=generator(3)).softmax(1)
    wanted = weights.numpy().argmax(1) == 0
    assert np.array_equal(dominant_background(weights)[:, 0].numpy(), wanted)
    assert 0.1 < wanted.mean() < 0.3


def test_a_draw_for_the_largest_weight_is_foreground():
    weights = torch.tensor([[0.4, 0.5, 0.3], [0.4, 0.2, 0.4], [0.2, 0.3, 0.3]]).view(1, 3, 1, 3)
    assert dominant_background(weights).flatten().tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("kind", [PriorityCut, RandomCut])
def test_background_by_argmax_is_decided_at_the_frames_size(kind):
    weights = torch.randn(2, 3, 4, 4, generator=generator(4)).softmax(1)
    occlusion = torch.rand(2, 1, 4, 4, generator=generator(5))
    config = kind(fraction=(1.0, 1.0), threshold="argmax")
    mask = draw_mask(config, with_weights(occlusion, weights), torch.zeros(2, 3, 16, 16), generator=generator())
    large = torch.nn.functional.interpolate(weights, size=(16, 16), mode="bilinear", align_corners=False)
    foreground = large.numpy().argmax(1) != 0
    if kind is PriorityCut:
        assert np.array_equal(mask[:, 0].numpy(), foreground)
    assert mask.flatten(1).sum(1).tolist() == foreground.reshape(2, -1).sum(1).tolist()


def test_background_by_argmax_is_decided_at_the_maps_size_where_blocks_are_cut():
    weights = torch.randn(2, 3, 4, 4, generator=generator(4)).softmax(1)
    config = PriorityCut(fraction=(1.0, 1.0), threshold="argmax", mask_resolution="occlusion")
    motion = with_weights(torch.rand(2, 1, 4, 4), weights)
    mask = draw_mask(config, motion, torch.zeros(2, 3, 16, 16), generator=generator())
    wanted = np.kron(weights.numpy().argmax(1) != 0, np.ones((1, 4, 4))) > 0
    assert np.array_equal(mask[:, 0].numpy(), wanted)


def test_background_by_argmax_needs_the_weights_of_all_motions():
    maps = torch.rand(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"PriorityCut with threshold 'argmax' needs the weights.*give a number"):
        draw_mask(
            PriorityCut(threshold="argmax"), motion_of(maps, maps), torch.zeros(1, 3, 8, 8), generator=generator()
        )


def test_a_share_a_batch_is_the_same_for_all_its_images():
    maps = torch.rand(6, 1, 8, 8, generator=generator(9))
    config = PriorityCut(fraction_per="batch")
    counts = list[int]()
    for seed in range(60):
        motion, frames = motion_of(maps, maps * 0, 8), torch.zeros(6, 3, 8, 8)
        mask = draw_mask(config, motion, frames, generator=generator(seed))
        (count,) = set(mask.flatten(1).sum(1).tolist())
        counts.append(count)
    assert min(counts) < 10
    assert max(counts) > 54


# Mixing and consistency


@pytest.mark.parametrize("kind", ["cut", "blend"])
def test_mixing_is_equation_3(kind):
    rng = np.random.default_rng(0)
    real, fake = rng.uniform(size=(2, 3, 3, 5, 6)).astype(np.float32)
    mask = rng.uniform(size=(3, 1, 5, 6)).astype(np.float32)
    mask = mask > 0.5 if kind == "cut" else mask
    mixed = mix(torch.from_numpy(real), torch.from_numpy(fake), torch.from_numpy(mask))
    np.testing.assert_allclose(mixed.numpy(), (1 - mask) * real + mask * fake, rtol=1e-5, atol=1e-7)


def test_what_is_not_chosen_cannot_leak_into_a_mixed_frame():
    real, fake = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), math.nan)
    assert mix(real, fake, torch.zeros(1, 1, 2, 2, dtype=torch.bool)).eq(0).all()


def test_consistency_is_the_mean_squared_deviation_of_equation_5():
    rng = np.random.default_rng(1)
    mixed, real, fake = rng.uniform(size=(3, 2, 1, 4, 5))
    mask = rng.uniform(size=(2, 1, 4, 5)) > 0.4
    wanted = np.mean((mixed - ((1 - mask) * real + mask * fake)) ** 2)
    given = consistency_loss(*(torch.from_numpy(scores) for scores in (mixed, real, fake)), torch.from_numpy(mask))
    assert float(given) == pytest.approx(wanted, rel=1e-12)


def test_consistency_reaches_all_three_scores():
    rng = np.random.default_rng(2)
    mixed, real, fake = (torch.from_numpy(s).requires_grad_() for s in rng.uniform(size=(3, 2, 1, 4, 4)))
    mask = torch.from_numpy(rng.uniform(size=(2, 1, 4, 4)) > 0.5)
    consistency_loss(mixed, real, fake, mask).backward()
    deviation = (mixed - torch.where(mask, fake, real)).detach() * 2 / mixed.numel()
    torch.testing.assert_close(mixed.grad, deviation)
    torch.testing.assert_close(real.grad, -deviation * ~mask)
    torch.testing.assert_close(fake.grad, -deviation * mask)


def test_an_empty_mask_makes_no_demand_on_a_consistent_discriminator():
    scores = torch.rand(2, 1, 4, 4)
    empty = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    assert consistency_loss(scores, scores, torch.rand(2, 1, 4, 4), empty) == 0


# The other kinds


def test_the_random_control_marks_as_many_pixels_as_priority_cut_for_the_same_draw():
    occlusion, background = torch.rand(2, 6, 1, 4, 4, generator=generator(1))
    motion, frames = motion_of(occlusion, background), torch.zeros(6, 3, 16, 16)
    priority = draw_mask(PriorityCut(threshold=0.5), motion, frames, generator=generator(7))
    control = draw_mask(RandomCut(threshold=0.5), motion, frames, generator=generator(7))
    assert priority.flatten(1).sum(1).tolist() == control.flatten(1).sum(1).tolist()
    assert not torch.equal(priority, control)
    assert len(set(priority.flatten(1).sum(1).tolist())) > 1


def test_the_random_control_spreads_its_pixels_evenly():
    mask = random_mask(torch.full((4000,), 4), 4, 4, generator=generator(2))
    assert mask.flatten(1).sum(1).eq(4).all()
    # The share of each of the 16 places is 0.25; its deviation over 4000 draws is 0.007.
    np.testing.assert_allclose(mask.float().mean((0, 1)).numpy(), 0.25, atol=0.035)


def test_the_expected_area_of_a_box_is_the_laws():
    # With r^2 uniform and a uniform centre a side keeps r - r^2 / 4 of the image on average, so that the area is
    # E[r^2] - E[r^3] / 2 + E[r^4] / 16 = 1/2 - 1/5 + 1/48.
    expected = 1 / 2 - 1 / 5 + 1 / 48
    rng = np.random.default_rng(0)
    side = np.sqrt(1 - rng.uniform(size=200_000))
    area = np.ones_like(side)
    for centre in rng.uniform(size=(2, side.size)):
        area *= np.minimum(centre + side / 2, 1) - np.maximum(centre - side / 2, 0)
    assert area.mean() == pytest.approx(expected, abs=0.003)
    mask = box_mask(5000, 64, 128, generator=generator(3))
    assert float(mask.float().mean()) == pytest.approx(expected, abs=0.02)


def test_a_box_has_the_proportions_of_the_image():
    height, width = 64, 128
    checked = 0
    for box in box_mask(200, height, width, generator=generator(4))[:, 0]:
        rows, cols = box.any(1), box.any(0)
        assert torch.equal(box, rows[:, None] & cols[None, :])
        for line in (rows, cols):
            assert line.int().diff().abs().sum() <= 2  # one stretch
        if box[0].any() or box[-1].any() or box[:, 0].any() or box[:, -1].any() or not box.any():
            continue
        checked += 1
        assert abs(int(rows.sum()) / height - int(cols.sum()) / width) <= 1 / height + 1 / width
    assert checked > 20


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_cutmix_inverts_as_often_as_told(probability):
    # The same seed draws the same boxes, so that only an inversion can make a difference.
    frames = torch.zeros(3000, 3, 16, 16)
    motion = motion_of(None, None)
    plain = draw_mask(CutMix(inversion_probability=0.0), motion, frames, generator=generator(5))
    drawn = draw_mask(CutMix(inversion_probability=probability), motion, frames, generator=generator(5))
    inverted = (plain != drawn).flatten(1)
    assert torch.equal(inverted.all(1), inverted.any(1))
    assert float(inverted.all(1).float().mean()) == pytest.approx(probability, abs=0.04)


def test_cutout_mixes_with_nothing_and_the_others_with_the_fake():
    fake = torch.rand(2, 3, 4, 4) + 0.5
    assert partner(Cutout(), fake).eq(0).all()
    assert partner(CutMix(), fake) is fake
    assert partner(PriorityCut(), fake) is fake


def test_mixup_blends_each_frame_with_one_weight():
    mask = draw_mask(Mixup(), motion_of(None, None), torch.zeros(500, 3, 4, 6), generator=generator(6))
    assert mask.shape == (500, 1, 4, 6)
    weights = mask[:, 0, 0, 0]
    assert torch.equal(mask, weights[:, None, None, None].expand_as(mask))
    assert 0 <= float(weights.min()) < 0.05 < 0.95 < float(weights.max()) <= 1
    assert float(weights.mean()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("regularizer", [PriorityCut(), RandomCut()])
def test_names_the_map_that_a_model_does_not_estimate(regularizer):
    maps, frames = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match="needs an occlusion map, which"):
        draw_mask(regularizer, MotionOutput(torch.zeros(1, 4, 4, 2), None, maps), frames, generator=generator())
    with pytest.raises(ValueError, match="background mask"):
        draw_mask(regularizer, motion_of(maps, None), frames, generator=generator())
    with pytest.raises(ValueError, match=r"occlusion map and a background mask.*CutMix, Cutout and Mixup work"):
        draw_mask(regularizer, motion_of(None, None), frames, generator=generator())


@pytest.mark.parametrize("regularizer", [CutMix(), Cutout(), Mixup()])
def test_other_masks_need_no_maps(regularizer):
    mask = draw_mask(regularizer, motion_of(None, None), torch.zeros(2, 3, 8, 8), generator=generator())
    assert mask.shape == (2, 1, 8, 8)


def test_choosing_at_the_maps_resolution_cuts_blocks():
    occlusion, background = torch.rand(3, 1, 4, 4, generator=generator(8)), torch.zeros(3, 1, 4, 4)
    config = PriorityCut(fraction=(0.5, 0.5), mask_resolution="occlusion")
    mask = draw_mask(config, motion_of(occlusion, background), torch.zeros(3, 3, 16, 16), generator=generator())
    for image in range(3):
        wanted = np.kron(slow_cut(occlusion[image, 0], background[image, 0], 0.5), np.ones((4, 4))) > 0
        assert np.array_equal(mask[image, 0].numpy(), wanted)


def test_choosing_at_the_frames_resolution_cuts_the_exact_share_of_its_pixels():
    occlusion, background = torch.rand(3, 1, 4, 4, generator=generator(8)), torch.zeros(3, 1, 4, 4)
    config = PriorityCut(fraction=(0.3, 0.3))
    mask = draw_mask(config, motion_of(occlusion, background), torch.zeros(3, 3, 15, 17), generator=generator())
    # The share is drawn in single precision, and 0.3 is a little above 3/10 there.
    assert mask.flatten(1).sum(1).tolist() == [math.floor(0.3 * 15 * 17)] * 3


def test_each_image_draws_its_own_share_from_the_range():
    maps = torch.rand(400, 1, 8, 8, generator=generator(9))
    config = PriorityCut(fraction=(0.25, 0.5))
    mask = draw_mask(config, motion_of(maps, maps * 0, 8), torch.zeros(400, 3, 8, 8), generator=generator(9))
    counts = mask.flatten(1).sum(1)
    assert 16 <= int(counts.min()) <= 17
    assert 30 <= int(counts.max()) <= 32
    assert float(counts.float().mean()) == pytest.approx(0.375 * 64 - 0.5, abs=1.0)


@pytest.mark.parametrize("regularizer", [PriorityCut(), RandomCut(), CutMix(), Cutout(), Mixup()])
def test_a_draw_is_the_same_for_the_same_seed(regularizer):
    occlusion, background = torch.rand(2, 4, 1, 4, 4, generator=generator(1))
    motion, frames = motion_of(occlusion, background), torch.zeros(4, 3, 16, 16)
    first, again, other = (draw_mask(regularizer, motion, frames, generator=generator(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (PriorityCut, {"fraction": (0.6, 0.5)}),
        (PriorityCut, {"fraction": (-0.1, 0.5)}),
        (RandomCut, {"fraction": (0.0, 1.5)}),
        (PriorityCut, {"threshold": 1.5}),
        (RandomCut, {"threshold": math.nan}),
        (CutMix, {"inversion_probability": 1.5}),
    ],
)
def test_refuses_settings_out_of_range(kind, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        kind(**settings)


def test_serves_a_foreign_discriminator_with_tensors_alone():
    weight = torch.randn(1, 3, 1, 1, generator=generator(1)).requires_grad_()
    real, fake = torch.rand(2, 2, 3, 8, 8, generator=generator(2))
    occlusion, background = torch.rand(2, 2, 1, 8, 8, generator=generator(3))
    mask = priority_cut_mask(occlusion, background, 0.5)
    scores = [torch.nn.functional.conv2d(frames, weight) for frames in (mix(real, fake, mask), real, fake)]
    # A discriminator that looks at single pixels is consistent by nature.
    assert consistency_loss(*scores, mask).item() == pytest.approx(0.0, abs=1e-12)


def test_importing_the_regularizers_brings_in_no_model():
    code = "import sys, prioritycut.regularizers; print('\\n'.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "prioritycut.regularizers" in found
    unwanted = ("prioritycut.models", "prioritycut.losses", "prioritycut.data", "lightning", "av", "tyro")
    assert [name for name in found if name.startswith(tuple(f"{u}." for u in unwanted)) or name in unwanted] == []
