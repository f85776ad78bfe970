"""The report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from prioritycut.report.document import Part, Plots, Report, Section
from prioritycut.report.html_table import metric_table
from prioritycut.report.listings import Listing
from prioritycut.report.plots import draw_key, draw_panel
from prioritycut.report.style import stylesheet
from prioritycut.report.tables import Table


def to_html(report: Report) -> str:
    """The whole page."""
    links = "".join(f'<li><a href="#{section.name}">{escape(section.title)}</a></li>' for section in report.sections)
    terms = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(meaning)}</dd></div>" for term, meaning in report.legend)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(report.title)}</title>
<style>
{stylesheet()}</style>
</head>
<body>
<header>
<h1>{escape(report.title)}</h1>
<p class="facts">{escape(report.facts)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<dl class="legend">{terms}</dl>
</header>
<main>
{"".join(map(_section, report.sections))}</main>
<footer>Made by prioritycut from the results listed above, and from nothing else.</footer>
</body>
</html>
"""


def _section(section: Section) -> str:
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">\n'
        f'<h2 id="{section.name}-title">{escape(section.title)}</h2>\n'
        + (f'<p class="facts">{escape(section.facts)}</p>\n' if section.facts else "")
        + _list("warnings", (f"<b>Mind:</b> {escape(warning)}" for warning in section.warnings))
        + _list(
            "findings",
            (f"<b>{escape(about)}</b> {escape(said)}".removeprefix("<b></b> ") for about, said in section.findings),
        )
        + "".join(map(_part, section.parts))
        + "</section>\n"
    )


def _list(kind: str, items: Iterable[str]) -> str:
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="{kind}">{listed}</ul>\n' if listed else ""


def _part(part: Part) -> str:
    if isinstance(part, Plots):
        return _frame(
            part.name,
            part.title,
            "Bands are the 95% intervals over clips; of a single clip, over frames.",
            _plots(part),
            folded=False,
        )
    if isinstance(part, Table):
        table = metric_table(part)
        return _frame(part.name, part.title, part.caption, _scrolling(part.title, table), folded=part.folded)
    return _frame(part.name, part.title, "", _scrolling(part.title, _listing(part)), folded=part.folded)


def _frame(name: str, title: str, caption: str, body: str, *, folded: bool) -> str:
    said = f'<p class="caption">{escape(caption)}</p>\n' if caption else ""
    if folded:
        return f'<details class="part" id="{name}"><summary>{escape(title)}</summary>\n{said}{body}</details>\n'
    return f'<div class="part" id="{name}">\n<h3>{escape(title)}</h3>\n{said}{body}</div>\n'


def _scrolling(title: str, table: str) -> str:
    """A table that is wider than the page scrolls by itself, by keyboard too."""
    return f'<div class="scroll" role="region" aria-label="{escape(title)}" tabindex="0">\n{table}</div>\n'


def _listing(listing: Listing) -> str:
    numbers = len(listing.header) if listing.numbers_from is None else listing.numbers_from
    kinds = ["text" if place < numbers else "number" for place in range(len(listing.header))]
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(name)}</th>' for kind, name in zip(kinds, listing.header, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{escape(text)}</td>' for kind, text in zip(kinds, row, strict=True))
        + "</tr>\n"
        for row in listing.rows
    )
    caption = f"<caption>{escape(listing.title)}</caption>"
    return f'<table class="listing">{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n'


def _plots(plots: Plots) -> str:
    methods = {curve.number: curve.method for panel in plots.panels for curve in panel.curves}
    keys = "".join(f"<li>{draw_key(number)}{escape(method)}</li>" for number, method in sorted(methods.items()))
    figures = "".join(
        f"<figure><figcaption>{escape(panel.title)}"
        + (f"<span>masks by {escape(panel.tool)}</span>" if panel.tool else "")
        + f"</figcaption>{draw_panel(panel)}</figure>\n"
        for panel in plots.panels
    )
    return f'<ul class="curves">{keys}</ul>\n<div class="panels">\n{figures}</div>\n'
