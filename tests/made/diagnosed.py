"""A diagnosed run made by hand: findings of each kind, one accepted, one gone, and proofs of each verdict."""

from __future__ import annotations

from dataclasses import replace

from headway.diagnose.accepted import Accepted
from headway.model import (
    Confidence,
    Effect,
    Estimate,
    Evidence,
    Finding,
    Location,
    Presence,
    Price,
    Proof,
    ProofState,
    Remedy,
    RemedyKind,
    SourceState,
    Subject,
)
from headway.prove.prediction import Prediction
from headway.report.advice import Ranked
from made import report_run

INDEX = Remedy(
    kind=RemedyKind.INDEX, title="an index of posts on (user_id, created_at)",
    act="CREATE INDEX CONCURRENTLY ON posts (user_id, created_at)",
    parameters={"table": "posts", "columns": ["user_id", "created_at"], "statement_ids": ["1"]},
    estimate=Estimate(
        metric="rows looked at a call", before=1e6, after=50, unit="rows", by="the table's statistics"
    ),
)  # fmt: skip
CACHE = Remedy(
    kind=RemedyKind.CACHE, title="cache product:{id} for 30 s", act="keep product:{id} in Valkey, SET ... EX 30"
)
POOL = Remedy(
    kind=RemedyKind.POOL, title="a pool of 8 connections", act="open 8 connections at the start and lend them"
)
UNPROVEN = Remedy(kind=RemedyKind.CODE, title="fetch the posts of all users at once", act="WHERE user_id = ANY($1)")


def accepted(said: str = "") -> Accepted:
    """One that is known."""
    return Accepted(
        fingerprint="c" * 16, rule="payload", line=said or "GET /feed answers with 2.1 MB on average",
        reason=said or "read once a month by one partner", at="2026-09-01T10:00:00+00:00",
    )  # fmt: skip


def ranked(said: str = "") -> tuple[Ranked, ...]:
    """Four findings; `said` stands in every text from outside."""
    missing = Finding(
        rule="missing-index", phase="ordinary", line=said or "no index of posts begins with (user_id, created_at): 71%"
        " of database time, 52.3 ms on average over 2,960 calls: SELECT posts.id, posts.title FROM posts WHERE"
        " posts.user_id = $1", explains=(Subject.LATENCY,), share_ratio=0.71, share_of="database time",
        fingerprint="a" * 16, details=(said or "52.3 ms: SELECT posts.id",), confidence=Confidence.LIKELY, cost_ns=61e6,
        location=Location(statement_id="1", statement=said or report_run.SLOW_SQL, table=said or "posts",
                          route=said or "GET /users-with-posts"),
        reasons_for=(said or "its conditions leave about 50 of 1,000,000 rows", "the plan reads the table whole"),
        reasons_against=(said or "the table is written 1,204 times for 2,960 of these reads",),
        remedies=(INDEX if not said else replace(INDEX, title=said, act=said), UNPROVEN),
    )  # fmt: skip
    read = replace(
        missing, rule="cacheable-reads", line=said or "GET /products/{id} asks for 92% of its rows again within 30 s",
        fingerprint="b" * 16, cost_ns=4e6, remedies=(CACHE,), location=Location(route="GET /products/{id}"), details=(),
        reasons_against=("an answer may be 30 s old",),
    )  # fmt: skip
    busy = replace(
        missing, rule="saturated-host", line=said or "the machine was busy: 97% of its processor time", remedies=(),
        fingerprint="d" * 16, cost_ns=None, weight_ratio=0.02, location=Location(), confidence=Confidence.CERTAIN,
        reasons_for=(), reasons_against=(), details=(), share_of="processor time",
    )  # fmt: skip
    known = accepted(said)
    payload = replace(busy, rule=known.rule, line=known.line, fingerprint=known.fingerprint, share_ratio=0.01)
    return (
        Ranked(number=1, finding=missing, budget_ratio=0.61, also=("users-100",)),
        Ranked(number=2, finding=read, budget_ratio=0.04),
        Ranked(number=3, finding=busy),
        Ranked(number=4, finding=payload, accepted=known),
    )


def proofs(said: str = "") -> tuple[Proof, ...]:
    """One of each verdict, and one of a finding that is not there."""
    effect = Effect(
        metric=said or "SELECT posts.id, posts.title FROM posts WHERE posts.user_id = $1", unit="ns", before=52.3e6,
        before_low=50.1e6, before_high=54.9e6, after=0.21e6, after_low=0.19e6, after_high=0.24e6, samples=72,
    )  # fmt: skip
    worth = Proof(
        fingerprint="a" * 16, rule="missing-index",
        remedy=INDEX if not said else replace(INDEX, title=said, act=said), state=ProofState.WORTH_IT,
        reason=said or "99.5% less time a statement, and 1,204 writes pay 0.3% of what 2,960 reads save",
        where=said or "a copy of the database", at="2026-09-21T13:20:00+00:00", effects=(effect,),
        prices=(Price(what="disk", unit="bytes", before=None, after=41e6),),
        notes=(said or "values were taken from the table's own rows",), applied=True,
    )  # fmt: skip
    cache = replace(
        worth, fingerprint="b" * 16, rule="cacheable-reads", remedy=CACHE, state=ProofState.NOT_WORTH_IT,
        reason="41% of the replayed reads were hits; a miss costs more than it saves", effects=(), prices=(), notes=(),
        applied=False,
    )  # fmt: skip
    pool = replace(
        cache, fingerprint="e" * 16, remedy=POOL, state=ProofState.UNPROVEN, reason="no place to try it", where="",
    )  # fmt: skip
    return worth, cache, pool


def prediction() -> Prediction:
    """What the index should make of the slow route."""
    return Prediction(
        route="GET /users-with-posts", phase="ordinary", scenario="shop", load="200 req/s, Poisson arrivals",
        remedies=("a" * 16,), titles=(INDEX.title,), before_ns=212e6, predicted_ns=41e6, low_ns=36e6, high_ns=47e6,
        by="the proven saving taken off each request",
    )  # fmt: skip


def evidence(said: str = "") -> Evidence:
    """The run: whole, or with what could not be seen."""
    made = report_run.hostile()[0] if said else report_run.full()
    missing = {
        "edge": SourceState(
            name="edge", presence=Presence.ABSENT, detail="not named", next_act="name it with --edge-log"
        ),
        "cache": SourceState(name="cache", presence=Presence.FAILED, detail=said or "lost during the run: timed out"),
    }  # fmt: skip
    return replace(made, sources={**made.sources, **missing})
