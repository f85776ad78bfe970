"""Is one method better than another, or luck?"""

from __future__ import annotations

import pytest
from made_results import build_result, clip_of, flat_result
from read_reports import cell_of, compared, drawn, table_of

from prioritycut.report.differences import Verdict, contests
from prioritycut.report.merging import Column
from prioritycut.results import Result


def verdicts(first: Result, second: Result) -> dict[str, Verdict]:
    (group,) = compared(first, second)
    (contest,) = contests(group, first.method)
    return {column.key: each.verdict for column, each in contest.differences.items()}


def spread_out(method: str, shift: float, wobble: float = 0.0, metric: str = "L1", clips: int = 20) -> Result:
    """Clips of very different difficulty, and a method that is off by `shift`, give or take."""
    means = [0.1 * number + shift + wobble * (-1) ** number for number in range(clips)]
    made = [clip_of(f"c{number}", **{metric: [mean, mean + 0.02]}) for number, mean in enumerate(means)]
    return build_result(method, made, labels={})


def test_a_small_steady_gain_is_told_apart_though_clips_differ_a_lot() -> None:
    base = spread_out("A", 0.0)
    assert verdicts(base, spread_out("B", -0.01, 0.005)) == {"L1": "beats"}
    assert verdicts(base, spread_out("B", 0.01, 0.005)) == {"L1": "loses"}
    assert verdicts(base, spread_out("B", 0.001, 0.02)) == {"L1": "not told apart"}


def test_more_is_a_gain_where_higher_is_better() -> None:
    gain = verdicts(spread_out("A", 0.0, metric="PSNR_all"), spread_out("B", 0.01, 0.005, metric="PSNR_all"))
    assert gain == {"PSNR_all": "beats"}


def test_one_shared_clip_is_too_few() -> None:
    assert verdicts(spread_out("A", 0.0, clips=1), spread_out("B", -1.0)) == {"L1": "too few clips"}


def test_a_difference_is_over_shared_clips_only_and_the_page_says_so() -> None:
    # A has an easy clip that B lacks: B's mean is larger, yet on the clip both have it is smaller.
    first = build_result("A", [clip_of("x.mp4", L1=[0.0]), clip_of("y.mp4", L1=[1.0]), clip_of("z.mp4", L1=[1.0])])
    second = build_result("B", [clip_of("y.gif", L1=[0.9]), clip_of("z.gif", L1=[0.8])])
    report = drawn(first, second)
    cell = cell_of(table_of(report, "Video reconstruction, minus A"), "B", "L1")
    assert cell.value == "-0.15"
    assert cell.ends == "[-0.20, -0.10]"
    assert cell.notes == ("beats",)
    assert "Not all methods were scored on the same clips (L1: A 3, B 2)" in report.sections[0].warnings[0]


def test_a_clip_weighs_by_its_frames() -> None:
    first = build_result("A", [clip_of("x", L1=[1.0] * 9), clip_of("y", L1=[2.0])])
    second = build_result("B", [clip_of("x", L1=[0.0] * 9), clip_of("y", L1=[2.0])])
    (contest,) = contests(compared(first, second)[0], "A")
    assert contest.differences[Column("L1", None)].interval.mean == pytest.approx(-0.9)


def test_findings_name_metrics_or_say_all() -> None:
    report = drawn(
        flat_result("A", {"L1": 0.04, "PSNR_all": 24.0, "SSIM_all": 0.8}),
        flat_result("B", {"L1": 0.03, "PSNR_all": 25.0, "SSIM_all": 0.9}),
        flat_result("C", {"L1": 0.03, "PSNR_all": 23.0, "SSIM_all": 0.8}),
    )
    assert report.sections[0].findings == (
        ("B", "beats A on all 3 metrics."),
        ("C", "beats A on L1; loses to A on PSNR all; is not told apart on SSIM all."),
    )
