"""Augmentation: what happens to one frame of a pair happens to the other."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch

from prioritycut.data.augment import Augmentation, _hue_rotation, augment_pair, jitter_colours

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


@pytest.mark.parametrize("settings", [{"time_flip": 1.5}, {"horizontal_flip": -0.1}, {"jitter": math.nan}])
def test_chances_outside_of_zero_to_one_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Augmentation(**settings)
