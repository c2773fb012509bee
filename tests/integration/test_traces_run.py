"""A real service under the real OpenTelemetry SDK, loaded while its traces are received: what the run then knows."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from headway.diagnose import budget, coverage
from headway.diagnose.rules import n_plus_one
from headway.evidence import reading
from headway.evidence.collect import collect
from headway.load.drive import Stop
from headway.model import (
    Arrivals,
    BudgetPart,
    LoadModel,
    Parameter,
    Phase,
    Presence,
    Route,
    Scenario,
    Sources,
    TraceIntake,
)
from headway.report import advice, summary
from headway.report import coverage as coverage_report
from headway.servers import ports, postgres
from otlp_bodies import read
from shop import data
from shop_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence

PHASE = Phase(
    name="steady", model=LoadModel.OPEN, arrivals=Arrivals.CONSTANT, duration_s=5, warmup_s=0.5, rate_per_s=30,
    max_connections=32,
)  # fmt: skip
SCENARIO = Scenario(
    name="traced", file=None, default_phase=PHASE,
    routes=(
        Route(name="GET /users", method="GET", path="/users?limit={rows}", weight=1),
        Route(name="GET /users/{user_id}", method="GET", path="/users/{id}", weight=8),
    ),
    parameters=(
        Parameter(name="rows", distribution="uniform", low=8, high=16),
        Parameter(name="id", distribution="uniform", low=1, high=1_900),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory, postgres_server: postgres.Postgres) -> Iterator[Evidence]:
    """One run of the slow shop, started as the lab starts it: under opentelemetry-instrument, no line of it changed."""
    name, port = f"shop_{secrets.token_hex(6)}", ports.choose()
    url = postgres.create_database(postgres_server, name)
    with psycopg.connect(url, autocommit=True) as connection:
        data.load(connection, scale=0.01, say=lambda _: None)
    with serving(url, SHOP_POOL="4", SHOP_TRACES=f"http://127.0.0.1:{port}") as served:
        folder = collect(
            tmp_path_factory.mktemp("traced"), scenario=SCENARIO, phases=(PHASE,), slug="traced", workers=1,
            sources=Sources(target_url=f"http://127.0.0.1:{served.port}", traces=TraceIntake(port=port)),
            on_second=lambda _: None, stop=Stop(),
        )  # fmt: skip
    yield reading.read(folder)
    postgres.drop_database(postgres_server, name)


def test_nearly_every_request_is_seen_and_the_rest_is_said(evidence: Evidence) -> None:
    """Traces of 95% of the requests at least, with their SQL; the same figures in text, JSON and report."""
    whole, *routes = coverage.coverages(evidence)
    assert whole.ratio is not None
    assert whole.ratio >= 0.95
    assert whole.text_ratio == 1.0
    assert whole.orphans == 0
    assert [each.route for each in routes] == list(evidence.routes)
    assert sum(each.traced for each in routes) == whole.traced
    assert evidence.sources["traces"].presence is Presence.PRESENT
    assert "of shop (python" in evidence.sources["traces"].detail
    sentence = coverage_report.lines(evidence)[0]
    assert f"({whole.traced:,} of {whole.answered:,} answered)" in sentence
    assert f"SQL text in 100% of {whole.database_spans:,} database spans, pool metrics: no" in sentence
    assert sentence in summary.as_text(evidence)
    assert "SQL text in 100%" in advice.as_text((), evidence, (), None)
    assert f'"traced": {whole.traced}' in advice.as_json((), evidence, ())


def test_the_n_plus_one_is_found_in_its_spans(evidence: Evidence) -> None:
    """The page of users asks once a user: found with its route, table and batched statement, and nothing else is."""
    (found,) = n_plus_one.find(evidence)
    assert found.location.route == "GET /users"
    assert found.location.table == "posts"
    assert found.remedies[0].kind.value
    assert "FROM unnest" in found.remedies[0].act
    assert found.share_ratio > 0.3


def test_the_budget_of_the_middle_and_the_slow_adds_up(evidence: Evidence) -> None:
    """By traces, at p50 and in the slowest 5%: parts and residue are what the client measured."""
    whole = budget.budgets(evidence)[0]
    assert (whole.by, whole.route) == ("traces", None)
    assert [each.band for each in whole.bands] == ["p50", "slowest 5%"]
    for band in whole.bands:
        assert band.traced >= 5
        assert sum(each.ns for each in band.parts) + band.residue_ns == pytest.approx(band.measured_ns)
        # A server span can't be longer than what the client measured around it, by more than ranks are apart.
        assert abs(band.residue_ns) <= 0.25 * band.measured_ns
    middle, slow = ({each.part: each.ns for each in band.parts} for band in whole.bands)
    assert slow[BudgetPart.DATABASE] > 3 * middle[BudgetPart.DATABASE] > 0


def test_no_value_of_the_load_is_in_the_folder(evidence: Evidence) -> None:
    """Ids that were asked for are in no text that is kept of a span."""
    for each in read(evidence.folder):
        texts = " ".join(str(each[name]) for name in ("name", "route", "statement", "operation", "code") if each[name])
        texts = re.sub(r"\bshop_[0-9a-f]{12}\b", "", texts)  # the test's database, for which a span may be named
        assert not any(character.isdigit() for character in texts), texts


def test_the_spool_is_gone(evidence: Evidence) -> None:
    """What a run writes while it goes on is not left beside what it leaves."""
    assert not [each for each in Path(evidence.folder).iterdir() if each.name.startswith(".")]
