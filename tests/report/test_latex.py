"""LaTeX and Markdown by their structure: as many cells in each row, nothing unescaped, marks where they belong."""

from __future__ import annotations

import re

import pytest
from made_results import flat_result

from prioritycut.report.document import Report, assemble
from prioritycut.report.latex import plain, to_latex
from prioritycut.report.markdown import plain as markdown_plain
from prioritycut.report.markdown import to_markdown
from prioritycut.report.merging import Source
from prioritycut.results import Result

HOSTILE = "[*] <script> & 100% of_#{\\foo}$^~ |`x`|\nsecond line"


def drawn(*results: Result, dataset: str | None = None) -> Report:
    sources = [Source(f"{number}.json", result) for number, result in enumerate(results)]
    return assemble(sources, dataset=dataset, baseline=None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report(five_methods: list[Result]) -> Report:
    hostile = flat_result(HOSTILE, {"L1": 0.05, "AKD": 1.2}, labels={"AKD": HOSTILE})
    published = flat_result("A", {"L1": 0.05, "AKD": 1.2}, dataset="voxceleb")
    return drawn(*five_methods, hostile, published, dataset="voxceleb")


def cells(row: str) -> int:
    """Columns that a row of a tabular fills."""
    spans = [int(span) for span in re.findall(r"\\multicolumn\{(\d+)\}", row)]
    return len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) - len(spans)


def test_every_row_of_a_tabular_fills_its_columns(report: Report) -> None:
    tabulars = re.findall(r"\\begin\{tabular\}\{(l r*|lr+)\}\n(.*?)\\end\{tabular\}", to_latex(report), re.DOTALL)
    assert len(tabulars) > 10
    for columns, body in tabulars:
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 2
        assert {cells(row) for row in rows} == {len(columns)}
        for line in body.splitlines():
            rule = re.fullmatch(r"\\(top|mid|bottom)rule|(\\cmidrule\(lr\)\{\d+-\d+\})+", line)
            assert rule or line.endswith(r"\\")


def test_rules_under_a_group_span_its_columns() -> None:
    text = to_latex(drawn(flat_result("A", {"L1": 0.1, "PSNR_all": 20, "SSIM_all": 0.8, "SSIM_salient": 0.9})))
    assert r"\multicolumn{2}{c}{SSIM $\uparrow$}" in text
    assert r"\cmidrule(lr){4-5}" in text


def test_braces_and_environments_are_balanced(report: Report) -> None:
    text = re.sub(r"(?m)(?<!\\)%.*$", "", to_latex(report))
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    for name in ("table*", "tabular"):
        assert text.count(f"\\begin{{{name}}}") == text.count(f"\\end{{{name}}}") > 10


def test_labels_are_unique(report: Report) -> None:
    labels = re.findall(r"\\label\{(.*?)\}", to_latex(report))
    assert len(labels) == len(set(labels))


def test_hostile_names_are_text_in_latex() -> None:
    assert plain("50% of_a & b #1") == r"50\% of\_a \& b \#1"
    assert plain("{\\foo}$^~") == r"\{\textbackslash{}foo\}\$\textasciicircum{}\textasciitilde{}"
    assert plain("two\nlines") == "two lines"
    text = to_latex(drawn(flat_result(HOSTILE, {"L1": 0.1})))
    assert "\n{}[*] " in text  # not an option of the row before it
    assert "<script>" not in re.sub(r"(?m)^%.*$", "", text)


def test_marks_of_the_worked_example_in_latex() -> None:
    three = [flat_result(name, {"L1": mean}) for name, mean in (("FOMM", 0.0413), ("B", 0.05), ("C", 0.04))]
    text = to_latex(drawn(*three))
    assert r"FOMM & \underline{0.041} {\scriptsize $\pm$0.001} \\" in text
    assert r"B & \textcolor{prioritycut-worse}{0.050\,$\circ$} {\scriptsize $\pm$0.001} \\" in text
    assert r"C & \textcolor{prioritycut-better}{\textbf{0.040}\,$\bullet$} {\scriptsize $\pm$0.001} \\" in text
    assert r"{$-$0.0013" in text or r"{$-$0.001" in text  # C minus FOMM, with a minus


def test_every_row_of_a_markdown_table_fills_its_columns(report: Report) -> None:
    tables = re.findall(r"(?m)(?:^\|.*\n)+", to_markdown(report) + "\n")
    assert len(tables) > 10
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_hostile_names_are_text_in_markdown() -> None:
    assert markdown_plain("a|b") == "a&#124;b"
    assert markdown_plain("<b> *x* _y_ [z](w)\n`c`").count("<") == 0
    text = to_markdown(drawn(flat_result(HOSTILE, {"L1": 0.1})))
    assert "<script>" not in text


def test_marks_of_the_worked_example_in_markdown() -> None:
    three = [flat_result(name, {"L1": mean}) for name, mean in (("FOMM", 0.0413), ("B", 0.05), ("C", 0.04))]
    text = to_markdown(drawn(*three))
    assert "| FOMM | <ins>0.041</ins> ±0.001 |" in text
    assert "| B | 0.050 ○ ±0.001 |" in text
    assert "| C | **0.040** ● ±0.001 |" in text
