"""
The verdict as JUnit XML, as Jenkins, GitLab and most CI servers read it.

One test case a criterion, and one for the run itself. Broken is a failure; inconclusive and invalid are errors; nothing
is ever skipped, as a skipped test reads as green. Order of elements and attributes follow the Ant/Jenkins schema:
properties, test cases, system-out, system-err.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from headway.model import State
from headway.report.rows import Row, by_criterion, rows, verdict_line, worst
from headway.report.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Evidence, Finding, Judgement, Verdict

RUN_CASE = "the run itself can be judged"


def render(verdict: Verdict, findings: Sequence[Finding], evidence: Evidence) -> str:
    """The whole document, UTF-8, with an XML declaration. `time` of a case is 0: criteria share their phases' time."""
    cases = [_criterion_case(verdict, group) for group in by_criterion(verdict)]
    cases.append(_run_case(verdict))
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": one_line(f"headway {verdict.promise_id}"),
            "package": "headway",
            "id": "0",
            "timestamp": _timestamp(evidence.started_at),
            "hostname": "localhost",
            "tests": str(len(cases)),
            "failures": str(sum(case.find("failure") is not None for case in cases)),
            "errors": str(sum(case.find("error") is not None for case in cases)),
            "time": _seconds(evidence),
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(verdict, evidence):
        ElementTree.SubElement(properties, "property", {"name": name, "value": one_line(value)})
    suite.extend(cases)
    found = "\n".join(one_line(f"{each.phase}: {each.line}") for each in findings)
    ElementTree.SubElement(suite, "system-out").text = visible(verdict_line(verdict) + ("\n" + found if found else ""))
    ElementTree.SubElement(suite, "system-err").text = "\n".join(one_line(each) for each in verdict.notes)
    document = ElementTree.Element("testsuites")
    document.append(suite)
    ElementTree.indent(document)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(document, encoding="unicode") + "\n"


def _criterion_case(verdict: Verdict, group: Sequence[Judgement]) -> ElementTree.Element:
    state = worst(group)
    case = _case(verdict, f"{group[0].criterion}: {group[0].text}")
    if state is not State.KEPT:
        table = rows(group)
        first = next(row for row in table if row.state is state)
        message = f"{state.value}: {first.limit}, measured {first.measured} ({first.interval}); {first.reason}"
        _bad(case, state, message, "\n\n".join(_told(row) for row in table))
    return case


def _run_case(verdict: Verdict) -> ElementTree.Element:
    """Red when the verdict is bad for a reason no criterion carries: an invalid phase, or nothing judged at all."""
    case = _case(verdict, RUN_CASE)
    judged = worst(verdict.judgements)
    unsaid = verdict.state is not State.KEPT and judged is State.KEPT
    if verdict.invalid_phases or unsaid or not verdict.judgements:
        state = State.INCONCLUSIVE if verdict.state is State.KEPT else verdict.state
        why = "\n".join(one_line(f"phase {phase}: {reason}") for phase, reason in verdict.invalid_phases.items())
        if not verdict.judgements:
            why = why or "no criterion was judged"
        line = verdict_line(verdict)
        # A failure is a criterion's; what keeps a run from being judged is an error.
        _bad(case, State.INVALID if state is State.BROKEN else state, line, why or line)
    return case


def _case(verdict: Verdict, name: str) -> ElementTree.Element:
    return ElementTree.Element(
        "testcase", {"name": one_line(name), "classname": one_line(f"headway.{verdict.promise_id}"), "time": "0"}
    )


def _bad(case: ElementTree.Element, state: State, message: str, text: str) -> None:
    kind = "failure" if state is State.BROKEN else "error"
    ElementTree.SubElement(case, kind, {"message": one_line(message), "type": state.value}).text = text


def _told(row: Row) -> str:
    lines = [
        f"{row.state.value}: {row.limit}; measured {row.measured}, 95% interval {row.interval}, samples {row.samples}",
        f"source: {row.source}" if row.source else "",
        f"load: {row.load}" if row.load else "",
        *row.remarks,
        row.where,
    ]
    return "\n".join(line for line in lines if line)


def _properties(verdict: Verdict, evidence: Evidence) -> tuple[tuple[str, str], ...]:
    return (
        ("headway.run", verdict.run_id),
        ("headway.promise", verdict.promise_title),
        ("headway.state", verdict.state.value),
        ("headway.exit_code", str(int(verdict.exit_code))),
        ("headway.target", evidence.target_url),
        ("headway.version", evidence.headway_version),
    )


def _timestamp(started_at: str) -> str:
    """The schema's dateTime has no zone and no fraction; the time is UTC."""
    try:
        return datetime.fromisoformat(started_at).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return "1970-01-01T00:00:00"


def _seconds(evidence: Evidence) -> str:
    try:
        begun, ended = (datetime.fromisoformat(each or "") for each in (evidence.started_at, evidence.finished_at))
        return f"{max(0.0, (ended - begun).total_seconds()):.3f}"
    except (ValueError, TypeError):
        return "0"
