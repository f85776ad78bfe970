"""The published numbers, and how they stand beside ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_results import flat_result

from prioritycut.report.document import Report, assemble
from prioritycut.report.merging import Source
from prioritycut.report.paper import PaperTable, paper, paper_tool, published, same_data
from prioritycut.report.tables import Cell, Table
from prioritycut.results import Result

SHARED = Path(__file__).parents[2].parent / "shared" / "paper" / "tables.json"


def paper_table(name: str) -> PaperTable:
    return next(table for table in paper().tables if table.name == name)


def drawn(*results: Result, dataset: str) -> Report:
    return assemble([Source("a.json", result) for result in results], dataset=dataset, baseline=None)  # type: ignore[arg-type]


def tables_of(report: Report) -> list[Table]:
    return [part for section in report.sections for part in section.parts if isinstance(part, Table)]


@pytest.mark.parametrize(
    ("table", "method", "key", "printed"),
    [
        ("1", "+ CutMix", "AKD", (1.295, 0.002)),
        ("2", "Ours", "L1", (0.0401, 9e-5)),
        ("2", "X2Face", "AED", (0.3664, 2e-3)),
        ("2", "FOMM+", "PSNR_nonsalient", (36.26, 0.04)),
        ("3", "Monkey-Net", "MKR", (0.060, 7e-4)),
        ("3", "Ours", "AKD", (6.78, 6e-2)),
        ("4", "Ours", "PSNR_all", (25.3, 0.1)),
        ("5", "+ U-Net", "SSIM_salient", (0.824, 4e-4)),
        ("A2", "FOMM", "PSNR_top_10", (32.99, 0.02)),
        ("A2", "Ours", "SSIM_nontop_20", (0.8587, 1e-4)),
        ("A3", "Ours", "SSIM_nontop_50", (0.9791, 4e-4)),
        ("A4", "X2Face", "PSNR_nontop_30", (20.16, 0.02)),
    ],
)
def test_cells_are_as_printed(table: str, method: str, key: str, printed: tuple[float, float]) -> None:
    assert paper_table(table).value(method, key) == printed


@pytest.mark.skipif(not SHARED.is_file(), reason="the paper's tables are not beside the project")
def test_every_cell_is_as_in_the_transcript_of_the_paper() -> None:
    transcript = json.loads(SHARED.read_text())["tables"]
    rename = {"PSNR": "PSNR_all", "SSIM": "SSIM_all"}
    checked = 0
    for name, table in transcript.items():
        ours = paper_table(name)
        assert ours.dataset == table["dataset"]
        blocks = table.get("blocks") or {"": {"rows": table["rows"]}}
        for block, content in blocks.items():
            assert list(ours.rows) == [row["name"] for row in content["rows"]]
            for row in content["rows"]:
                for key, cell in row["cells"].items():
                    key = f"{block.upper()}_{key}" if block else rename.get(key, key)
                    assert ours.value(row["name"], key) == (cell["value"], cell["ci95"])
                    checked += 1
    assert checked == sum(len(row) for table in paper().tables for row in table.rows.values()) == 429


def test_every_table_is_whole() -> None:
    assert [table.name for table in paper().tables] == ["1", "2", "3", "4", "5", "A2", "A3", "A4"]
    for table in paper().tables:
        assert len(table.decimals) == len(table.keys)
        assert table.baseline in table.rows
        for row in table.rows.values():
            assert len(row) == len(table.keys)
            for (value, ci95), decimals in zip(row, table.decimals, strict=True):
                assert round(value, decimals) == value
                assert 0 < ci95 < value


def test_what_needs_a_tool_in_the_paper_names_it() -> None:
    for table in paper().tables:
        for key in table.keys:
            needs = key not in ("L1", "PSNR_all", "SSIM_all")
            tool = paper_tool(table.dataset, key)
            assert (tool is not None and tool.endswith("(paper)")) == needs


def test_data_sets_go_by_several_names() -> None:
    assert same_data("voxceleb", "VoxCeleb1-test")
    assert same_data("voxceleb", "vox-256")
    assert same_data("taichi", "Tai-Chi-HD")
    assert not same_data("bair", "voxceleb")


def test_published_numbers_share_only_columns_that_need_no_tool() -> None:
    ours = flat_result("FOMM", {"L1": 0.05, "PSNR_all": 23.0, "PSNR_salient": 24.0, "AKD": 1.3}, dataset="voxceleb")
    table = tables_of(drawn(ours, dataset="voxceleb"))[0]
    own, *theirs = table.blocks
    assert [block.title for block in theirs] == [
        "Published, another copy of the data · Table 2, comparison",
        "Published, another copy of the data · Table 1, preliminary study",
        "Published, another copy of the data · Table 5, ablation",
    ]
    shared = {
        (head.heading.whole, head.tool)
        for place, head in enumerate(table.heads)
        if any(line.cells[place] for line in own.lines) and any(line.cells[place] for line in theirs[0].lines)
    }
    assert shared == {("L1", None), ("PSNR all", None)}
    akd = [head.tool for head in table.heads if head.heading.whole == "AKD"]
    assert akd == ["mediapipe-face 0.10.14", "2-D FAN (paper)"]


def published_cells(table: Table, block: int, method: str) -> dict[str, Cell]:
    line = next(line for line in table.blocks[block].lines if line.method == method)
    return {
        head.heading.whole: cell for head, cell in zip(table.heads, line.cells, strict=True) if cell and not cell.ends
    }


def test_published_numbers_are_written_and_judged_as_the_paper_does() -> None:
    # Ours here is better than anything published; that must not change who is best among the published.
    ours = flat_result("FOMM", {"L1": 0.001, "SSIM_all": 0.99}, dataset="voxceleb")
    table = tables_of(drawn(ours, dataset="voxceleb"))[0]
    cells = published_cells(table, 1, "Ours")
    assert (cells["L1"].value, cells["L1"].half, cells["L1"].rank) == ("0.0401", "±0.00009", "best")
    assert (cells["AKD"].value, cells["AKD"].against) == ("1.286", "better")
    plus = published_cells(table, 1, "FOMM+")
    assert (plus["SSIM all"].value, plus["SSIM all"].against) == ("0.790", "worse")
    assert plus["SSIM ¬salient"].rank == cells["SSIM ¬salient"].rank == "best"  # the paper's tie
    assert published_cells(table, 3, "+ U-Net")["L1"].rank == "best"
    assert table.blocks[0].lines[0].cells[0] == Cell(value="0.001", half="±0.001")


@pytest.mark.parametrize(("dataset", "size"), [("faces", (256, 256)), ("voxceleb", (64, 64)), ("voxceleb", None)])
def test_published_numbers_stand_apart_from_other_data_or_sizes(dataset: str, size: tuple[int, int] | None) -> None:
    ours, *apart = tables_of(drawn(flat_result("FOMM", {"L1": 0.05}, dataset=dataset, size=size), dataset="voxceleb"))
    assert [block.title for block in ours.blocks] == [None]
    assert [table.title for table in apart] == [
        "Video reconstruction, published on VoxCeleb",
        "PSNR by occlusion, published on VoxCeleb",
        "SSIM by occlusion, published on VoxCeleb",
    ]


@pytest.mark.parametrize("dataset", ["voxceleb", "taichi", "bair"])
def test_each_published_number_is_shown_once(dataset: str) -> None:
    report = drawn(flat_result("FOMM", {"L1": 0.05, "PSNR_top_10": 30.0}, dataset=dataset), dataset=dataset)
    shown = [
        cell.value
        for table in tables_of(report)
        for block in table.blocks
        if block.title and block.title.startswith("Published")
        for line in block.lines
        for cell in line.cells
        if cell
    ]
    tables = published(dataset)  # type: ignore[arg-type]
    assert len(shown) == sum(len(row) for table in tables for row in table.rows.values())


def test_without_asking_nothing_is_published() -> None:
    report = assemble(
        [Source("a.json", flat_result("FOMM", {"L1": 0.05}, dataset="voxceleb"))], dataset=None, baseline=None
    )
    assert "paper" not in {section.name for section in report.sections}
    assert len(tables_of(report)) == 1
