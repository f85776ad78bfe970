"""Changes of shot, of light and of the camera, on pictures whose change is known."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data, transform

from prioritycut.data.media import Pixels
from prioritycut.preprocessing.shots import CameraWatch, ShotWatch, colour_shares, median_change, median_flow


def picture(name: str, height: int = 240, width: int = 320) -> Pixels:
    pixels = getattr(data, name)()
    return (transform.resize(pixels, (height, width), anti_aliasing=True) * 255).round().astype(np.uint8)


def shifted(pixels: Pixels, columns: int) -> Pixels:
    return np.roll(pixels, columns, axis=1)


def lit(pixels: Pixels, levels: int) -> Pixels:
    return (pixels.astype(int) + levels).clip(0, 255).astype(np.uint8)


def told(watch: ShotWatch | CameraWatch, frames: list[Pixels]) -> list[bool]:
    return [watch(pixels) for pixels in frames]


def test_another_picture_begins_a_new_shot() -> None:
    names = ["astronaut", "coffee", "rocket", "chelsea"]
    frames = [picture(name) for name in names for _ in range(2)]
    assert told(ShotWatch(), frames) == [False, False, True, False, True, False, True, False]


def test_motion_a_drift_of_light_and_noise_begin_none() -> None:
    coffee = picture("coffee")
    noise = np.random.default_rng(0).normal(0, 6, coffee.shape)
    noisy = (coffee + noise).clip(0, 255).astype(np.uint8)
    assert told(ShotWatch(), [coffee, shifted(coffee, 40), coffee, lit(coffee, 3), noisy]) == [False] * 5


@pytest.mark.parametrize("level", [36, 72, 109, 127, 128, 254])
def test_an_even_ground_that_drifts_by_a_level_begins_none(level: int) -> None:
    # Whatever the borders between colours: a hard histogram would move all of the frame over one of them.
    grey = np.full((90, 120, 3), level, np.uint8)
    assert told(ShotWatch(), [grey, lit(grey, 1), grey]) == [False] * 3


def test_shares_of_colours_add_up_to_one() -> None:
    for pixels in (picture("coffee"), np.zeros((1, 1, 3), np.uint8), np.full((7, 3, 3), 255, np.uint8)):
        shares = colour_shares(pixels)
        assert shares.min() >= 0
        assert shares.sum() == pytest.approx(1)
    assert colour_shares(np.full((8, 8, 3), 255, np.uint8))[-1] == pytest.approx(1)


def test_the_median_change_is_the_change_of_light() -> None:
    dim = (picture("coffee") // 2 + 30).astype(np.uint8)
    assert median_change(dim, lit(dim, 2)) == 2
    assert median_change(lit(dim, 2), dim) == 2
    only_red = dim.copy()
    only_red[..., 0] += 3
    assert median_change(dim, only_red) == 3
    # Somebody who covers a third of a still ground is no change of light, though he changes the median colour.
    slope = np.repeat(np.linspace(0, 255, 300).round().astype(np.uint8)[None, :, None], 3, 2).repeat(100, 0)
    covered = slope.copy()
    covered[:, :100] = 255
    assert median_change(slope, covered) == 0
    assert abs(float(np.median(covered)) - float(np.median(slope))) > 10


def test_the_median_flow_is_the_shift_of_the_picture() -> None:
    pytest.importorskip("cv2", reason="the eval extra is not installed")
    coffee = picture("coffee", 256, 256)
    assert median_flow(coffee, coffee) == pytest.approx(0, abs=0.01)
    assert median_flow(coffee, shifted(coffee, 3)) == pytest.approx(3, abs=0.5)


def test_a_still_camera_sees_no_cut_and_a_moving_one_does() -> None:
    pytest.importorskip("cv2", reason="the eval extra is not installed")
    # 320 columns are looked at as 256: two pixels are 1.6.
    coffee = picture("coffee")
    crossing = [coffee.copy() for _ in range(4)]
    for number, pixels in enumerate(crossing):
        pixels[60:220, 60 + 20 * number : 140 + 20 * number] = (200, 30, 30)
    assert told(CameraWatch(), crossing) == [False] * 4
    assert told(CameraWatch(), [coffee, shifted(coffee, 2), shifted(coffee, 4)]) == [False, True, True]
    dim = (coffee // 2 + 30).astype(np.uint8)
    assert told(CameraWatch(), [dim, lit(dim, 1), lit(dim, 3)]) == [False, False, True]
    assert told(CameraWatch(), [coffee, picture("astronaut")]) == [False, True]
