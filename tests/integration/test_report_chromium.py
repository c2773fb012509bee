"""The HTML report in real Chromium: from a file, without a network, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.model import State
from headway.report import advice_page, comparison, html
from made import diagnosed
from made import report_run as made

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = os.environ.get("HEADWAY_CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

NAMES = ("full", "bare", "hostile", "comparison", "findings", "hostile-findings")

# Words whose colour is too near the ground they stand on; the ground is the nearest ancestor's that has one.
FAINT = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => { const f = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const out = [];
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || !e.offsetParent) continue;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const a = light(parse(getComputedStyle(e).color)), b = light(ground(e));
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) out.push(e.className + ': ' + e.textContent.trim().slice(0, 40) + ' ' + contrast.toFixed(2));
  }
  return out; }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module. HEADWAY_CHROMIUM names another one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports by name: everything present, everything absent, hostile texts, before and after, findings."""
    folder = tmp_path_factory.mktemp("reports")
    files = {
        name: folder / f"{name}.html"
        for name in ("full", "bare", "hostile", "comparison", "findings", "hostile-findings")
    }
    html.write(made.full(), made.verdict(), made.findings(), files["full"])
    html.write(made.bare(), made.verdict(state=State.INVALID, invalid_phases={"ordinary": "lost"}), (), files["bare"])
    evidence, verdict, findings = made.hostile()
    html.write(evidence, verdict, findings, files["hostile"])
    kept = made.verdict(made.judgement(State.KEPT, measured=41e6, low=40e6, high=43e6), state=State.KEPT)
    comparison.write_html(
        (made.full(), made.verdict()), (made.full(middle_ms=9, fails=False), kept), files["comparison"]
    )
    for page, said in (("findings", ""), ("hostile-findings", made.NASTY)):
        known = diagnosed.accepted(said)
        text = advice_page.page(
            diagnosed.ranked(said), diagnosed.evidence(said), (known,), diagnosed.proofs(said),
            (diagnosed.prediction(),),
        )  # fmt: skip
        files[page].write_text(text, encoding="utf-8")
    return files


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", NAMES)
def test_the_report_opens_and_can_be_read(
    browser: Browser, pages: dict[str, Path], name: str, width: int, mode: str
) -> None:
    """
    No console message, no request but the file itself, no dialogue, no sideways scroll, no faint word, every heading
    on the screen, in any width and mode, with every detail open as well.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if mode == "dark" else "light"
    )
    page = context.new_page()
    troubles: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[name].as_uri())
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(FAINT) == []
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    headings = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(each => each.checkVisibility())")
    assert len(headings) >= 4
    assert all(headings)
    assert troubles == []
    assert asked == [pages[name].as_uri()]
    context.close()


@pytest.mark.parametrize("name", ["full", "comparison", "findings"])
def test_print_loses_nothing_at_the_edge_of_the_paper(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """On A4 every table fits between the margins, as paper cannot scroll, and folded details are unfolded."""
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # A4 at 96 dpi less margins of 1 cm
    page.emulate_media(media="print")
    page.goto(pages[name].as_uri())
    wide = page.evaluate(
        """() => [...document.querySelectorAll('.scroll, pre')]
          .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label') || e.textContent)"""
    )
    hidden = page.evaluate(
        """() => [...document.querySelectorAll('details > :not(summary)')]
          .filter(e => !e.getBoundingClientRect().height).length"""
    )
    page.close()
    assert wide == []
    assert hidden == 0


def test_lines_are_drawn_where_they_can_be_seen(browser: Browser, pages: dict[str, Path]) -> None:
    """Every line of every chart has a length on the screen and a colour that isn't the panel's."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(pages["full"].as_uri())
    drawn = page.evaluate(
        """() => [...document.querySelectorAll('svg path.line')].map(e => {
          const box = e.getBoundingClientRect();
          return [box.width, getComputedStyle(e).stroke]; })"""
    )
    page.close()
    assert len(drawn) >= 6 + 2 + 4 + 1 + 1 + 3 + 2 + 2 + 3
    assert all(width > 100 and stroke not in {"none", "rgb(255, 255, 255)"} for width, stroke in drawn)
