"""Finding one's way in a report, for tests."""

from __future__ import annotations

from prioritycut.report.document import Report, assemble
from prioritycut.report.merging import Comparison, Source, gather
from prioritycut.report.tables import Cell, Table
from prioritycut.results import Result


def compared(*results: Result) -> tuple[Comparison, ...]:
    return gather([Source(f"{number}.json", result) for number, result in enumerate(results)])


def drawn(*results: Result, baseline: str | None = None) -> Report:
    sources = [Source(f"{number}.json", result) for number, result in enumerate(results)]
    return assemble(sources, dataset=None, baseline=baseline)


def table_of(report: Report, title: str, section: int = 0) -> Table:
    tables = [part for part in report.sections[section].parts if isinstance(part, Table)]
    return next(table for table in tables if table.title == title)


def cell_of(table: Table, method: str, metric: str, tool: str | None = None) -> Cell:
    place = next(
        place for place, head in enumerate(table.heads) if head.heading.whole == metric and tool in (None, head.tool)
    )
    cell = next(line for block in table.blocks for line in block.lines if line.method == method).cells[place]
    assert cell is not None
    return cell
