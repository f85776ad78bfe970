"""The page as text: whole, closed in itself, safe, legible."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from made_results import flat_result

from prioritycut.report.document import assemble
from prioritycut.report.html import to_html
from prioritycut.report.merging import Source
from prioritycut.report.plots import nice_ticks
from prioritycut.report.style import CURVES, DARK, GROUNDS, LIGHT, TEXTS, stylesheet
from prioritycut.results import Problem, Result

HOSTILE = """<script>alert('x')</script> & "100%" of_#{\\foo}"""
VOID = {"meta", "path"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = list[str]()
        self.elements = list[tuple[str, dict[str, str | None]]]()
        self.words = list[tuple[str, str]]()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append((self.open[-1] if self.open else "", data))


def page_of(*results: Result, dataset: str | None = None) -> str:
    sources = [Source(f"{number}.json", result) for number, result in enumerate(results)]
    return to_html(assemble(sources, dataset=dataset, baseline=None))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page(five_methods: list[Result]) -> str:
    return page_of(*five_methods, dataset="voxceleb")


def test_the_page_is_well_formed_and_names_are_unique(page: str) -> None:
    names = [attributes["id"] for _, attributes in Page(page).elements if "id" in attributes]
    assert len(names) == len(set(names))


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    tags = {tag for tag, _ in Page(page).elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert not re.search(r"url\(|@import|https?://", page)
    links = [attributes["href"] for tag, attributes in Page(page).elements if tag == "a"]
    assert links
    assert all(link and link.startswith("#") for link in links)


def test_every_table_has_a_caption_and_heads_with_a_scope(page: str) -> None:
    elements = Page(page).elements
    tags = [tag for tag, _ in elements]
    assert tags.count("caption") == tags.count("table") > 5
    assert all("scope" in attributes for tag, attributes in elements if tag == "th")


def test_every_row_has_as_many_cells_as_its_table(page: str) -> None:
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        head, body = table.split("</thead>")
        grid = dict[tuple[int, int], bool]()
        rows = re.findall(r"<tr>(.*?)</tr>", head, re.DOTALL)
        for y, row in enumerate(rows):
            x = 0
            for tag in re.findall(r"<t[hd][^>]*>", row):
                while (y, x) in grid:
                    x += 1
                for down in range(_span(tag, "rowspan")):
                    for right in range(_span(tag, "colspan")):
                        assert (y + down, x + right) not in grid
                        grid[y + down, x + right] = True
        width = max(x for _, x in grid) + 1
        assert len(grid) == width * len(rows)
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL):
            assert sum(_span(tag, "colspan") for tag in re.findall(r"<t[hd][^>]*>", row)) == width


def _span(tag: str, kind: str) -> int:
    found = re.search(rf'{kind}="(\d+)"', tag)
    return int(found[1]) if found else 1


def test_best_second_and_sides_are_said_without_colour() -> None:
    text = page_of(flat_result("FOMM", {"L1": 0.0413}), flat_result("B", {"L1": 0.05}), flat_result("C", {"L1": 0.04}))
    assert "<strong>0.040</strong>" in text
    assert "<u>0.041</u>" in text
    assert text.count('aria-label="better than the baseline"') == 2  # in its table, and in that of differences
    assert text.count('aria-label="worse than the baseline"') == 2
    assert ">beats<" in text
    assert ">loses<" in text


@pytest.mark.parametrize("where", ["method", "dataset", "tool", "metric", "clip", "fault", "setting"])
def test_hostile_names_stay_text(where: str) -> None:
    result = flat_result(
        HOSTILE if where == "method" else "A",
        {HOSTILE if where == "metric" else "L1": 0.1, "AKD": 1.0},
        dataset=HOSTILE if where == "dataset" else "faces",
        labels={"AKD": HOSTILE if where == "tool" else "tool 1"},
        settings={HOSTILE if where == "setting" else "ssim": "x"},
        problems=(Problem(clip=HOSTILE if where == "clip" else "a", fault=HOSTILE if where == "fault" else "b"),),
    )
    page = Page(page_of(result, flat_result("B", {"L1": 0.2})))
    assert "script" not in {tag for tag, _ in page.elements}
    said = "".join(word for tag, word in page.words if tag != "style")
    assert HOSTILE.replace("_", " ") in said.replace("_", " ")


def test_plots_show_every_method_and_side(page: str, five_methods: list[Result]) -> None:
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert [re.search(r"<figcaption>(.*?)<", figure)[1] for figure in figures] == [  # type: ignore[index]
        f"{metric} {side} the top p%" for metric in ("PSNR", "SSIM") for side in ("inside", "outside")
    ]
    for figure in figures:
        assert figure.count('class="curve') == figure.count('class="band') == len(five_methods)
        assert figure.count("<title>") == 5 * len(five_methods)
        for place in re.findall(r"translate\(([\d.]+) ([\d.]+)\)\" d", figure):
            assert 0 < float(place[0]) < 480
            assert 0 < float(place[1]) < 280


@pytest.mark.parametrize(("low", "high"), [(22.31, 35.2), (0.75, 0.951), (0.95, 0.951), (5.0, 5.0), (0.0, 0.0)])
def test_ticks_enclose_all_values_and_are_round(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert ticks[0] - 1e-12 <= low <= high <= ticks[-1] + 1e-12
    assert 3 <= len(ticks) <= 8
    assert f"{step:.6e}"[0] in "125"


# Legibility, as WCAG 2.2 defines it


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def themes_of(page: str) -> list[dict[str, str]]:
    """Colour variables as the page declares them: first light, then dark."""
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", root)) for root in re.findall(r":root \{([^}]*)\}", page)]


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_text_is_legible_on_every_ground_in_both_themes(page: str) -> None:
    light, dark = themes_of(page)
    assert (light, dark) == (LIGHT, DARK)
    for theme in (light, dark):
        for text in TEXTS:
            for ground in GROUNDS:
                assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)


def test_plotted_lines_stand_out_in_both_themes() -> None:
    for theme in (LIGHT, DARK):
        for number in range(CURVES):
            assert contrast(theme[f"curve-{number}"], theme["page"]) >= 3


def test_every_colour_of_the_style_has_a_name_in_both_themes() -> None:
    rules = stylesheet()
    used = set(re.findall(r"var\(--([\w-]+)\)", rules)) - {"font"}
    assert used == set(LIGHT) == set(DARK)
    texts = set(re.findall(r"[ {;]color: var\(--([\w-]+)\)", rules)) | set(re.findall(r"fill: var\(--(\w+)\)", rules))
    assert texts <= set(TEXTS)
    assert set(re.findall(r"background: var\(--([\w-]+)\)", rules)) <= set(GROUNDS)
