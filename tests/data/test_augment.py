"""Augmentation: what happens to one frame of a pair happens to the other."""

from __future__ import annotations

import colorsys
import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from prioritycut.data.augment import Augmentation, _hue_rotation, augment_pair, jitter_colours, resize_and_crop

NOTHING = Augmentation(time_flip=0.0, horizontal_flip=0.0, jitter=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_pair(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 8, 10, generator=generator(seed))


@pytest.mark.parametrize("seed", range(20))
def test_a_pair_of_equal_frames_stays_one(seed):
    frame = torch.rand(3, 8, 10, generator=generator(99))
    pair = augment_pair(torch.stack([frame, frame]), Augmentation(jitter=0.5), generator=generator(seed))
    assert torch.equal(pair[0], pair[1]) or torch.allclose(pair[0], pair[1], atol=1e-6)
    assert not torch.allclose(pair[0], frame)


def test_no_augmentation_leaves_the_pair():
    assert torch.equal(augment_pair(a_pair(), NOTHING, generator=generator()), a_pair())
    torch.testing.assert_close(jitter_colours(a_pair(), 0.0, generator=generator()), a_pair(), atol=1e-5, rtol=0)


def test_a_time_flip_swaps_the_frames():
    flipped = augment_pair(a_pair(), Augmentation(time_flip=1.0, jitter=0.0), generator=generator())
    np.testing.assert_array_equal(flipped.numpy(), a_pair().numpy()[::-1])


def test_a_mirror_image_mirrors_both_frames():
    settings = Augmentation(time_flip=0.0, horizontal_flip=1.0, jitter=0.0)
    mirrored = augment_pair(a_pair(), settings, generator=generator())
    np.testing.assert_array_equal(mirrored.numpy(), a_pair().numpy()[..., ::-1])


def test_half_of_the_pairs_flip_in_time_and_a_quarter_is_mirrored():
    # A mirror image is drawn only where there was no time flip: 1/2, 1/4, and 1/4 as they are.
    pair, rng = a_pair(), generator(1)
    results = [augment_pair(pair, Augmentation(jitter=0.0), generator=rng) for _ in range(2000)]
    for wanted, share in ((pair.flip(0), 0.5), (pair.flip(-1), 0.25), (pair, 0.25)):
        assert sum(torch.equal(result, wanted) for result in results) / 2000 == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("amount", [0.1, 0.5, 1.0])
def test_colours_stay_in_range(amount):
    for seed in range(20):
        pair = jitter_colours((a_pair(seed) * 1.2 - 0.1).clamp(0, 1), amount, generator=generator(seed))
        assert ((pair >= 0) & (pair <= 1)).all()


def test_a_small_jitter_changes_colours_a_little():
    # Four changes of at most a tenth each, hue of at most a tenth of the wheel.
    for seed in range(20):
        change = (jitter_colours(a_pair(seed), 0.02, generator=generator(seed)) - a_pair(seed)).abs()
        assert 0 < change.max() < 0.25


def test_grey_is_changed_by_brightness_alone():
    # Contrast, saturation and hue leave a uniform grey as it is.
    grey = torch.full((2, 3, 4, 4), 0.5)
    values = list[float]()
    for seed in range(200):
        jittered = jitter_colours(grey, 0.1, generator=generator(seed))
        assert jittered.max() - jittered.min() < 1e-5
        values.append(jittered.mean().item())
    assert min(values) >= 0.45 - 1e-5
    assert max(values) <= 0.55 + 1e-5
    assert np.std(values) == pytest.approx(0.05 / math.sqrt(3), rel=0.15)


@pytest.mark.parametrize("turns", [0.0, 1.0, -1.0])
def test_a_full_turn_of_the_hue_changes_nothing(turns):
    torch.testing.assert_close(_hue_rotation(turns), torch.eye(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("turns", [0.05, 0.25, -0.1, 0.5])
def test_turning_the_hue_keeps_luma_and_the_length_of_the_chroma(turns):
    for colour in np.random.default_rng(0).uniform(size=(20, 3)):
        before = colorsys.rgb_to_yiq(*colour)
        turned = _hue_rotation(turns).double().numpy() @ colour
        # Not colorsys backwards: it clips.
        luma = 0.30 * turned[0] + 0.59 * turned[1] + 0.11 * turned[2]
        i, q = (
            0.74 * (turned[0] - luma) - 0.27 * (turned[2] - luma),
            0.48 * (turned[0] - luma) + 0.41 * (turned[2] - luma),
        )
        assert luma == pytest.approx(before[0], abs=1e-5)
        wanted = complex(before[1], before[2]) * np.exp(2j * np.pi * turns)
        assert complex(i, q) == pytest.approx(wanted, abs=1e-5)


def test_the_same_seed_augments_alike():
    first, again, other = (augment_pair(a_pair(), Augmentation(), generator=generator(s)) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# Against other people's programs


def drawn_jitter(seed: int, amount: float) -> list[tuple[int, float]]:
    """What a seed draws: brightness 0, contrast 1, saturation 2, hue 3 in their order, and by how much."""
    rng = generator(seed)
    by = (2 * torch.rand(4, generator=rng) - 1) * amount
    return [(kind, by[kind].item()) for kind in torch.randperm(4, generator=rng).tolist()]


def jitter_by_others(frame: np.ndarray, changes: list[tuple[int, float]]) -> np.ndarray:
    """Pillow's enhancers and scikit-image's YIQ, on an RGB frame in [0, 1] with colours last."""
    color = pytest.importorskip("skimage.color")
    for kind, by in changes:
        if kind == 3:
            yiq = color.rgb2yiq(frame)
            turned = (yiq[..., 1] + 1j * yiq[..., 2]) * np.exp(2j * np.pi * by)
            frame = color.yiq2rgb(np.stack([yiq[..., 0], turned.real, turned.imag], axis=-1)).clip(0, 1)
        else:
            enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
            picture = Image.fromarray((frame * 255).round().astype(np.uint8))
            frame = np.asarray(enhance(picture).enhance(1 + by)) / 255
    return frame


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("amount", "levels"), [(0.1, 6), (0.6, 8)])
def test_jitter_is_pillows_and_scikit_images_in_the_drawn_order(seed, amount, levels):
    pair = torch.rand(2, 3, 24, 20, generator=generator(seed + 100))
    jittered = jitter_colours(pair, amount, generator=generator(seed))
    for frame, made in zip(pair, jittered, strict=True):
        wanted = jitter_by_others(frame.permute(1, 2, 0).numpy(), drawn_jitter(seed, amount))
        # Pillow works on whole levels, so each of its three steps is off by up to one, times what later ones enlarge;
        # scikit-image's matrix is rounded to three digits.
        np.testing.assert_allclose(made.permute(1, 2, 0).numpy(), wanted, atol=levels / 255)


def test_every_order_of_the_four_changes_is_equally_likely():
    seen = Counter(tuple(kind for kind, _ in drawn_jitter(seed, 0.1)) for seed in range(4800))
    assert len(seen) == 24
    assert min(seen.values()) > 140
    assert max(seen.values()) < 260


# Resize and crop


def ramp(height: int, width: int) -> torch.Tensor:
    """A pair whose red is the row and whose green is the column, in units of 1/100; the second frame has some blue."""
    rows = torch.arange(height)[:, None].expand(height, width) / 100
    columns = torch.arange(width)[None, :].expand(height, width) / 100
    return torch.stack([torch.stack([rows, columns, torch.full_like(rows, blue)]) for blue in (0.0, 0.5)])


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.0, 4 / 3, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_resizing_scales_both_frames_alike_and_keeps_their_size(factor, seed):
    height, width = 40, 60
    made = resize_and_crop(ramp(height, width), (factor, factor), generator=generator(seed))
    assert made.shape == (2, 3, height, width)
    torch.testing.assert_close(made[0, :2], made[1, :2])
    torch.testing.assert_close(made[1, 2], torch.full((height, width), 0.5))
    red, green = made[0, 0, :, width // 2], made[0, 1, height // 2, :]
    for line in (red, green):
        # Away from edges that are repeated, neighbours lie 1 / factor of a pixel of the frame apart.
        inner = line[len(line) // 2 - 4 : len(line) // 2 + 4]
        torch.testing.assert_close(inner.diff(), torch.full((7,), 0.01 / factor), atol=4e-4, rtol=0)


def test_a_frame_that_shrank_is_in_the_middle_of_its_repeated_edge():
    made = resize_and_crop(ramp(41, 60), (0.5, 0.5), generator=generator(3))
    # 41 rows become 20, with 10 above and 11 below; 60 columns become 30, with 15 on either side.
    for outside, edge in ((made[..., :10, :], 10), (made[..., 30:, :], 29)):
        torch.testing.assert_close(outside, made[..., edge : edge + 1, :].expand_as(outside))
    for outside, edge in ((made[..., :15], 15), (made[..., 45:], 44)):
        torch.testing.assert_close(outside, made[..., edge : edge + 1].expand_as(outside))
    assert made[0, 0, 11, 30] > made[0, 0, 10, 30]
    assert made[0, 0, 29, 30] > made[0, 0, 28, 30]


def test_a_shrunk_frame_is_what_pillow_makes_of_it():
    # Anti-aliased: a fine chequerboard becomes grey rather than some other pattern.
    board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float().expand(2, 3, 64, 64)
    noise = torch.rand(2, 3, 64, 64, generator=generator(5))
    for pair in (board, noise):
        made = resize_and_crop(pair, (0.5, 0.5), generator=generator(0))[..., 16:48, 16:48]
        for frame, small in zip(pair, made, strict=True):
            picture = Image.fromarray((frame * 255).round().byte().permute(1, 2, 0).numpy())
            wanted = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)) / 255
            np.testing.assert_allclose(small.permute(1, 2, 0).numpy(), wanted, atol=1.5 / 255)


def test_every_window_and_every_factor_of_the_range_is_equally_likely():
    pair, rng = ramp(8, 8), generator(1)
    # Doubled, 16 pixels hold nine windows of 8: the first row tells which one it is.
    tops = Counter(
        round(resize_and_crop(pair, (2.0, 2.0), generator=rng)[0, 0, 3, 0].item() * 200 + 0.5) for _ in range(1800)
    )
    assert len(tops) == 9
    assert min(tops.values()) > 140
    slopes = list[float]()
    for _ in range(600):
        line = resize_and_crop(ramp(100, 4), (0.8, 1.25), generator=rng)[0, 0, 40:60, 0]
        slopes.append(0.01 / line.diff().mean().item())
    assert min(slopes) == pytest.approx(0.8, abs=0.02)
    assert max(slopes) == pytest.approx(1.25, abs=0.02)
    assert np.mean(slopes) == pytest.approx(1.025, abs=0.02)


def test_no_resizing_draws_nothing_and_changes_no_pair():
    rng, untouched = generator(7), generator(7)
    augment_pair(a_pair(), NOTHING, generator=rng)
    torch.rand(2, generator=untouched)  # the two flips
    assert torch.rand((), generator=rng) == torch.rand((), generator=untouched)
    # The published order: flips, resize, crop, jitter.
    settings = Augmentation(time_flip=1.0, resize=(2.0, 2.0), jitter=0.0)
    rng, by_hand = generator(8), generator(8)
    made = augment_pair(a_pair(), settings, generator=rng)
    torch.rand(2, generator=by_hand)
    assert torch.equal(made, resize_and_crop(a_pair().flip(0), (2.0, 2.0), generator=by_hand))


@pytest.mark.parametrize("factors", [(1.2, 0.8), (0.0, 1.0), (0.5, 20.0), (math.nan, 1.0), (0.5, math.nan)])
def test_a_range_of_factors_that_is_none_is_refused(factors):
    with pytest.raises(ValueError, match="resize"):
        Augmentation(resize=factors)


@pytest.mark.parametrize("settings", [{"time_flip": 1.5}, {"horizontal_flip": -0.1}, {"jitter": math.nan}])
def test_chances_outside_of_zero_to_one_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Augmentation(**settings)
