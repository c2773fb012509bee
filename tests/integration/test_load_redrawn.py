"""What a run sent can be drawn again from its seeds: held to the requests a real server received."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from headway.errors import BadInput
from headway.load import drive, hits
from headway.load.redrawn import Likeness, redrawn
from headway.model import Arrivals, Journey, LoadModel, Parameter, Phase, Route, Scenario, Step
from load_target import OK, says, target

if TYPE_CHECKING:
    from pathlib import Path

OPEN = Phase(
    name="open", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, rate_per_s=300, duration_s=1, warmup_s=0.5, seed=7
)
CLOSED = Phase(name="closed", model=LoadModel.CLOSED, users=4, duration_s=1, warmup_s=0.1)
SCENARIO = Scenario(
    name="again", file=None, default_phase=OPEN,
    routes=(
        Route(name="GET /users/{id}", method="GET", path="/users/{user_id}", weight=5),
        Route(name="PUT /users/{id}", method="PUT", path="/users/{user_id}", body='{"of": "{word}"}', weight=1),
        Route(name="GET /words", method="GET", path="/words?of={word}&nr={number}", weight=2),
        Route(name="GET /cart", method="GET", path="/cart/{user_id}", weight=0),
    ),
    journeys=(Journey(name="visit", weight=1, steps=(Step(route=3), Step(route=0))),),
    parameters=(
        Parameter(name="user_id", distribution="zipf", low=1, high=1000, exponent=1.1),
        Parameter(name="word", distribution="values", values=("a", "b c", "d")),
        Parameter(name="number", distribution="uniform", low=1, high=9),
    ),
)  # fmt: skip


def sent(folder: Path, phases: tuple[Phase, ...], scenario: Scenario = SCENARIO) -> Counter[bytes]:
    """First lines of the requests that a server received."""
    with target(says(OK)) as server:
        drive.drive(
            scenario, phases, server.url, folder, workers=2, on_second=lambda _progress: None,
            on_measure_start=lambda _phase: None, on_measure_end=lambda _phase: None, stop=drive.Stop(),
        )  # fmt: skip
        # The server reads heads alone: a body stands before the next head.
        lines = [head.split(b"\r\n", 1)[0].rpartition(b"}")[2] for head in server.asked]
    return Counter(line for line in lines if not line.startswith(b"GET /headway") and b" / " not in line)


def test_an_open_phase_s_requests_are_drawn_again_to_the_last(tmp_path: Path) -> None:
    """Two workers, Poisson, journeys, bodies: first lines drawn again are those the server saw, each as often."""
    seen = sent(tmp_path, (OPEN,))
    phases = hits.read(tmp_path, (OPEN,), tuple(each.name for each in SCENARIO.routes))
    again = redrawn(tmp_path, SCENARIO, phases, 0)
    lines = Counter(again.requests[each].split(b"\r\n", 1)[0] for each in again.request.tolist())
    assert sum(seen.values()) > 400
    assert lines == seen
    assert again.at_ns.min() < 0 < again.at_ns.max()


def test_without_journeys_the_likeness_is_exact(tmp_path: Path) -> None:
    """What was planned second by second is what is drawn again, and is said to be the very requests."""
    single = Scenario(
        name="one", file=None, default_phase=OPEN, routes=SCENARIO.routes[:3], parameters=SCENARIO.parameters
    )
    sent(tmp_path, (OPEN,), single)
    phases = hits.read(tmp_path, (OPEN,), tuple(each.name for each in single.routes))
    again = redrawn(tmp_path, single, phases, 0)
    assert (again.likeness, again.why) == (Likeness.EXACT, "")


def test_a_closed_phase_is_drawn_by_the_same_law_and_says_so(tmp_path: Path) -> None:
    """Of a closed phase it is known how many and by what law; that they are not the very requests is said."""
    seen = sent(tmp_path, (CLOSED,))
    phases = hits.read(tmp_path, (CLOSED,), tuple(each.name for each in SCENARIO.routes))
    again = redrawn(tmp_path, SCENARIO, phases, 0)
    assert again.likeness is Likeness.SAME_LAW
    assert "not written down" in again.why
    assert sum(seen.values()) == pytest.approx(len(again.request), rel=0.25)


def test_a_list_that_is_gone_is_stood_in_for_by_places(tmp_path: Path) -> None:
    """Values of a file that is no longer there: which place was drawn is known, and so how often each was."""
    file = tmp_path / "ids.csv"
    file.write_text("id\n" + "\n".join(f"u{each}" for each in range(50)) + "\n")
    scenario = Scenario(
        name="file", file=None, default_phase=OPEN,
        routes=(Route(name="GET /u/{id}", method="GET", path="/u/{id}"),),
        parameters=(Parameter(name="id", distribution="csv", csv_file=file, exponent=1.2),),
    )  # fmt: skip
    seen = sent(tmp_path, (OPEN,), scenario)
    file.unlink()
    phases = hits.read(tmp_path, (OPEN,), ("GET /u/{id}",))
    again = redrawn(tmp_path, scenario, phases, 0)
    assert sorted(Counter(again.request.tolist()).values()) == sorted(seen.values())
    assert "id stand for" in again.why


def test_values_of_a_query_whose_number_nobody_knows_are_refused(tmp_path: Path) -> None:
    """A run of an older Headway did not write down how many values a query gave: one clear error."""
    sent(tmp_path, (OPEN,))
    log = tmp_path / "load.jsonl"
    log.write_text(log.read_text().replace('"values"', '"other"'))
    scenario = Scenario(
        name="query", file=None, default_phase=OPEN, routes=SCENARIO.routes[:1],
        parameters=(Parameter(name="user_id", distribution="query", query="SELECT 1"),),
    )  # fmt: skip
    phases = hits.read(tmp_path, (OPEN,), ("GET /users/{id}", "a", "b", "c"))
    with pytest.raises(BadInput, match="user_id"):
        redrawn(tmp_path, scenario, phases, 0)
