"""How numbers are written, by worked examples."""

from __future__ import annotations

import math

import pytest

from prioritycut.report.digits import count, decimals_for, fixed, half_width, reading_place, share, span


@pytest.mark.parametrize(
    ("half", "written"),
    [
        (0.00009, "±0.00009"),
        (0.000094, "±0.00009"),
        (0.0249, "±0.02"),
        (0.0951, "±0.1"),
        (0.34, "±0.3"),
        (3.6, "±4"),
        (12.3, "±10"),
        (0.0, "±0"),
        (None, None),
        (math.nan, None),
    ],
)
def test_an_interval_has_one_significant_digit_as_the_paper_prints_it(half: float | None, written: str | None) -> None:
    assert half_width(half) == written


def test_a_column_ends_at_the_place_of_its_narrowest_interval() -> None:
    assert decimals_for([0.02, 0.1], [24.45, 19.1]) == 2
    assert decimals_for([0.0096], [0.04]) == 2  # the interval reads ±0.01
    assert decimals_for([0.0, None, math.nan, 0.0003], [1.0]) == 4


def test_without_an_interval_the_largest_mean_has_four_digits() -> None:
    assert decimals_for([None], [24.4512, 3.0]) == 2
    assert decimals_for([None], [0.0413]) == 5
    assert decimals_for([None], [51234.0]) == 0
    assert decimals_for([], [0.0]) == 3


def test_nothing_is_called_minus_zero() -> None:
    assert fixed(-0.0001, 3) == "0.000"
    assert fixed(0.0001, 3, signed=True) == "0.000"
    assert fixed(-0.5, 1, signed=True) == "-0.5"
    assert fixed(0.5, 1, signed=True) == "+0.5"


def test_a_difference_is_written_finely_enough_to_read_its_interval() -> None:
    assert [reading_place(half) for half in (0.1, 0.097, 0.4, 0.00048, 0.0002, 7.0)] == [2, 2, 1, 4, 5, 0]


def test_ends_that_read_the_same_say_nothing() -> None:
    assert span(0.0385, 0.0421, 3) == "[0.038, 0.042]"
    assert span(0.41001, 0.41002, 3) is None
    assert span(None, 1.0, 3) is None
    assert span(math.nan, 1.0, 3) is None


def test_a_share_never_calls_something_nothing() -> None:
    assert share(0, 2048) == "0.0%"
    assert share(1, 2048) == "<0.1%"
    assert share(36, 2048) == "1.8%"
    assert share(2047, 2048) == ">99.9%"
    assert share(2048, 2048) == "100.0%"


def test_counts_speak_english() -> None:
    assert count(1, "clip") == "1 clip"
    assert count(132606, "frame") == "132,606 frames"
