"""
Findings as SARIF 2.1.0, for code scanning: one result each, where it is in the repository when that is known.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0, sections 3.13 to 3.27; 3.35 suppressions.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from headway import __version__
from headway.diagnose import catalogue
from headway.model import Confidence
from headway.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Evidence, Finding
    from headway.report.advice import Ranked

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ERROR_RATIO = 0.25
"""Share of what it is of from which a finding is an error and not a warning."""
LONGEST = 1000
"""Characters of one line in a message, and of a name: statements may be of any length, files read by others not."""
_CODE = re.compile(r"(?P<file>[^:\s][^:]*):(?P<line>\d+)(?: in .*)?$")


def render(ranked: Sequence[Ranked], evidence: Evidence) -> str:
    """One run of SARIF; findings that were accepted are there, suppressed."""
    rules = sorted({each.finding.rule for each in ranked})
    run = {
        "tool": {"driver": {
            "name": "Headway", "version": __version__, "rules": [_rule(rule) for rule in rules],
        }},
        "automationDetails": {"id": f"headway/{evidence.id}"},
        "results": [_result(each, rules.index(each.finding.rule)) for each in ranked],
        "columnKind": "unicodeCodePoints",
    }  # fmt: skip
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: str) -> dict[str, Any]:
    found: dict[str, Any] = {"id": rule, "name": _name(rule)}
    entry = next((each for each in catalogue.entries() if each.rule == rule), None)
    if entry is not None:
        found["shortDescription"] = {"text": _plain(entry.title)}
        found["help"] = {"text": _plain(f"{entry.title} {entry.advice}")}
    return found


def _result(ranked: Ranked, rule: int) -> dict[str, Any]:
    finding = ranked.finding
    text = [finding.line, *(f"For: {each}." for each in finding.reasons_for)]
    text += [f"Against: {each}." for each in finding.reasons_against]
    text += [f"Remedy: {each.title}: {each.act}" for each in finding.remedies]
    found: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": _level(finding),
        # Plain text: what comes from outside must not become a link or a heading.
        "message": {"text": "\n".join(_plain(each) for each in text)},
        "locations": [_location(finding)],
        "partialFingerprints": {"headway/v1": finding.fingerprint},
        "rank": round(100 * min(1.0, max(0.0, finding.share_ratio)), 1),
    }
    if ranked.accepted is not None:
        found["suppressions"] = [{"kind": "external", "justification": one_line(ranked.accepted.reason, LONGEST)}]
    return found


def _plain(text: str) -> str:
    """One line of a plain-text message: nothing in it is a placeholder (3.11.5) or a link (3.11.6)."""
    line = one_line(text, LONGEST).replace("\\", "\\\\")
    return re.sub(r"[\[\]]", r"\\\g<0>", line).replace("{", "{{").replace("}", "}}")


def _level(finding: Finding) -> str:
    if finding.confidence is Confidence.POSSIBLE:
        return "note"
    return "error" if finding.share_ratio >= ERROR_RATIO else "warning"


def _location(finding: Finding) -> dict[str, Any]:
    place = finding.location
    logical = [
        {"fullyQualifiedName": one_line(text, LONGEST), "kind": kind}
        for text, kind in ((place.route, "resource"), (place.table, "type"), (place.statement, "declaration"))
        if text
    ]
    found: dict[str, Any] = {"logicalLocations": logical or [{"name": finding.phase, "kind": "module"}]}
    code = _CODE.match(place.code or "")
    if code is not None and _inside(code["file"]):
        found["physicalLocation"] = {
            "artifactLocation": {"uri": quote(code["file"]), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": max(1, int(code["line"]))},
        }
    return found


def _inside(file: str) -> bool:
    """Whether a path can be one of the repository's: relative, and not out of it."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and re.fullmatch(r"[\w./@+ -]+", file) is not None


def _name(rule: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", rule))
