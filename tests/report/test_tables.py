"""What stands in which table, and how it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from made_results import build_result, clip_of, flat_result
from read_reports import cell_of, compared, drawn, table_of

from prioritycut.errors import UserError
from prioritycut.report.layout import RECONSTRUCTION, heading, layouts
from prioritycut.report.merging import Column
from prioritycut.report.tables import Cell, Table, against, ranks
from prioritycut.results import Better, Result, Tally


def column(table: Table, place: int) -> list[Cell | None]:
    return [line.cells[place] for block in table.blocks for line in block.lines]


# Judging


def test_the_paper_s_table_2_is_ranked_as_it_prints_it() -> None:
    akd = [6.847, 1.892, 1.290, 1.305, 1.286]
    assert ranks(akd, "lower") == [None, None, "second", None, "best"]
    psnr = [19.13, 22.47, 24.28, 24.26, 24.45]
    assert ranks(psnr, "higher") == [None, None, "second", None, "best"]


def test_equal_values_share_a_rank() -> None:
    assert ranks([0.944, 0.962, 0.969, 0.970, 0.970], "higher") == [None, None, "second", "best", "best"]
    assert ranks([3.0, 1.0, 2.0, 2.0], "lower") == [None, "best", "second", "second"]


def test_nobody_is_best_alone_and_the_loser_of_two_is_not_second() -> None:
    assert ranks([1.0], "lower") == [None]
    assert ranks([1.0, None], "lower") == [None, None]
    assert ranks([1.0, 2.0], "lower") == ["best", None]
    assert ranks([1.0, 1.0, 1.0], "lower") == [None, None, None]
    assert ranks([0.1, 0.2, 0.3], "neither") == [None, None, None]


def test_a_method_without_a_value_is_not_ranked() -> None:
    assert ranks([None, 2.0, 1.0, 3.0], "lower") == [None, "second", "best", None]


def test_better_depends_on_which_end_is_good() -> None:
    assert against(1.305, 1.290, "lower") == "worse"
    assert against(24.45, 24.28, "higher") == "better"
    assert against(1.290, 1.290, "lower") is None
    assert against(0.2, 0.1, "neither") is None
    assert against(1.0, None, "lower") is None


def test_marks_stand_where_the_worked_example_has_them() -> None:
    report = drawn(
        flat_result("FOMM", {"L1": 0.0413, "PSNR_all": 24.28}),
        flat_result("FOMM+", {"L1": 0.0409, "PSNR_all": 24.26}),
        flat_result("Ours", {"L1": 0.0401, "PSNR_all": 24.45}),
    )
    table = table_of(report, "Video reconstruction")
    marks = {
        (method, metric): (cell_of(table, method, metric).rank, cell_of(table, method, metric).against)
        for method in ("FOMM", "FOMM+", "Ours")
        for metric in ("L1", "PSNR all")
    }
    assert marks == {
        ("FOMM", "L1"): (None, None),
        ("FOMM", "PSNR all"): ("second", None),
        ("FOMM+", "L1"): ("second", "better"),
        ("FOMM+", "PSNR all"): (None, "worse"),
        ("Ours", "L1"): ("best", "better"),
        ("Ours", "PSNR all"): ("best", "better"),
    }


def test_the_baseline_can_be_any_method() -> None:
    results = [flat_result("FOMM", {"L1": 0.0413}), flat_result("Ours", {"L1": 0.0401})]
    table = table_of(drawn(*results, baseline="Ours"), "Video reconstruction")
    assert cell_of(table, "FOMM", "L1").against == "worse"
    assert cell_of(table, "Ours", "L1").against is None


def test_an_unknown_baseline_names_the_methods() -> None:
    with pytest.raises(UserError, match="baseline 'X2Face' is not among the methods; choose one of FOMM"):
        drawn(flat_result("FOMM", {"L1": 0.0413}), baseline="X2Face")


# What may stand together


def test_numbers_of_different_tools_never_share_a_column() -> None:
    labels = ({"AKD": "mediapipe-face 0.10.14"}, {"AKD": "mediapipe-face 0.10.20"}, {"AKD": "dlib 20.0.1"})
    results = [
        flat_result(method, {"L1": 0.04, "AKD": 1.3}, labels=label)
        for method, label in zip(("A", "B", "C"), labels, strict=True)
    ]
    table = table_of(drawn(*results), "Video reconstruction")
    assert [head.tool for head in table.heads] == [None, *(label["AKD"] for label in labels)]
    for place in (1, 2, 3):
        filled = [cell for cell in column(table, place) if cell is not None]
        assert len(filled) == 1
        assert filled[0].rank is None
        assert filled[0].against is None


def test_other_data_frame_sizes_and_settings_get_tables_of_their_own() -> None:
    one = flat_result("FOMM", {"L1": 0.04})
    assert len(compared(one, replace(one, method="B"))) == 1
    assert len(compared(one, replace(one, method="B", dataset="puppets"))) == 2
    assert len(compared(one, replace(one, method="B", size=(64, 64)))) == 2
    gaussian = replace(one, method="B", settings={**one.settings, "ssim": "gaussian11"})
    assert len(compared(one, gaussian)) == 2
    titles = [section.title for section in drawn(one, gaussian).sections[:2]]
    assert titles == ["faces (ssim uniform7)", "faces (ssim gaussian11)"]


def test_settings_that_change_no_number_and_unstated_ones_keep_nobody_apart() -> None:
    one = flat_result("FOMM", {"L1": 0.04})
    larger_batch = replace(one, method="B", settings={**one.settings, "batch_size": 64})
    no_fit = replace(one, method="C", settings={**one.settings, "fit": None})
    cropped = replace(one, method="D", settings={**one.settings, "fit": "crop"})
    padded = replace(one, method="E", settings={**one.settings, "fit": "pad"})
    groups = compared(one, larger_batch, no_fit, cropped, padded)
    assert [[row.method for row in group.rows] for group in groups] == [["FOMM", "B", "C", "D"], ["E"]]


def test_clips_and_records_of_one_method_become_one_row() -> None:
    frames = flat_result("FOMM", {"L1": 0.04})
    records = flat_result("FOMM", {"AKD": 1.3}, size=None, settings={}, kind="score", labels={"AKD": "fan 1"})
    other = flat_result("Ours", {"L1": 0.03})
    (group,) = compared(frames, other, records)
    assert [row.method for row in group.rows] == ["FOMM", "Ours"]
    assert set(group.rows[0].cells) == {Column("L1", None), Column("AKD", "fan 1")}
    assert len(group.rows[0].clips) == 2


def test_records_without_a_size_join_the_table_that_has_their_method() -> None:
    small = flat_result("A", {"L1": 0.04}, size=(64, 64))
    large = flat_result("B", {"L1": 0.04})
    records = flat_result("B", {"AKD": 1.3}, size=None, settings={})
    groups = compared(small, large, records)
    assert [len(row.cells) for group in groups for row in group.rows] == [1, 2]


def test_two_results_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UserError, match=r"1\.json: has another L1 of 'FOMM' than 0\.json.*another method name"):
        compared(flat_result("FOMM", {"L1": 0.04}), flat_result("FOMM", {"L1": 0.05}))


def test_the_same_result_twice_counts_once() -> None:
    one = flat_result("FOMM", {"L1": 0.04})
    (group,) = compared(one, one)
    assert len(group.rows) == 1
    assert group.rows[0].frames == 4


def test_every_metric_stands_in_exactly_one_table() -> None:
    keys = [
        *("my_metric", "area_occluded", "SSIM_nontop_50", "PSNR_top_5", "area_top_10", "AED_corrected", "L1_moving"),
        *("AKD", "L1", "PSNR_nonsalient", "PSNR_all", "occlusion_correlation", "PSNR_nontop_5"),
    ]
    found = layouts(keys)
    assert sorted(key for layout in found for key in layout.keys) == sorted(keys)
    assert [layout.name for layout in found] == [
        *("reconstruction", "corrected", "psnr-by-occlusion", "ssim-by-occlusion"),
        *("ground-truth", "other", "areas"),
    ]
    assert found[0].keys == ("L1", "PSNR_all", "PSNR_nonsalient", "AKD")
    assert found[2].keys == ("PSNR_top_5", "PSNR_nontop_5")


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (("L1", "AKD", "AED"), "1"),
        (tuple(key for key in RECONSTRUCTION if key != "MKR"), "2 and 5"),
        (RECONSTRUCTION, "3"),
        (("SSIM_all", "L1", "PSNR_all"), "4"),
    ],
)
def test_the_paper_s_layouts_come_from_what_was_measured(keys: Sequence[str], name: str) -> None:
    labels = {key: "tool 1" for key in keys if key in ("AKD", "MKR", "AED") or "salient" in key}
    table = table_of(drawn(flat_result("A", dict.fromkeys(keys, 0.5), labels=labels)), "Video reconstruction")
    assert [head.heading for head in table.heads] == [heading(key) for key in RECONSTRUCTION if key in keys]
    assert table.caption == f"The columns of the paper's Table {name}."


# Numbers


def test_a_mean_ends_where_its_interval_does() -> None:
    # Frames 1, 2, 3 and 2, 4: mean 2.4, s = sqrt(1.3), 1.96 s / sqrt(5) = 0.99941.
    result = build_result("A", [clip_of("a", L1=[1, 2, 3]), clip_of("b", L1=[2, 4])])
    cell = cell_of(table_of(drawn(result), "Video reconstruction"), "A", "L1")
    assert (cell.value, cell.half) == ("2", "±1")
    assert cell.ends == "[2, 3]"  # of two clips, either may be drawn twice


def test_failures_and_what_was_left_out_are_shares_of_frames() -> None:
    akd = Tally(frames=96, mean=1.3, spread=1.0, failures=4)
    salient = Tally(frames=75, mean=25.0, spread=1.0, skipped=25)
    whole = Tally(frames=100, mean=0.04, spread=1.0)
    result = build_result("A", [clip_of("a", L1=whole, PSNR_salient=salient, AKD=akd, AED=whole)])
    table = table_of(drawn(result), "Video reconstruction")
    assert cell_of(table, "A", "L1").notes == ()
    assert cell_of(table, "A", "PSNR salient").notes == ("25.0% skipped",)
    assert cell_of(table, "A", "AKD").notes == ("4.0% failed",)
    assert cell_of(table, "A", "AED").notes == ("none failed",)


def test_a_detector_that_found_nothing_is_shown_not_hidden() -> None:
    result = build_result("A", [clip_of("a", L1=[0.1, 0.2], AKD=Tally(frames=0, mean=None, failures=2))])
    cell = cell_of(table_of(drawn(result), "Video reconstruction"), "A", "AKD")
    assert cell.value == "none"
    assert cell.notes == ("100.0% failed",)


def test_masks_that_all_methods_share_are_listed_once() -> None:
    table = table_of(drawn(*(flat_result(m, {"area_top_10": 0.1}) for m in ("A", "B"))), "Realised mask areas")
    assert [line.method for line in table.blocks[0].lines] == ["all methods"]


def better_is(result: Result, better: Better) -> Result:
    return replace(result, summaries=tuple(replace(summary, better=better) for summary in result.summaries))


def test_somebody_else_s_metric_has_the_good_end_that_its_results_say() -> None:
    low, high = flat_result("A", {"CSIM": 0.7}), flat_result("B", {"CSIM": 0.8})
    table = table_of(drawn(better_is(low, "higher"), better_is(high, "higher")), "Other metrics")
    assert table.heads[0].better == "higher"
    assert cell_of(table, "B", "CSIM").against == "better"
    contradiction = drawn(better_is(low, "higher"), better_is(high, "lower"))
    assert cell_of(table_of(contradiction, "Other metrics"), "B", "CSIM").rank is None
    assert not [part for part in contradiction.sections[0].parts if "minus" in part.title]
