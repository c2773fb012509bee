"""The HTML report: all of a run, nothing that runs, and what is absent is said."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headway.errors import HeadwayError
from headway.model import Presence, SourceState, State
from headway.report import html, sections
from made import report_run as made
from page_reader import Reader

GOLDEN = Path(__file__).parents[1] / "golden/report/full.html"
STYLE = Path(html.__file__).parent / "templates/style.css"
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "div", "span", "h1",
    "h2", "h3", "h4", "p", "small", "b", "strong", "br", "a", "ul", "li", "dl", "dt", "dd", "table", "thead", "tbody",
    "tr", "th", "td", "details", "summary", "code", "pre", "figure", "figcaption", "svg", "path", "line", "rect", "i",
}  # fmt: skip


def normal(page: str) -> str:
    """A page without its style sheet, one tag a line, coordinates in whole units: what the golden file holds."""
    page = re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL)
    page = re.sub(r"-?\d+\.\d+(?=[^<]*>)", lambda match: f"{float(match.group()):.0f}", page)
    return "\n".join(line.strip() for line in page.replace("><", ">\n<").splitlines() if line.strip()) + "\n"


def test_the_page_is_the_golden_one() -> None:
    """A change of the report is seen and meant. HEADWAY_WRITE_GOLDEN=1 writes the file anew, and fails, to be read."""
    page = normal(html.page(made.full(), made.verdict(), made.findings()))
    if os.environ.get("HEADWAY_WRITE_GOLDEN"):
        GOLDEN.write_text(page, encoding="utf-8")
        pytest.fail(f"{GOLDEN} was written; read its difference, then run without HEADWAY_WRITE_GOLDEN")
    assert page == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("run", ["full", "bare", "hostile"])
def test_nothing_in_the_page_can_run_or_load(run: str) -> None:
    """No script, image, handler, link out or style import, whatever the run's texts say; a policy forbids them too."""
    evidence, verdict, findings = made.hostile()
    if run != "hostile":
        evidence, verdict, findings = getattr(made, run)(), made.verdict(), made.findings()
    page = html.page(evidence, verdict, findings)
    reader = Reader(page)
    assert reader.tags <= ALLOWED
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in {"src", "srcset", "data"}]
    assert all(value.startswith("#") for name, value in reader.attributes if name == "href")
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes
    assert not re.search(r"url\(|@import", re.findall(r"<style>(.*?)</style>", page, re.DOTALL)[0])
    assert page.count("<style>") == page.count("</style>") == 1


def test_hostile_texts_are_shown_as_they_are() -> None:
    """Markup, control characters and direction overrides are words on the page."""
    evidence, verdict, findings = made.hostile()
    page = html.page(evidence, verdict, findings)
    assert not set("\x1b\x00\u202e\ud800") & set(page)
    page.encode()
    text = Reader(page).text
    assert text.count("<script>alert(1)</script>") > 20
    assert "{{ 7*7 }}" in text
    assert "\\x1b[31m" in text


def test_everything_the_run_left_is_on_the_page() -> None:
    """Each part of the report, with a number that only it has."""
    text = Reader(html.page(made.full(), made.verdict(), made.findings())).text
    for words in (
        "Phase ordinary: 200 req/s, Poisson arrivals (open model)",
        "Latency over time", "Latency by percentile", "Requests per second", "P95 < 100 ms",
        "GET /users-with-posts", "timeout 40 0.333%", "unexpected status 36", "503 36",
        "▲ sequential scan of posts, 1,000,000 rows", "Seq Scan on posts", "Filter: (user_id = $1)",
        "No plan: permission denied for table products", "A utility statement has no plan.",
        "2,960,000,000", "highest 38 of 100", "Cache hit rate", "71.6%", "Edge cache hit rate", "HIT 3,100",
        "sent later than it could be, P99 610 µs", "At most 41 of 256 connections open; at most 12 requests due",
        "CPU and memory", "Disk", "Network", "Cores used by process",
        "http_requests_total moved by 12,000", "2 in rule files (not seen loaded): HighLatency, HighErrorRate",
        "http_request_duration_seconds_bucket", "PostgreSQL 18.6", "share its 2 cores", made.EXPLANATION,
        "503 Service Unavailable: \\x1b[31mtoo many clients",
    ):  # fmt: skip
        assert words in text, words


def test_what_is_absent_is_said_and_never_drawn_empty() -> None:
    """Without sources there is no chart at all, and each part says why and what to do."""
    page = html.page(made.bare(), made.verdict(state=State.INVALID, invalid_phases={"ordinary": "no worker"}), ())
    assert "<svg" not in page
    text = Reader(page).text
    for source in ("statements", "tables", "database", "edge", "host", "metrics", "alerts"):
        assert f"{source}: absent, no address of {source} was given. To see it: name {source}." in text
    assert "cache: failed, connection refused on port 6379" in text
    for words in (
        "no request was answered", "nothing was planned or sent", "No request failed.", "No answer had an HTTP status.",
        "Nothing was found in what could be seen.", "? not measured", "✗ over", "interrupted",
        "never closed its folder", "! invalid: no worker", "cut short",
    ):  # fmt: skip
        assert words in text, words
    assert "share its 2 cores" not in text  # a target elsewhere


@pytest.mark.parametrize("part", ["statements", "tables", "databases", "caches", "edges", "host", "monitoring"])
def test_each_part_alone_may_be_missing(part: str) -> None:
    """One absent source takes nothing else with it."""
    source = {"databases": "database", "caches": "cache", "edges": "edge", "monitoring": "metrics"}.get(part, part)
    whole = made.full()
    states = {**whole.sources, source: SourceState(name=source, presence=Presence.ABSENT, detail="not named")}
    evidence = replace(whole, **{part: None if part == "monitoring" else (), "sources": states})  # type: ignore[arg-type]
    text = Reader(html.page(evidence, made.verdict(), ())).text
    assert f"{source}: absent, not named" in text
    assert "GET /users-with-posts" in text


def test_a_source_that_was_read_and_counted_nothing_says_so() -> None:
    """Present and empty is not absent."""
    text = Reader(html.page(replace(made.full(), statements=()), made.verdict(), ())).text
    assert "statements: read, and nothing was counted in this phase." in text


def test_a_run_without_phases_has_a_page() -> None:
    """A run that ended before its first phase still says what it knows."""
    assert "No phase was measured." in Reader(html.page(replace(made.full(), phases=()), made.verdict(), ())).text


def test_a_long_run_is_thinned_and_says_how() -> None:
    """2,000 seconds are drawn as 500 points, and the caption says what each is."""
    whole = made.full()
    hits = whole.phases[0]
    flat = np.full(2000, 200, dtype=np.int64)
    long = replace(whole, phases=(replace(hits, seconds=2000, planned=flat, sent=flat, good=flat),))
    text = Reader(html.page(long, made.verdict(), ())).text
    assert "Each point is the highest of 4 seconds." in text
    assert "Each point is the mean of 4 seconds." in text


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A report that cannot be written is one error and leaves no half of it."""
    path = tmp_path / "report.html"
    html.write(made.full(), made.verdict(), made.findings(), path)
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(HeadwayError, match=r"cannot write .*report\.html"):
        html.write(made.full(), made.verdict(), made.findings(), tmp_path / "missing" / "report.html")


def test_a_page_of_one_run_is_the_same_each_time() -> None:
    """Everything is a fold over the run: no clock, no random number, no order of a set."""
    one, two = (html.page(made.full(), made.verdict(), made.findings()) for _ in range(2))
    assert one == two


def luminance(color: str) -> float:
    """Relative luminance. Source: WCAG 2.2, "relative luminance"."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_can_be_read_on_every_ground_in_both_modes() -> None:
    """Contrast of at least 4.5 in light and in dark, for words and for lines' names."""
    light, dark = STYLE.read_text().split("@media (prefers-color-scheme: dark)")[:2]
    for sheet in (light, dark.split("* { box-sizing")[0]):
        colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", sheet))
        pairs = [
            (ink, ground) for ink in ("ink", "soft", *(f"s{i}" for i in range(1, 7))) for ground in ("bg", "panel")
        ]
        for state in State:
            pairs += [(state.value, ground) for ground in (f"{state.value}-bg", "panel", "bg")]
        for ink, ground in pairs:
            bright, dim = sorted((luminance(colors[ink]), luminance(colors[ground])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, ground)


@pytest.mark.parametrize(
    ("url", "shared"),
    [
        ("http://127.0.0.1:8000", True), ("http://localhost/", True), ("http://[::1]:80/", True),
        ("http://127.8.8.8/", True), ("https://shop.example", False), ("http://10.0.0.3", False),
        ("http://[::1", False),
    ],
)  # fmt: skip
def test_the_report_says_when_target_and_generator_share_a_machine(url: str, shared: bool) -> None:
    """Loopback in every spelling, and nothing else."""
    assert sections.shares_the_machine(url) is shared
