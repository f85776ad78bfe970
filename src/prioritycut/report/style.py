"""Colours and type of the page, in a light and a dark theme. Every text colour is legible on every ground it meets."""

from __future__ import annotations

from collections.abc import Mapping

GROUNDS = ("page", "surface", "tint")
"""Names of the colours that text stands on."""
TEXTS = ("ink", "muted", "better", "worse", "accent")
"""Names of the colours of text."""
FONT = '-apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif'
"""`system-ui` is left out: on a bare Linux it is a face so wide that tables overflow for no reason."""
CURVES = 8
"""Colours of plotted lines; dashes and markers differ too."""

LIGHT: Mapping[str, str] = {
    "page": "#fbfaf7",
    "surface": "#ffffff",
    "tint": "#f3f1eb",
    "line": "#dedbd3",
    "rule": "#33363b",
    "ink": "#1b1d21",
    "muted": "#5c616a",
    "better": "#0b6b4b",
    "worse": "#a63a17",
    "accent": "#1d5aa6",
    **{
        f"curve-{number}": colour
        for number, colour in enumerate(
            ("#1d5aa6", "#bf4d12", "#0b7a58", "#8446b0", "#b02f4f", "#5f6a17", "#00707f", "#7a4f2a")
        )
    },
}
DARK: Mapping[str, str] = {
    "page": "#14161a",
    "surface": "#1a1d22",
    "tint": "#23272d",
    "line": "#343941",
    "rule": "#b9b6ae",
    "ink": "#e9e7e2",
    "muted": "#a3a9b3",
    "better": "#63cfa2",
    "worse": "#f5a081",
    "accent": "#8cbaf5",
    **{
        f"curve-{number}": colour
        for number, colour in enumerate(
            ("#7fb2f2", "#f2a15f", "#58cba2", "#c89cf0", "#f28ca4", "#bccb63", "#5fcad9", "#cda57f")
        )
    },
}

_RULES = """
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 var(--font);
  overflow-wrap: anywhere;
}
header, main, footer { max-width: 1240px; margin: 0 auto; padding: 0 clamp(16px, 3vw, 32px); }
header { padding-top: 48px; }
footer { padding-top: 8px; padding-bottom: 64px; color: var(--muted); font-size: 13px; }
h1 { margin: 0; font-size: clamp(26px, 4vw, 34px); line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; }
h2 { margin: 0; font-size: 23px; line-height: 1.25; font-weight: 650; letter-spacing: -0.01em; }
h3 { margin: 0 0 2px; font-size: 16px; font-weight: 650; }
p { margin: 0; max-width: 78ch; }
a { color: var(--accent); text-underline-offset: 3px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
.facts { margin-top: 4px; color: var(--muted); font-size: 15px; }
nav { margin-top: 16px; font-size: 15px; }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0; padding: 0; list-style: none; }
.legend { margin: 24px 0 0; padding: 14px 0 0; border-top: 1px solid var(--line); font-size: 13px; color: var(--muted);
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 4px 32px; }
.legend :is(dt, dd) { display: inline; margin: 0; }
.legend dt { margin-right: 8px; color: var(--ink); font-weight: 600; }
section { margin-top: 56px; }
.findings { margin: 16px 0 0; padding: 0; list-style: none; }
.findings li { padding: 3px 0 3px 14px; border-left: 2px solid var(--line); max-width: 96ch; }
.warnings { margin: 16px 0 0; padding: 0; list-style: none; }
.warnings li { padding: 3px 0 3px 14px; border-left: 2px solid var(--worse); max-width: 96ch; }
.warnings b { color: var(--worse); }
.part { margin-top: 36px; }
.caption { color: var(--muted); font-size: 13px; max-width: 96ch; }
details.part { border-top: 1px solid var(--line); padding-top: 12px; margin-top: 24px; }
details.part + details.part { margin-top: 12px; }
summary { cursor: pointer; font-weight: 650; color: var(--ink); }
summary::marker { color: var(--muted); }
.scroll { width: fit-content; max-width: 100%; margin-top: 12px; overflow-x: auto;
  background: var(--surface); border-top: 2px solid var(--rule);
  border-bottom: 2px solid var(--rule); overflow-wrap: normal; }
table { border-collapse: separate; border-spacing: 0; font-size: 14px; line-height: 1.35;
  font-variant-numeric: tabular-nums lining-nums; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
th, td { padding: 8px 6px; text-align: right; vertical-align: top; font-weight: 400; }
.corner, tbody th { text-align: left; padding-left: 12px; }
.metrics thead th, .metrics thead td { white-space: nowrap; vertical-align: bottom; padding-top: 4px;
  padding-bottom: 4px; }
.metrics thead tr:first-child > * { padding-top: 10px; }
.metrics thead .group { font-weight: 650; text-align: right; }
.metrics thead :is(.wide, .alone) { text-align: center; }
.metrics thead .wide > span, .metrics thead .tool > span { display: block; border-bottom: 1px solid var(--line);
  padding-bottom: 3px; }
.metrics thead .tool { color: var(--muted); font-size: 12px; text-align: center; white-space: normal; line-height: 1.25;
  min-width: 84px; }
.metrics thead .tool > span { border-bottom: 0; border-top: 1px solid var(--line); padding: 3px 0 0; }
.metrics thead tr:last-child > *, .metrics thead .corner { padding-bottom: 8px; }
.metrics tbody tr + tr > * { border-top: 1px solid var(--line); }
.metrics tbody > tr:first-child > * { border-top: 1px solid var(--rule); }
.metrics tbody tr:hover > * { background: var(--tint); }
.metrics .block { text-align: left; font-weight: 650; font-size: 13px; background: var(--tint); }
.metrics .block span { display: inline-block; position: sticky; left: 12px; max-width: calc(100vw - 72px); }
.metrics thead i { display: inline-block; position: sticky; left: 132px; right: 12px; font-style: normal; }
.metrics .start { padding-left: 14px; }
.metrics tbody td { white-space: nowrap; }
.metrics tbody th, .metrics thead .corner { position: sticky; left: 0; z-index: 1; background: var(--surface);
  white-space: normal; }
.metrics .name { display: block; min-width: 96px; max-width: 168px; overflow-wrap: break-word; }
.metrics tbody th.block { position: static; background: var(--tint); }
.metrics b { font-weight: 600; }
.detail, .half, .ends, .note { display: block; color: var(--muted); font-size: 12px; }
.value { display: block; font-size: 15px; }
.value strong { font-weight: 750; }
.value u { text-underline-offset: 3px; text-decoration-thickness: 1px; }
.sign { display: inline-block; width: 8px; height: 8px; margin-left: 4px; border: 0 solid currentcolor;
  border-radius: 50%; vertical-align: 1px; }
.better .sign { border-width: 4px; }
.worse .sign { border-width: 1.5px; }
.better .value, .better .verdict { color: var(--better); }
.worse .value, .worse .verdict { color: var(--worse); }
.signed :is(.half, .ends, .note) { padding-right: 12px; }
.signed thead th:not(.corner, .wide, .alone, .tool) { padding-right: 18px; }
.missing { color: var(--muted); }
.listing :is(th, td) { padding: 6px 12px; }
.listing th { font-weight: 650; white-space: nowrap; border-bottom: 1px solid var(--rule); vertical-align: bottom; }
.listing td { border-top: 1px solid var(--line); min-width: 72px; }
.listing tbody tr:first-child td { border-top: 0; }
.listing .text { text-align: left; overflow-wrap: break-word; max-width: 46ch; }
.listing td.number { white-space: nowrap; min-width: 0; }
.curves { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 12px 0 0; padding: 0; list-style: none;
  font-size: 14px; }
.curves li { display: flex; align-items: center; gap: 8px; }
.curves svg { width: 44px; height: 14px; flex: none; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 28px 32px;
  margin-top: 16px; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 14px; font-weight: 600; }
figcaption span { display: block; font-size: 12px; font-weight: 400; color: var(--muted); }
.panels svg { display: block; width: 100%; height: auto; margin-top: 4px; }
svg text { font: 12px var(--font);
  fill: var(--muted); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--muted); stroke-width: 1; }
svg .curve { fill: none; stroke-width: 1.75; stroke-linejoin: round; }
svg .band { stroke: none; opacity: 0.1; }
svg .marker { stroke: var(--page); stroke-width: 1; }
@media (max-width: 640px) {
  header { padding-top: 28px; }
  section { margin-top: 44px; }
  .metrics .name { max-width: 108px; }
  svg text { font-size: 15px; }
}
@media print {
  body { background: #fff; font-size: 11px; }
  .scroll { overflow: visible; }
}
"""


def stylesheet() -> str:
    """All of the page's CSS; the theme follows the reader's system."""
    series = "".join(
        f"svg .c{number} {{ stroke: var(--curve-{number}); }}\nsvg .f{number} {{ fill: var(--curve-{number}); }}\n"
        for number in range(CURVES)
    )
    return (
        f":root {{ color-scheme: light dark; --font: {FONT}; {_variables(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}{_RULES}{series}"
    )


def _variables(theme: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in theme.items())
