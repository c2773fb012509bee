"""JUnit XML, JSON and Markdown: what a CI server and a reviewer read."""

from __future__ import annotations

import json
import math
import re
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from headway.model import State
from headway.report import as_json, junit, markdown
from made import report_run as made

CASE_CHILDREN = {"skipped", "error", "failure", "system-out", "system-err"}
SUITE = {"name", "timestamp", "hostname", "tests", "failures", "errors", "time", "package", "id"}


def suite(text: str) -> ElementTree.Element:
    """The one suite of a document, after the rules of the Ant and Jenkins schema were held against it."""
    document = ElementTree.fromstring(text)
    assert document.tag == "testsuites"
    (found,) = document
    assert set(found.attrib) == SUITE
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", found.attrib["timestamp"])
    assert [child.tag for child in found if child.tag != "testcase"] == ["properties", "system-out", "system-err"]
    cases = found.findall("testcase")
    assert found[0].tag == "properties"
    assert found[1 : len(cases) + 1] == cases  # properties, then all cases, then the outputs
    assert int(found.attrib["tests"]) == len(cases)
    assert int(found.attrib["failures"]) == len(found.findall("testcase/failure"))
    assert int(found.attrib["errors"]) == len(found.findall("testcase/error"))
    float(found.attrib["time"])
    for case in cases:
        assert set(case.attrib) == {"name", "classname", "time"}
        assert len(case) <= 1
        assert {child.tag for child in case} <= CASE_CHILDREN - {"skipped"}
        assert all(child.attrib["type"] and child.attrib["message"] for child in case)
    return found


def outcomes(text: str) -> dict[str, str]:
    """Test case -> "ok", "failure" or "error"."""
    return {case.attrib["name"]: case[0].tag if len(case) else "ok" for case in suite(text).findall("testcase")}


def test_junit_says_each_state_and_skips_nothing() -> None:
    """Broken is a failure, inconclusive and invalid are errors, kept is green; one case each, one for the run."""
    assert outcomes(junit.render(made.verdict(), made.findings(), made.full())) == {
        "AC-US1-01: API response time <100ms (P95)": "failure",
        "AC-US1-03: Cache hit rate >80%": "error",
        "AC-US1-08: APM monitoring enabled": "ok",
        "AC-US1-07: Database queries indexed": "failure",
        "AC-US1-04: Handle 10K requests/sec": "error",
        junit.RUN_CASE: "ok",
    }


def test_junit_puts_clauses_of_one_criterion_into_one_case() -> None:
    """A criterion holds when each of its clauses holds."""
    kept, broken = made.judgement(State.KEPT), made.judgement(State.BROKEN)
    found = outcomes(junit.render(made.verdict(kept, broken), (), made.full()))
    assert list(found.values()) == ["failure", "ok"]


@pytest.mark.parametrize("state", [State.INVALID, State.INCONCLUSIVE, State.BROKEN])
def test_junit_is_never_green_when_the_verdict_is_not(state: State) -> None:
    """A verdict that is bad for a reason no criterion carries is an error of the run itself."""
    found = outcomes(junit.render(made.verdict(made.judgement(State.KEPT), state=state), (), made.full()))
    assert found[junit.RUN_CASE] == "error"


@pytest.mark.parametrize("state", list(State))
def test_junit_of_nothing_judged_is_an_error(state: State) -> None:
    """Zero criteria is no pass."""
    found = outcomes(junit.render(made.verdict(state=state, judgements=()), (), made.full()))
    assert found == {junit.RUN_CASE: "error"}


def test_junit_survives_hostile_texts_and_odd_times() -> None:
    """Control characters, ]]> and a lone surrogate leave well-formed XML; a damaged time is no crash."""
    evidence, verdict, findings = made.hostile()
    text = junit.render(verdict, findings, evidence)
    found = suite(text)
    text.encode()
    assert "<script>" not in text
    assert "<script>" in (found.findtext("testcase/failure") or "")  # as text


def test_json_is_strict_and_says_what_is_open() -> None:
    """No NaN, no Infinity; an open bound is null with a flag, and every judgement is there in base units."""
    open_ended = made.judgement(State.INCONCLUSIVE, high=math.inf, measured=math.inf)
    text = as_json.render(made.verdict(open_ended, made.judgement(State.BROKEN)), made.findings(), made.full())
    assert not re.search(r"\b(NaN|Infinity)\b", text)
    told = json.loads(text)
    first, second = told["judgements"]
    assert (first["measured"], first["measured_open"]) == (None, True)
    assert (first["high"], first["high_open"]) == (None, True)
    assert (second["low"], second["high"], second["clause"]["limit"]) == (198e6, 231e6, 100e6)
    assert told["exit_code"] == 3
    assert told["state"] == "broken"
    assert second["explanation"] == made.EXPLANATION


def test_json_counts_what_the_run_counted() -> None:
    """Requests and failures of each phase and route are those of the evidence."""
    (phase,) = json.loads(as_json.render(made.verdict(), (), made.full()))["evidence"]["phases"]
    assert phase["planned"] == phase["sent"] == 12_000
    assert phase["failures"] == {"unexpected status": 36, "timeout": 40}
    whole = phase["routes"][0]
    assert (whole["good"], whole["failed"]) == (12_000 - 76, 76)
    assert whole["response_ns"]["p99.9"] is None  # 76 of 12,000 failed: P99.9 is among them


def test_json_survives_runs_without_anything() -> None:
    """Only the load, and it answered nothing."""
    told = json.loads(as_json.render(made.verdict(), (), made.bare()))
    assert told["evidence"]["phases"][0]["routes"][0]["response_max_ns"] is None


def rendered(text: str) -> str:
    """The comment as HTML, by a CommonMark parser with GitHub's tables."""
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def test_markdown_is_one_table_with_the_explanations_below() -> None:
    """Every criterion is one row of seven cells; broken ones are explained; the rest folds away."""
    text = rendered(markdown.render(made.verdict(), made.findings(), made.full()))
    assert text.count("<tr>") == 6
    assert text.count("<td") == 5 * 7
    assert "P95 &lt; 100 ms" in text
    assert made.EXPLANATION in text
    assert "<details>" in text
    assert "Exit code 3: a promise is broken." in text


def test_markdown_renders_hostile_texts_as_text() -> None:
    """No tag, no link, no extra cell, no heading, no mention and no issue number comes out of outside text."""
    evidence, verdict, findings = made.hostile()
    source = markdown.render(verdict, findings, evidence)
    text = rendered(source)
    tags = set(re.findall(r"<(\w+)", text))
    assert tags <= {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "ul", "li", "details", "summary"}
    assert text.count("<td") == 7
    assert "octocat" in text
    assert "@octocat" not in text
    assert "#12" not in text
    assert not re.search(r"http://|www\.", source)
    assert "\x1b" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_markdown_keeps_to_the_limit_of_a_comment_and_says_what_it_left_out() -> None:
    """A thousand notes do not lose the verdict."""
    verdict = made.verdict(notes=tuple(f"note {number} " + "x" * 300 for number in range(1000)))
    text = markdown.render(verdict, (), made.full())
    assert len(text) <= 65_536
    assert "Left out for length" in text
    assert text.rstrip().endswith("</details>")


def test_markdown_with_hundreds_of_criteria_keeps_to_the_limit() -> None:
    """Even the table is cut, and the cut is said, before GitHub refuses the comment."""
    many = [made.judgement(State.BROKEN, f"AC-{number}") for number in range(900)]
    text = markdown.render(made.verdict(*many), (), made.full())
    assert len(text) <= 65_536
    assert "of 900 criteria; the JSON output" in text
