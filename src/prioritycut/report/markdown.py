"""The report as Markdown, for places that draw tables but no pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from prioritycut.report.document import Part, Plots, Report, Section
from prioritycut.report.listings import Listing
from prioritycut.report.tables import Cell, Head, Table
from prioritycut.results import ARROWS

SIGNS = {"better": " ●", "worse": " ○", None: ""}
PAGE = "report.html"

_MARKUP = re.compile(r"[\\`*_{}\[\]#|~$&<>]")


def to_markdown(report: Report) -> str:
    """The whole text."""
    legend = "\n".join(f"- {plain(term)}: {plain(meaning)}" for term, meaning in report.legend)
    sections = "\n\n".join(_section(section) for section in report.sections)
    return f"# {plain(report.title)}\n\n{plain(report.facts)}\n\n{legend}\n\n{sections}\n"


def plain(text: str) -> str:
    """Text in which nothing is markup and no line ends."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def _section(section: Section) -> str:
    shown = [f"## {plain(section.title)}"]
    if section.facts:
        shown.append(plain(section.facts))
    if section.warnings:
        shown.append("\n".join(f"- **Mind:** {plain(warning)}" for warning in section.warnings))
    if section.findings:
        shown.append(
            "\n".join(f"- {f'**{plain(about)}** ' if about else ''}{plain(said)}" for about, said in section.findings)
        )
    return "\n\n".join([*shown, *map(_part, section.parts)])


def _part(part: Part) -> str:
    title = f"### {plain(part.title)}"
    if isinstance(part, Plots):
        return f"{title}\n\nDrawn in {PAGE}."
    if isinstance(part, Table):
        caption = f"\n\n{plain(part.caption)}" if part.caption else ""
        return f"{title}{caption}\n\n{_table(part)}"
    return f"{title}\n\n{_listing(part)}"


def _table(table: Table) -> str:
    rows = list[list[str]]()
    for block in table.blocks:
        if block.title:
            rows.append([f"*{plain(block.title)}*", *[""] * len(table.heads)])
        for line in block.lines:
            detail = f" ({plain(line.detail)})" if line.detail else ""
            rows.append([plain(line.method) + detail, *map(_cell, line.cells)])
    return _grid(["method", *map(_head, table.heads)], rows, numbers_from=1)


def _head(head: Head) -> str:
    tool = f" ({plain(head.tool)})" if head.tool else ""
    return f"{plain(head.heading.whole)} {ARROWS[head.better]}".strip() + tool


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "\N{EN DASH}"
    value = {"best": f"**{cell.value}**", "second": f"<ins>{cell.value}</ins>", None: cell.value}[cell.rank]
    small = " ".join(text for text in (cell.half, cell.ends) if text)
    notes = ", ".join(map(plain, cell.notes))
    return " ".join(text for text in (value + SIGNS[cell.against], small, notes) if text)


def _listing(listing: Listing) -> str:
    rows = [[plain(text) for text in row] for row in listing.rows]
    return _grid(listing.header, rows, numbers_from=listing.numbers_from)


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int | None) -> str:
    first = len(header) if numbers_from is None else numbers_from
    rule = ["---" if place < first else "--:" for place in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))
