"""The page of findings: each with its reasons, remedies and proofs; what is accepted or not seen is said."""

from __future__ import annotations

import re

from headway.model import Presence
from headway.report import advice_page
from made import diagnosed
from made.judged import made_evidence
from made.report_run import NASTY
from page_reader import Reader


def page(said: str = "") -> str:
    """The hand-made run's."""
    return advice_page.page(
        diagnosed.ranked(said), diagnosed.evidence(said), (diagnosed.accepted(said),), diagnosed.proofs(said),
        (diagnosed.prediction(),),
    )  # fmt: skip


def test_every_finding_is_there_with_its_place_reasons_remedy_and_proof() -> None:
    """In their order; what was estimated says so, what nothing can try says so, and a proof stands by its remedy."""
    text = Reader(page()).text
    parts = re.split(r"(?= \d\. (?:no index|GET|the machine))", text)
    assert [each.split()[0] for each in parts[1:]] == ["1.", "2.", "3.", "4."]
    first, second, third = parts[1:4]
    for said in (
        "61% of what the promise allows one", "GET /users-with-posts", "phase ordinary, users-100",
        "+ its conditions leave about 50 of 1,000,000 rows", "− the table is written 1,204 times",
        "CREATE INDEX CONCURRENTLY ON posts (user_id, created_at)", "Estimated, not measured: rows looked at a call",
        "✓ worth it: an index of posts", "52.3 ms (50.1 ms to 54.9 ms)", "39.1 MiB", "Told, not proven",
    ):  # fmt: skip
        assert said in first, said
    assert "✗ not worth it: cache product:{id} for 30 s" in second
    assert "headway prove" not in first + second  # each that can be proven was
    assert "It names no remedy." in third


def test_what_is_accepted_gone_predicted_or_not_seen_is_said() -> None:
    """With the reason; a proof whose finding is no longer there is not lost."""
    text = Reader(page()).text
    assert f"3 findings, 1 accepted, 2 of {len(diagnosed.evidence().sources)} sources not seen" in text
    assert "accepted: read once a month by one partner (2026-09-01)" in text
    assert "no longer there: GET /feed answers with 2.1 MB" in text
    assert "predicted P95 of GET /users-with-posts 41.0 ms (36.0 ms to 47.0 ms), it was 212 ms" in text
    assert "? could not be proven: a pool of 8 connections" in text.partition("Other proofs of findings")[2]
    assert "cache lost during the run: timed out" in text
    assert "edge not named; name it with --edge-log" in text


def test_a_run_that_saw_nothing_claims_nothing() -> None:
    """No finding, and each source that was not seen with what would show it."""
    evidence = made_evidence()
    text = Reader(advice_page.page((), evidence, (), (), ())).text
    assert "no findings, 9 of 9 sources not seen" in text
    assert "Nothing was found that was not accepted, in what could be seen." in text
    assert all(each.presence is not Presence.PRESENT and name in text for name, each in evidence.sources.items())


def test_nothing_from_outside_becomes_markup() -> None:
    """Hostile words in every place are shown, not obeyed: no tag or address that is not the page's own."""
    for reader in (Reader(page()), Reader(page(NASTY))):
        assert not {"script", "img", "iframe", "link", "form"} & reader.tags
        addresses = [value for name, value in reader.attributes if name in {"href", "src"}]
        assert addresses
        assert all(re.fullmatch(r"#[a-z0-9-]+", each) for each in addresses)
    assert "alert(1)" in Reader(page(NASTY)).text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", page(NASTY))
