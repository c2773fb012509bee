"""The shop's files that others read: SQL, alerts, the increment, the scenario, OpenAPI."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from headway.evidence import promql, rulefiles
from headway.load import scenario as scenarios
from headway.model import Subject
from headway.promises import increment
from headway.runtime.instrument import Instrumented
from shop import queries, settings
from shop.app import PROMISED_MS, create, measured

SHOP = Path(__file__).parents[2] / "examples" / "shop"
INCREMENT = SHOP / ".specweave" / "increments" / "0050-performance-optimization"
SETTINGS = settings.read({"SHOP_DATABASE_URL": "postgresql://db/shop", "SHOP_METRICS": "1"})
SQL_FILES = sorted(path.stem for path in (SHOP / "shop" / "sql").glob("*.sql"))


def openapi() -> dict[str, Any]:
    """The shop's OpenAPI document."""
    return create(SETTINGS).openapi()


@pytest.mark.parametrize("name", SQL_FILES)
def test_every_statement_says_what_it_answers(name: str) -> None:
    """Under each `-- name:` stands a comment, and then one statement."""
    text = (SHOP / "shop" / "sql" / f"{name}.sql").read_text()
    assert len(re.findall(r"^-- name: \S.*\n-- \S", text, re.MULTILINE)) == len(queries.read(name)) > 0
    assert all("--" not in statement and ";" not in statement for statement in queries.read(name).values())


def test_a_statement_named_twice_is_refused() -> None:
    """A second statement of one name would silently win."""
    with pytest.raises(ValueError, match=r"sql/x\.sql: 'a' stands twice"):
        queries.parse("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n", "x")


def test_alerts_use_only_metrics_the_shop_shows() -> None:
    """An alert on a metric that does not exist never fires: each name in an expression is in /metrics."""
    app = measured(create(SETTINGS))
    assert isinstance(app, Instrumented)
    app.metrics.tally.add("GET", "/users/{id}", 200, 0.01, 0)
    page, _ = asyncio.run(app.metrics.show(""))
    shown = set(re.findall(r"^(\w+)(?:\{| )", page.decode(), re.MULTILINE))
    rules = rulefiles.read(SHOP / "monitoring" / "alerts.yml")
    used = {name for _, expression in rules.alerts for name in promql.metric_names(expression)}
    assert used == {"http_request_duration_seconds_bucket", "http_request_duration_seconds_count", "up"}
    assert used - {"up"} <= shown


def test_the_limits_that_alerts_watch_are_edges_of_buckets() -> None:
    """histogram_quantile() guesses within a bucket: the promised 100 ms and 250 ms must be where one ends."""
    rules = rulefiles.read(SHOP / "monitoring" / "alerts.yml")
    limits = [float(text.rpartition("> ")[2]) for _, text in rules.alerts if text.startswith("histogram_quantile")]
    assert limits == [0.1, 0.25]
    assert {1e3 * limit for limit in limits} == set(PROMISED_MS)


def test_alerts_name_routes_that_exist() -> None:
    """A route in a label matcher is a route template of the shop."""
    rules = rulefiles.read(SHOP / "monitoring" / "alerts.yml")
    named = {route for _, text in rules.alerts for route in re.findall(r'\broute="([^"]+)"', text)}
    assert named == {"/users/{id}"}
    assert named <= set(openapi()["paths"])


def test_every_criterion_of_the_increment_is_understood() -> None:
    """Nine criteria, each with a clause and a priority: none would fail the gate as not understood."""
    promise = increment.read(INCREMENT)
    assert [each.id for each in promise.criteria] == [f"AC-US1-0{n}" for n in range(1, 10)]
    assert all(each.clauses and each.priority in {"P1", "P2"} for each in promise.criteria)
    subjects = {clause.subject for each in promise.criteria for clause in each.clauses}
    assert subjects == set(Subject) - {Subject.AVAILABILITY}


def test_the_plan_and_the_specification_keep_the_strict_form() -> None:
    """What SpecWeave's own validators refuse is not there: criteria in the plan, task ids in the specification."""
    plan, spec = (INCREMENT / "plan.md").read_text(), (INCREMENT / "spec.md").read_text()
    assert "Acceptance Criteria" not in plan and "- [ ]" not in plan
    assert not re.search(r"T-\d{3}", spec) and "```" not in spec
    assert {path.name for path in INCREMENT.iterdir()} == {"spec.md", "plan.md", "tasks.md", "metadata.json", "scripts"}


def test_the_scenario_asks_only_for_what_the_shop_serves() -> None:
    """Each route of the scenario is a path and method of OpenAPI: none measures 404s."""
    scenario = scenarios.read(INCREMENT / "scripts" / "scenario.toml")
    paths = openapi()["paths"]
    for route in scenario.routes:
        method, template = route.name.split()
        assert method == route.method and method.lower() in paths[template]
        fixed = [part for part in template.split("/") if not part.startswith("{")]
        asked = [part for part in route.path.partition("?")[0].split("/") if not part.startswith("{")]
        assert fixed == asked


def test_the_traffic_mostly_reads_and_asks_for_the_same_things() -> None:
    """A few percent of writes; with these exponents the ten most wanted users get 85% of the requests for users."""
    scenario = scenarios.read(INCREMENT / "scripts" / "scenario.toml")
    weights = {route.method: 0.0 for route in scenario.routes}
    for route in scenario.routes:
        weights[route.method] += route.weight
    assert sum(weights.values()) == 100
    assert weights["POST"] + weights["PUT"] == 3
    exponent = next(each.exponent for each in scenario.parameters if each.name == "user_id")
    assert exponent is not None
    shares = [rank**-exponent for rank in range(1, 100_001)]
    assert sum(shares[:10]) / sum(shares) == pytest.approx(0.85, abs=0.01)


def test_openapi_describes_every_answer() -> None:
    """Each route under /users, /products, /feed and /orders says the form of its good answer and of its refusals."""
    for path, methods in openapi()["paths"].items():
        if path.startswith(("/users", "/products", "/feed", "/orders")):
            for method, described in methods.items():
                good = "201" if method == "post" else "200"
                assert "schema" in described["responses"][good]["content"]["application/json"], (method, path)
                assert {"503", "422"} <= set(described["responses"]), (method, path)
