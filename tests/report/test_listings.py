"""What stands behind the numbers of a report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_results import flat_result
from read_reports import drawn

from prioritycut.report.document import Report
from prioritycut.report.listings import Listing
from prioritycut.results import Problem, Result


def listing_of(report: Report, title: str) -> Listing:
    parts = [part for section in report.sections for part in section.parts if isinstance(part, Listing)]
    return next(part for part in parts if part.title.startswith(title))


def test_settings_and_versions_say_who_differs() -> None:
    one = flat_result("FOMM", {"L1": 0.04})
    two = replace(one, method="Ours", versions={**one.versions, "torch": "2.14.0"})
    rows = listing_of(drawn(one, two), "Versions").rows
    assert ("numpy", "2.4.6", "all") in rows
    assert ("torch", "2.13.0", "0.json") in rows
    assert ("torch", "2.14.0", "1.json") in rows
    assert ("skip_first", "no", "all") in listing_of(drawn(one, two), "Settings").rows


def test_faults_of_clips_are_listed(five_methods: list[Result]) -> None:
    report = drawn(*five_methods)
    assert listing_of(report, "Problems: 1 clip not scored").rows == (
        ("FOMM+", "id10285#clip", "frame 17 cannot be decoded", "no"),
    )
    assert any("1 clip could not be scored" in warning for warning in report.sections[0].warnings)


def test_a_fault_that_several_results_of_a_method_tell_is_listed_and_counted_once() -> None:
    fault = Problem(clip="b", fault="b: cannot be decoded")
    report = drawn(
        flat_result("Ours", {"L1": 0.04}, problems=(fault,)), flat_result("Ours", {"SSIM_all": 0.9}, problems=(fault,))
    )
    assert listing_of(report, "Problems").rows == (("Ours", "b", "b: cannot be decoded", "no"),)
    assert any("1 clip could not be scored" in warning for warning in report.sections[0].warnings)


def test_every_number_is_listed_in_full(five_methods: list[Result]) -> None:
    rows = listing_of(drawn(*five_methods), "Every number").rows
    assert len(rows) == sum(len(result.summaries) for result in five_methods)
    akd = five_methods[0].summary("AKD")
    assert akd is not None
    assert akd.mean is not None
    row = next(row for row in rows if row[:2] == ("FOMM", "AKD"))
    assert float(row[3]) == pytest.approx(akd.mean, rel=1e-5)
    assert row[7:] == (f"{akd.frames:,}", "16", str(akd.failures), "0")
