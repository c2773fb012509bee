"""The prove room's arithmetic and words: intervals, parameters, estimates beside truth, hostile text."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import proving
from headway.errors import BadInput, BundleDamaged
from headway.evidence import bundle
from headway.load import histogram
from headway.model import Effect, Estimate, Location, LoggedPlan, Price, Proof, ProofState, RemedyKind
from headway.prove import foretold, ledger, prediction, record, room, service, values
from headway.prove.definition import IndexDefinition
from headway.prove.measure import Paired, paired
from headway.prove.prediction import predict
from headway.prove.remedies import index
from headway.prove.remedies.index import Built
from headway.prove.trial import Case, Ran, Turns
from headway.prove.writes import WritePrice
from headway.report import proofs as shown
from headway.report import proofs_page
from made import report_run
from made.report_run import NASTY


def proof(**fields: object) -> Proof:
    """An index that made a statement ten times as fast."""
    finding = proving.finding("user_id")
    effect = Effect(
        metric="mean of SELECT", unit="ns", before=5e6, before_low=4e6, before_high=6e6, after=5e5, after_low=4e5,
        after_high=6e5, samples=60, decides=True,
    )  # fmt: skip
    cost = replace(
        effect, metric="planner cost of SELECT", unit="planner cost units", before=900, after=9, decides=False
    )
    made = Proof(
        fingerprint=finding.fingerprint, rule=finding.rule, remedy=finding.remedies[0], state=ProofState.WORTH_IT,
        reason="5 ms → 500 µs", effects=(effect, cost), where="a copy", at="2026-01-01T00:00:00+00:00",
        prices=(Price(what="size", unit="bytes", before=None, after=4096.0),),
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]  # the caller names fields of Proof


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 5.0), st.integers(6, 12), st.integers(1, 8), st.integers(0, 1_000))
def test_a_saving_that_is_there_is_found_and_one_that_is_not_is_not_claimed(
    ratio: float, rounds: int, sets: int, seed: int
) -> None:
    """The interval holds what was measured, in order, and a change past the noise lies wholly on its side of zero."""
    random = np.random.default_rng(seed)
    without = random.lognormal(0, 0.02, (rounds, sets)) * 1e6
    found = Paired(without=without, with_=random.lognormal(0, 0.02, (rounds, sets)) * 1e6 * ratio)
    low, measured, high = found.saving()
    assert low <= measured <= high
    if ratio < 0.8:
        assert low > 0
    if ratio > 1.25:
        assert high < 0
    effect = found.effect("x", "ns")
    assert effect.before_low <= effect.before <= effect.before_high


def test_intervals_of_no_difference_hold_zero_as_often_as_they_say() -> None:
    """Of 200 pairs without a difference at least 93% have zero inside: the interval errs on the wide side."""
    random = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        moods = random.lognormal(0, 0.2, (8, 1))
        kinds = random.lognormal(0, 0.5, (1, 6))
        sides = [moods * kinds * random.lognormal(0, 0.1, (8, 6)) for _ in range(2)]
        low, _, high = Paired(without=sides[0], with_=sides[1]).saving()
        held += low <= 0 <= high
    assert held >= 186


@pytest.mark.parametrize(
    ("pay_ms", "expected"),
    [((-9.0, -4.0, 0.0), "worth it"), ((0.0, 1.0, 30.0), "worth it"), ((-20.0, -4.0, 500.0), "could not be proven"),
     ((0.0, 60.0, 500.0), "could not be proven"), ((100.0, 200.0, 300.0), "not worth it")],
)  # fmt: skip
def test_what_writes_may_pay_at_most_decides_whether_an_index_is_proven(
    tmp_path: Path, pay_ms: tuple[float, float, float], expected: str
) -> None:
    """A statement saves 1 ms in each of 100 calls; a price that noise has widened, or made negative, is no proof."""
    said = proving.statement("1", proving.READ, calls=100)
    definition = IndexDefinition(schema="public", table="posts", name="ix", method="btree", keys=("user_id",))

    def rounds(ms: float) -> list[list[Ran]]:
        return [[Ran(ns=ms * 1e6, cost=1, indexes=frozenset({"ix"}), rows=1)]] * 6

    turns = Turns(case=Case(statement=said, sets=(("1", "2"),), write=False), without=rounds(1.1), with_=rounds(0.1))
    built = Built(definition=definition, seconds=1.0, size_bytes=1)
    price = WritePrice(prices=(), extra_ns=(1e6 * pay_ms[0], 1e6 * pay_ms[1], 1e6 * pay_ms[2]), notes=())
    grounds = proving.grounds(proving.evidence(tmp_path, said), None, tmp_path)
    assert index.judged([turns], [], built, price, grounds)[0].value == expected


def test_rounds_that_do_not_match_are_refused() -> None:
    """A side that lacks a round is a fault, not a shorter average."""
    with pytest.raises(ValueError, match="must match"):
        paired([[1.0], [2.0]], [[1.0]])


COLUMNS = {"posts": ("id", "user_id", "title", "created_at"), "users": ("id", "email", "name")}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SELECT * FROM posts WHERE user_id = $1 LIMIT $2 OFFSET $3", {1: "column", 2: "limit", 3: "offset"}),
        ("SELECT * FROM posts p JOIN users u ON u.id = p.user_id WHERE u.email = $1", {1: "column"}),
        ("SELECT * FROM posts WHERE user_id = ANY($1)", {1: "array"}),
        ("SELECT * FROM posts WHERE user_id IN ($1,$2)", {1: "column", 2: "column"}),
        ("SELECT * FROM users WHERE lower(email) = lower($1) AND name ILIKE $2", {1: "column", 2: "like"}),
        ("SELECT * FROM posts WHERE created_at BETWEEN $1 AND $2", {1: "column", 2: "column"}),
        ("INSERT INTO posts (user_id,title) VALUES ($1,$2)", {1: "column", 2: "column"}),
        ("UPDATE posts SET title = $1 WHERE id = $2", {1: "set", 2: "column"}),
        ("DELETE FROM posts WHERE id = $1", {1: "column"}),
    ],
)
def test_a_parameter_is_told_by_where_it_stands(text: str, wanted: dict[int, str]) -> None:
    """Each gets its role; a new value of an UPDATE is another row's, as the same one would touch no index."""
    found = values.slots(values.parsed(text), COLUMNS)
    assert {number: slot.role for number, slot in found.items()} == wanted


@pytest.mark.parametrize(
    "text",
    ["SELECT 1; DROP TABLE posts", "DROP TABLE posts", "SELECT dblink('x', 'y')", "COPY posts TO PROGRAM 'x'", "(((",
     "", "SELECT pg_terminate_backend(1)", "SELECT $2", "SELECT * FROM posts WHERE nothing = $1"],
)  # fmt: skip
def test_what_is_not_one_statement_on_tables_is_refused(text: str) -> None:
    """Several statements, DDL, functions that reach out and parameters without a meaning give a reason."""
    with pytest.raises(values.NoValues):
        values.slots(values.parsed(text), COLUMNS)


def test_values_that_were_logged_are_used_where_they_fit() -> None:
    """Sets with a value for each parameter; those of a statement that has constants of its own besides are not."""
    text = "SELECT * FROM posts WHERE user_id = $1 AND title = $2"
    sets = (("3", "a"), ("3", "a"), ("4", None), ("5",), ("6", "b", "c"))
    logged = LoggedPlan(statement_id="1", seen=5, slowest_ns=1.0, plan=None, values=sets)
    statement = replace(proving.statement("1", text), logged=logged)
    assert values.real(statement, values.parsed(text)) == [("3", "a"), ("4", None)]
    assert values.real(proving.statement("1", text), values.parsed(text)) == []
    assert values.real(statement, values.parsed("SELECT 1 FROM posts")) == []


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader_of_statements(text: str) -> None:
    """Any text is a tree or a reason."""
    try:
        values.slots(values.parsed(text), COLUMNS)
    except values.NoValues:
        return


def test_the_ledger_tells_how_often_the_sign_was_right_and_by_how_much_it_was_off(tmp_path: Path) -> None:
    """Planner cost said a hundredfold, measured was tenfold: sign right, off by ten. A wrong one counts."""
    wrong = proof(
        state=ProofState.NOT_WORTH_IT,
        effects=(replace(proof().effects[0], after=5.1e6), proof().effects[1]),
    )
    unproven = proof(state=ProofState.UNPROVEN, effects=())
    record.note(tmp_path, ledger.entries("run", [proof(), wrong, unproven]))
    estimate = Estimate(metric="mean", before=10.0, after=1.0, unit="ns", by="spans")
    guessed = proof(remedy=replace(proof().remedy, estimate=estimate))
    record.note(tmp_path, ledger.entries("run", [guessed]))
    rows = {each.by: each for each in ledger.rows(record.noted(tmp_path))}
    planner = rows["planner cost"]
    assert (planner.proofs, planner.decided, planner.signs_right) == (3, 3, 2)
    assert planner.error == pytest.approx(10.0)
    assert rows["spans"].error == pytest.approx(1.0)
    assert "2 of 3" in shown.ledger_text(list(rows.values()))
    assert shown.ledger_text([]).startswith("the ledger is empty")


def test_a_ledger_line_that_a_kill_cut_short_is_passed_over_and_a_damaged_one_named(tmp_path: Path) -> None:
    """What was whole stays readable; damage in the middle has its line."""
    record.note(tmp_path, ledger.entries("run", [proof()]))
    file = tmp_path / ".headway/ledger.jsonl"
    whole = file.read_text()
    file.write_text(whole + '{"kind": "pro')
    assert len(record.noted(tmp_path)) == 1
    file.write_text('{"kind": "pro\n' + whole)
    with pytest.raises(BundleDamaged, match=r"ledger\.jsonl:1"):
        record.noted(tmp_path)


def test_proofs_come_back_as_they_were_and_newer_ones_replace_older(tmp_path: Path) -> None:
    """A proof on disk is the proof; proving the same remedy again leaves one."""
    record.write(tmp_path, [proof()], [])
    record.write(tmp_path, record.merged(tmp_path, [proof(reason="again"), proof(fingerprint="other")]), [])
    assert [each.reason for each in record.read(tmp_path)] == ["again", "5 ms → 500 µs"]
    assert record.read(tmp_path)[1] == proof(fingerprint="other")
    record.write(tmp_path, [proof(applied=True)], [])
    assert record.merged(tmp_path, [proof(state=ProofState.NOT_WORTH_IT)]) == (proof(applied=True),)
    bundle.put_json(tmp_path / "proofs.json", {"format": 1, "proofs": [{"rule": 1}]})
    with pytest.raises(BundleDamaged):
        record.read(tmp_path)


def test_a_prediction_takes_off_what_the_proof_saved_and_is_compared_with_the_next_run(tmp_path: Path) -> None:
    """Nine tenths of what the statement takes of a request come off its P95; the next run's line has both figures."""
    folder = tmp_path / ".headway/runs/1"
    folder.mkdir(parents=True)
    run = replace(proving.evidence(folder, proving.statement("1", proving.READ)), folder=folder)
    finding = replace(proving.finding("user_id"), cost_ns=None, location=Location(statement_id="1"))
    found = predict(run, [finding], [proof(applied=True)])
    whole = next(each for each in found if each.route is None)
    assert 0 < whole.predicted_ns < whole.before_ns
    assert whole.low_ns <= whole.predicted_ns <= whole.high_ns
    assert predict(run, [finding], [proof(state=ProofState.NOT_WORTH_IT)]) == ()
    record.write(folder, [proof(applied=True)], found)
    later = replace(run, folder=folder.with_name("2"), id="2")
    (note, *_) = foretold.notes(later)
    assert "with remedy 1 of run 1, predicted P95" in note
    assert "measured" in note
    foretold.keep(later)
    foretold.keep(later)
    kinds = [each["kind"] for each in record.noted(tmp_path)]
    assert kinds.count("prediction") == len(found)
    record.write(folder, [proof()], found)
    assert "not known to be in place" in foretold.notes(later)[0]


def test_a_prediction_from_means_claims_no_more_than_means_say(tmp_path: Path) -> None:
    """Which requests had the statement isn't known: the interval holds P95 unchanged, and all saved at P95."""
    run = proving.evidence(tmp_path, proving.statement("1", proving.READ))
    finding = replace(proving.finding("user_id"), cost_ns=None, location=Location(statement_id="1"))
    whole = next(each for each in predict(run, [finding], [proof()]) if each.route is None)
    assert whole.by == prediction.STATEMENTS
    assert whole.low_ns < whole.predicted_ns < whole.before_ns <= whole.high_ns


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=60), st.floats(0, 1), st.integers(0, 10**6),
)  # fmt: skip
def test_no_way_to_save_so_much_makes_a_lower_p95(times_ms: list[int], share: float, seed: int) -> None:
    """However a saving is shared out among the requests, none getting more than its own time, P95 stays above it."""
    times = np.array(times_ms, dtype=np.float64) * 1e6
    counts = np.bincount(histogram.bucket_of(times.astype(np.int64)), minlength=histogram.BUCKETS)
    saved = share * float(times.mean())
    least = prediction.least_ns(counts, saved)
    left, budget = times.copy(), saved * len(times)
    for place in np.random.default_rng(seed).permutation(len(times)):
        cut = min(left[place], budget)
        left[place], budget = left[place] - cut, budget - cut
    rank = math.ceil(0.95 * len(times)) - 1
    assert least <= np.sort(left)[rank] + 1


def test_hostile_text_in_proofs_reaches_no_terminal_and_no_browser() -> None:
    """Titles, statements and notes from outside are shown, never obeyed."""
    nasty = proof(
        reason=NASTY, where=NASTY, notes=(NASTY,), effects=(replace(proof().effects[0], metric=NASTY),),
        prices=(Price(what=NASTY, unit=NASTY, before=None, after=1.0),),
        remedy=replace(proof().remedy, title=NASTY, act=NASTY,
                       estimate=Estimate(metric=NASTY, before=1.0, after=2.0, unit=NASTY, by=NASTY)),
    )  # fmt: skip
    text = shown.as_text([nasty])
    assert not any(each in text for each in ("\x1b", "\x00", "\u202e"))
    page = proofs_page.page(report_run.full(), [nasty], [])
    assert "<script" not in page
    assert "<img" not in page
    assert json.loads(shown.as_json([nasty]))["proofs"][0]["reason"] == NASTY
    task = room.Task(number=1, finding=replace(proving.finding("user_id"), line=NASTY), remedy=nasty.remedy)
    assert "\x1b" not in shown.tasks_text([task], "nothing was tried")


def test_a_service_command_says_where_to_listen_and_which_database_to_use() -> None:
    """Environment before the program, both places named; what lacks one is refused with an example."""
    made = service.command("DATABASE_URL={database_url} uvicorn app:app --port {port}")
    assert made.environment == {"DATABASE_URL": "{database_url}"}
    assert made.words[-1] == "{port}"
    for wrong in ("uvicorn app:app --port {port}", "A={database_url} {port}'", "A={database_url} B={port}"):
        with pytest.raises(BadInput):
            service.command(wrong)


def test_every_kind_has_a_proof_or_is_told() -> None:
    """A remedy nothing can try is told as such, not counted as proven."""
    finding = proving.finding("user_id")
    code = replace(finding.remedies[0], kind=RemedyKind.CODE)
    assert not room.Task(number=1, finding=finding, remedy=code).provable
    assert room.Task(number=1, finding=finding, remedy=finding.remedies[0]).provable
