"""Results to a report: a page, Markdown, LaTeX. It reads JSON only, so a table can be drawn again years later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prioritycut.files import write_text
from prioritycut.report.document import assemble
from prioritycut.report.html import to_html
from prioritycut.report.latex import to_latex
from prioritycut.report.markdown import to_markdown
from prioritycut.report.merging import name_sources
from prioritycut.report.paper import PaperDataset
from prioritycut.results import Result, load_result

__all__ = ["PaperDataset", "ReportFiles", "write_report"]


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What was written."""

    html: Path
    markdown: Path
    latex: Path


def write_report(
    results: Sequence[Path | Result],
    output: Path,
    *,
    paper: PaperDataset | None = None,
    baseline: str | None = None,
) -> ReportFiles:
    """Compare methods in tables and plots.

    Args:
        results: What `evaluate` and `score` wrote, in the order in which methods are to stand.
        output: Folder for report.html, report.md and report.tex; the same results give the same bytes.
        paper: Data set whose published numbers stand beside ours.
        baseline: Method that the others are compared with; `None` is the first of each table.

    Raises:
        UserError: A result is missing or broken (a report that lacks a method says something false, so none is
            written), two contradict each other, `baseline` is not among them, or the place cannot be written.
    """
    report = assemble(name_sources(results, load_result), dataset=paper, baseline=baseline)
    drawn = (
        (output / "report.html", to_html(report)),
        (output / "report.md", to_markdown(report)),
        (output / "report.tex", to_latex(report)),
    )
    for path, text in drawn:
        write_text(path, text)
    return ReportFiles(*(path for path, _ in drawn))
