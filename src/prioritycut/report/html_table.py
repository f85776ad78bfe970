"""A table of methods by metrics as HTML. What colour says, a sign or a word says too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

from prioritycut.report.tables import Block, Cell, Head, Line, Table
from prioritycut.results import ARROWS

SIGNS = {"better": "better than the baseline", "worse": "worse than the baseline"}
"""What the disc and the ring beside a number mean."""


def metric_table(table: Table) -> str:
    """The table element; its caption is for those who hear the page."""
    starts = group_starts(table.heads)
    signed = any(cell and cell.against for block in table.blocks for line in block.lines for cell in line.cells)
    body = "".join(_block(block, starts, signed) for block in table.blocks)
    kind = "metrics signed" if signed else "metrics"
    return f'<table class="{kind}"><caption>{escape(table.title)}</caption>\n{_head(table.heads)}{body}</table>\n'


def group_starts(heads: Sequence[Head]) -> list[bool]:
    """True for the columns that begin a group."""
    return [
        place == 0 or head.heading.group != heads[place - 1].heading.group or head.tool != heads[place - 1].tool
        for place, head in enumerate(heads)
    ]


def runs(heads: Sequence[Head], key: Callable[[Head], object]) -> list[list[Head]]:
    """Neighbours that agree in `key`."""
    return [list(run) for _, run in groupby(heads, key)]


def _head(heads: Sequence[Head]) -> str:
    """Up to three rows: metrics, their parts, and the tools they stand on; a heading spans all that it names."""
    parts, tools = any(head.heading.part for head in heads), any(head.tool for head in heads)
    groups = runs(heads, lambda head: (head.heading.group, head.better, bool(head.heading.part)))
    corner = f'<th scope="col" class="corner" rowspan="{1 + parts + tools}">Method</th>'
    rows = [corner + "".join(_group(run, parts) for run in groups)]
    if parts:
        named = zip(heads, group_starts(heads), strict=True)
        rows.append("".join(_part(head, start) for head, start in named if head.heading.part))
    if tools:
        rows.append("".join(_tool(run) for run in runs(heads, lambda head: head.tool)))
    return "<thead>\n" + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</thead>\n"


def _group(run: Sequence[Head], parts: bool) -> str:
    first = run[0]
    name = f"{escape(first.heading.group)} {ARROWS[first.better]}".strip()
    rowspan = ' rowspan="2"' if parts and not first.heading.part else ""
    if len(run) == 1:
        return f'<th scope="col" class="group start"{rowspan}>{name}</th>'
    kind = "wide" if first.heading.part else "alone"
    spans = f'colspan="{len(run)}"{rowspan}'
    return f'<th scope="colgroup" class="group {kind} start" {spans}><span><i>{name}</i></span></th>'


def _part(head: Head, start: bool) -> str:
    return f'<th scope="col"{_start(start)}>{escape(head.heading.part)}</th>'


def _tool(run: Sequence[Head]) -> str:
    span = f' colspan="{len(run)}"' if len(run) > 1 else ""
    tool = run[0].tool
    if tool is None:
        return f"<td{span}></td>"
    return f'<th scope="colgroup" class="tool start"{span}><span><i>{escape(tool)}</i></span></th>'


def _block(block: Block, starts: Sequence[bool], signed: bool) -> str:
    title = ""
    if block.title:
        title = (
            f'<tr><th scope="rowgroup" class="block" colspan="{len(starts) + 1}">'
            f"<span>{escape(block.title)}</span></th></tr>\n"
        )
    return f"<tbody>\n{title}{''.join(_line(line, starts, signed) for line in block.lines)}</tbody>\n"


def _line(line: Line, starts: Sequence[bool], signed: bool) -> str:
    detail = f'<span class="detail">{escape(line.detail)}</span>' if line.detail else ""
    name = f'<th scope="row"><span class="name"><b>{escape(line.method)}</b>{detail}</span></th>'
    cells = "".join(_cell(cell, start, signed) for cell, start in zip(line.cells, starts, strict=True))
    return f"<tr>{name}{cells}</tr>\n"


def _cell(cell: Cell | None, start: bool, signed: bool) -> str:
    if cell is None:
        return f'<td class="missing{" start" if start else ""}">&ndash;</td>'
    kinds = " ".join(kind for kind in ("start" if start else "", cell.against or "") if kind)
    value = _minus(cell.value)
    if cell.rank:
        mark = "strong" if cell.rank == "best" else "u"
        value = f"<{mark}>{value}</{mark}>"
    small = [("half", cell.half), ("ends", cell.ends), *(("note", note) for note in cell.notes)]
    lines = "".join(f'<span class="{kind}">{_minus(text)}</span>' for kind, text in small if text)
    return f'<td class="{kinds}"><span class="value">{value}{_sign(cell) if signed else ""}</span>{lines}</td>'


def _sign(cell: Cell) -> str:
    if cell.against is None:
        return '<span class="sign"></span>'
    meaning = SIGNS[cell.against]
    return f'<span class="sign" role="img" aria-label="{meaning}"></span>'


def _minus(text: str) -> str:
    return escape(text).replace("-", "&minus;")


def _start(start: bool) -> str:
    return ' class="start"' if start else ""
