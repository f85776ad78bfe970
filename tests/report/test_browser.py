"""The page in a real browser: narrow and wide, light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from made_results import flat_result

from prioritycut.report import write_report
from prioritycut.results import Problem, Result

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
OVERFLOWING = """
[...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && box.right > innerWidth + 0.5 && !element.closest('.scroll, caption');
}).map(element => element.outerHTML.slice(0, 120))
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(five_methods: list[Result], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A usual report, one with the paper's numbers, and one with names as long and odd as they come."""
    long = "a-method-whose-name-has-no-end-" * 4 + "<b>&"
    faults = tuple(Problem(clip="clip" * 40, fault="it lasts 30 frames, its target 31" * 3) for _ in range(20))
    odd = [
        flat_result(long, {"L1": 0.1, "AKD": 1.0, "metric_" * 12: 3.0}, problems=faults, dataset="data" * 40),
        flat_result("B", {"L1": 0.2, "AKD": 2.0}, labels={"AKD": "tool" * 30}, dataset="data" * 40),
    ]
    faces = [flat_result(name, {"L1": 0.05, "AKD": 1.2}, dataset="voxceleb") for name in ("FOMM", "Ours")]
    reports = {"usual": (five_methods, None), "published": (faces, "voxceleb"), "odd": (odd, None)}
    return {
        name: write_report(results, tmp_path_factory.mktemp(name), paper=paper).html  # type: ignore[arg-type]
        for name, (results, paper) in reports.items()
    }


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["usual", "published", "odd"])
def test_the_page_fits_the_window_and_the_browser_does_not_complain(
    name: str, theme: Literal["light", "dark"], width: int, browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    complaints = list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url != pages[name].as_uri() else None)
    page.goto(pages[name].as_uri())
    page.screenshot(path=tmp_path / f"{name}-{width}-{theme}.png", full_page=True)
    assert (tmp_path / f"{name}-{width}-{theme}.png").stat().st_size > 20_000
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(OVERFLOWING) == []
    assert complaints == []
    page.close()


@pytest.fixture
def narrow(browser: Browser, pages: dict[str, Path]) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 400, "height": 900})
    page.goto(pages["usual"].as_uri())
    yield page
    page.close()


def test_a_wide_table_scrolls_by_itself_and_keeps_its_methods_in_view(narrow: Page) -> None:
    table = narrow.locator(".scroll").first
    assert table.evaluate("part => part.scrollWidth > part.clientWidth")
    before = table.locator("tbody th").first.bounding_box()
    table.evaluate("part => part.scrollLeft = 300")
    assert table.locator("tbody th").first.bounding_box() == before


def test_every_number_of_a_column_ends_at_the_same_place(narrow: Page) -> None:
    ends = narrow.locator("#data-1-reconstruction tbody td:nth-child(2) .value").evaluate_all(
        "cells => cells.map(cell => { const range = document.createRange();"
        "range.selectNodeContents(cell.querySelector('strong, u') ?? cell.firstChild);"
        "return range.getBoundingClientRect().right; })"
    )
    assert len(ends) == 5
    assert max(ends) - min(ends) < 0.6


def test_the_theme_follows_the_reader(browser: Browser, pages: dict[str, Path]) -> None:
    grounds = list[str]()
    for theme in ("light", "dark"):
        page = browser.new_page(color_scheme=theme)
        page.goto(pages["usual"].as_uri())
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert grounds == ["rgb(251, 250, 247)", "rgb(20, 22, 26)"]
