"""The tables of a report as LaTeX, to be input into a paper. They need booktabs, graphicx and xcolor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prioritycut.report.document import Report, Section
from prioritycut.report.html_table import runs
from prioritycut.report.style import LIGHT
from prioritycut.report.tables import Block, Cell, Head, Line, Table

ARROWS = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", "neither": ""}
SIGNS = {"better": r"\,$\bullet$", "worse": r"\,$\circ$"}

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "_": r"\_",
        "%": r"\%",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "¬": r"$\neg$",
        "±": r"$\pm$",
        "·": r"$\cdot$",
        "\N{EN DASH}": "--",
    }
)


def to_latex(report: Report) -> str:
    """A float for each table of numbers."""
    return "\n".join([_preamble(report), *(part for section in report.sections for part in _section(section))])


def plain(text: str) -> str:
    """Text in which nothing is a command and no line ends."""
    return " ".join(text.split()).translate(_SPECIAL)


def _section(section: Section) -> Iterable[str]:
    tables = [table for table in section.parts if isinstance(table, Table)]
    if tables:
        findings = (f"{about} {said}".strip() for about, said in section.findings)
        yield "".join(map(_comment, (section.title, section.facts, *section.warnings, *findings)))
    for table in tables:
        yield _float(table, f"{section.title}. {table.title}.")


def _comment(text: str) -> str:
    return f"% {' '.join(text.split())}\n"


def _preamble(report: Report) -> str:
    colours = "".join(
        f"\\definecolor{{prioritycut-{name}}}{{HTML}}{{{LIGHT[name].lstrip('#').upper()}}}\n"
        for name in ("better", "worse")
    )
    needs = "In the document's preamble: \\usepackage[T1]{fontenc} \\usepackage{booktabs,graphicx,xcolor}"
    legend = (f"{term}: {meaning}" for term, meaning in report.legend)
    return "".join(map(_comment, (needs, report.title, report.facts, *legend))) + colours


def _float(table: Table, caption: str) -> str:
    lines = "\n\\midrule\n".join(_block(block, len(table.heads)) for block in table.blocks)
    said = plain(f"{caption} {table.caption}".strip())
    columns = "l" + "r" * len(table.heads)
    return (
        f"\\begin{{table*}}\n\\centering\n\\caption{{{said}}}\n\\label{{tab:{table.name}}}\n"
        f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{_head(table.heads)}\n\\midrule\n{lines}\n\\bottomrule\n"
        "\\end{tabular}}\n\\end{table*}\n"
    )


def _head(heads: Sequence[Head]) -> str:
    groups = runs(heads, lambda head: (head.heading.group, head.better, bool(head.heading.part)))
    names = [(len(run), plain(run[0].heading.group) + ARROWS[run[0].better]) for run in groups]
    rows = [_row(["Method", *(_spanning(*name) for name in names)]), _rules([width for width, _ in names])]
    if any(head.heading.part for head in heads):
        rows.append(_row(["", *(plain(head.heading.part) for head in heads)]))
    if any(head.tool for head in heads):
        tools = [(len(run), _small(plain(run[0].tool or ""))) for run in runs(heads, lambda head: head.tool)]
        rows.append(_row(["", *(_spanning(*tool) for tool in tools)]))
    return "\n".join(filter(None, rows))


def _spanning(width: int, text: str) -> str:
    return text if width == 1 else f"\\multicolumn{{{width}}}{{c}}{{{text}}}"


def _rules(widths: Sequence[int]) -> str:
    ends = accumulate(widths, initial=1)
    return "".join(
        f"\\cmidrule(lr){{{end + 1}-{end + width}}}" for end, width in zip(ends, widths, strict=False) if width > 1
    )


def _block(block: Block, columns: int) -> str:
    title = [f"\\multicolumn{{{columns + 1}}}{{l}}{{\\textit{{{plain(block.title)}}}}} \\\\"] if block.title else []
    return "\n".join([*title, *(row for line in block.lines for row in _line(line))])


def _line(line: Line) -> Iterable[str]:
    """The means; below them in small, the intervals over clips and what has no value, where any cell has such."""
    yield _row([plain(line.method), *map(_cell, line.cells)])
    below = [line.detail, *(cell.ends if cell else None for cell in line.cells)]
    yield from _smaller(below)
    most = max((len(cell.notes) for cell in line.cells if cell), default=0)
    for number in range(most):
        notes = (cell.notes[number] if cell and number < len(cell.notes) else None for cell in line.cells)
        yield from _smaller([None, *notes])


def _smaller(texts: Sequence[str | None]) -> Iterable[str]:
    if any(texts):
        yield _row([_small(_minus(plain(text))) if text else "" for text in texts])


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    value = _minus(cell.value)
    if cell.rank:
        value = f"\\{'textbf' if cell.rank == 'best' else 'underline'}{{{value}}}"
    if cell.against:
        value = f"\\textcolor{{prioritycut-{cell.against}}}{{{value}{SIGNS[cell.against]}}}"
    return f"{value} {_small(plain(cell.half))}" if cell.half else value


def _minus(text: str) -> str:
    """A hyphen before a digit is a minus."""
    return "".join(
        "$-$" if character == "-" and text[place + 1 : place + 2].isdigit() else character
        for place, character in enumerate(text)
    )


def _small(text: str) -> str:
    return f"{{\\scriptsize {text}}}" if text else ""


def _row(cells: Iterable[str]) -> str:
    row = " & ".join(cells) + r" \\"
    # After the last row's end, LaTeX would take these for its options.
    return f"{{}}{row}" if row.startswith(("[", "*")) else row
