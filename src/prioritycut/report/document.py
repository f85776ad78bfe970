"""The report as a whole, before it is drawn as a page, as Markdown or as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from prioritycut.errors import UserError
from prioritycut.report import listings
from prioritycut.report.beside import (
    belongs_beside,
    published_groups,
    published_layouts,
    published_table,
    with_published,
)
from prioritycut.report.curves import Panel, panels
from prioritycut.report.differences import contests, difference_table
from prioritycut.report.digits import count
from prioritycut.report.layout import Layout, layouts, paper_layout
from prioritycut.report.listings import Listing
from prioritycut.report.merging import Comparison, Source, gather
from prioritycut.report.paper import NAMES, PaperDataset, caveats, paper
from prioritycut.report.tables import Table, alike_as_one, build_table, measured_group
from prioritycut.report.wording import facts, finding, legend, titles, warnings


@dataclass(frozen=True, slots=True)
class Plots:
    """Panels side by side with one legend."""

    name: str
    title: str
    panels: tuple[Panel, ...]


Part: TypeAlias = Table | Listing | Plots


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, what is to be said, and what is to be shown."""

    name: str
    """Unique within a report, of letters, digits and hyphens."""
    title: str
    facts: str = ""
    warnings: tuple[str, ...] = ()
    findings: tuple[tuple[str, str], ...] = ()
    """What a sentence is about, which may be empty, and what it says."""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a report shows."""

    title: str
    facts: str
    legend: tuple[tuple[str, str], ...]
    """Term and meaning."""
    sections: tuple[Section, ...]


def assemble(sources: Sequence[Source], *, dataset: PaperDataset | None, baseline: str | None) -> Report:
    """Draw up a report.

    Args:
        sources: The results, at least one.
        dataset: Whose published numbers stand beside them.
        baseline: The method that the others are compared with; `None` is the first of each table. A table without it
            compares nothing.

    Raises:
        UserError: There is no result, no such method, or two results contradict each other.
    """
    if not sources:
        raise UserError("no results to report; give at least one JSON that `evaluate` or `score` wrote")
    comparisons = gather(sources)
    methods = list(dict.fromkeys(row.method for comparison in comparisons for row in comparison.rows))
    if baseline is not None and baseline not in methods:
        raise UserError(f"baseline {baseline!r} is not among the methods; choose one of {', '.join(methods)}")
    named = list(zip(titles(comparisons), comparisons, strict=True))
    sections = [
        _compare(f"data-{number}", title, comparison, baseline or comparison.rows[0].method, dataset)
        for number, (title, comparison) in enumerate(named, 1)
    ]
    if dataset is not None:
        sections.append(_publish(dataset, comparisons))
    sections.append(_account(sources, named))
    return Report(
        title="Evaluation on " + " and ".join(dict.fromkeys(comparison.dataset for comparison in comparisons)),
        facts=f"{count(len(methods), 'method')}, {count(len(sources), 'result')}",
        legend=legend(dataset is not None),
        sections=tuple(sections),
    )


def _compare(name: str, title: str, comparison: Comparison, baseline: str, dataset: PaperDataset | None) -> Section:
    """The section of one data set and protocol."""
    duels = contests(comparison, baseline)
    beside = dataset if dataset and belongs_beside(dataset, comparison) else None
    drawn = panels(comparison)
    parts = list[Part | None]()
    for layout in layouts([column.key for column in comparison.columns]):
        if drawn and "by-occlusion" in layout.name:
            parts.append(Plots(f"{name}-plots", "Against the share of occluded pixels", drawn))
            drawn = ()
        parts += [
            _measure(name, layout, comparison, baseline, beside),
            difference_table(f"{name}-{layout.name}-minus", layout, duels),
        ]
        if beside and "by-occlusion" in layout.name:
            parts.append(published_table(name, beside, with_published(layout, beside)))
    parts += [
        listings.problems(f"{name}-problems", comparison),
        listings.all_numbers(f"{name}-numbers", comparison),
    ]
    return Section(
        name=name,
        title=title,
        facts=facts(comparison, baseline),
        warnings=warnings(comparison, baseline),
        findings=tuple(map(finding, duels)),
        parts=_present(parts),
    )


def _measure(name: str, layout: Layout, comparison: Comparison, baseline: str, beside: PaperDataset | None) -> Table:
    """The table of one layout, with the paper's rows below ours where columns can be shared."""
    like = paper_layout(layout.keys)
    caption = f"The columns of the paper's Table {like}." if like else ""
    title = "Measured here" if beside and layout.name == "reconstruction" else None
    own = measured_group(comparison, layout, baseline, title)
    groups = [alike_as_one(own) if layout.name == "areas" else own]
    if title and beside:
        layout = with_published(layout, beside)
        groups += published_groups(beside, layout)
    return build_table(f"{name}-{layout.name}", layout.title, caption, layout, groups)


def _publish(dataset: PaperDataset, comparisons: Iterable[Comparison]) -> Section:
    """The paper's tables, as far as they do not stand beside ours, and how to read them."""
    shown = {
        layout
        for comparison in comparisons
        if belongs_beside(dataset, comparison)
        for layout in (layout.name for layout in layouts([column.key for column in comparison.columns]))
    }
    parts = [
        published_table("paper", dataset, layout) for layout in published_layouts(dataset) if layout.name not in shown
    ]
    apart = f"They stand apart, because no result here is of {NAMES[dataset]} at 256x256."
    return Section(
        name="paper",
        title=f"Published numbers on {NAMES[dataset]}",
        facts=paper().source,
        findings=tuple(("", note) for note in (*caveats(dataset), *(() if shown else (apart,)))),
        parts=_present(parts),
    )


def _account(sources: Sequence[Source], named: Iterable[tuple[str, Comparison]]) -> Section:
    """How it was measured."""
    protocols = [
        listings.settings(f"settings-{number}", title, comparison)
        for number, (title, comparison) in enumerate(named, 1)
    ]
    return Section(
        name="account",
        title="How it was measured",
        parts=_present(
            [
                *protocols,
                listings.tools("tools", sources),
                listings.files("files", sources),
                listings.versions("versions", sources),
            ]
        ),
    )


def _present(parts: Iterable[Part | None]) -> tuple[Part, ...]:
    return tuple(part for part in parts if part is not None)
