"""Visitors on their way through a real service: several steps, values and cookies of their own, pauses, ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headway.load import drive, histogram, hits
from headway.model import (
    Check,
    Extraction,
    FailureKind,
    Journey,
    LatencyCells,
    LoadModel,
    Parameter,
    Phase,
    PhaseHits,
    Route,
    Scenario,
    Stage,
    Step,
    Think,
    Wire,
)
from load_engine import run
from load_target import OK, says, target

if TYPE_CHECKING:
    from pathlib import Path

OPEN = Phase(name="open", model=LoadModel.OPEN, rate_per_s=50, duration_s=1, warmup_s=0)
QUICK = replace(OPEN, rate_per_s=100, timeout_s=2)
CLOSED = Phase(name="closed", model=LoadModel.CLOSED, users=4, duration_s=1, warmup_s=0)


def scenario(
    *routes: Route, journeys: tuple[Journey, ...] = (), wire: Wire | None = None, parameters: tuple[Parameter, ...] = ()
) -> Scenario:
    return Scenario(
        name="s", file=None, routes=routes, parameters=parameters, default_phase=OPEN, journeys=journeys,
        wire=wire or Wire(),
    )  # fmt: skip


def journey(*thinks: Think | None) -> Journey:
    """One through the first routes, in order, with these pauses."""
    return Journey(name="j", weight=1, steps=tuple(Step(route=at, think=think) for at, think in enumerate(thinks)))


def step(path: str, **facts: object) -> Route:
    return Route(name=f"GET {path}", method="GET", path=path, weight=0, **facts)  # type: ignore[arg-type]


def driven(folder: Path, url: str, phase: Phase, made: Scenario, *, workers: int = 1) -> PhaseHits:
    drive.drive(
        made, (phase,), url, folder, workers=workers, on_second=lambda _: None, on_measure_start=lambda _: None,
        on_measure_end=lambda _: None, stop=drive.Stop(),
    )  # fmt: skip
    (found,) = hits.read(folder, (phase,), tuple(route.name for route in made.routes))
    assert found.planned.sum() == found.response.count.sum() + found.failures.count.sum() or not found.finished
    return found


def by_route(cells: LatencyCells) -> Counter[int]:
    counted: Counter[int] = Counter()
    for route, count in zip(cells.route.tolist(), cells.count.tolist(), strict=True):
        counted[route] += count
    return counted


def kinds(found: PhaseHits) -> Counter[FailureKind]:
    every, counted = list(FailureKind), Counter[FailureKind]()
    for kind, count in zip(found.failures.kind, found.failures.count, strict=True):
        counted[every[kind]] += int(count)
    return counted


def highest_ms(cells: LatencyCells, route: int) -> float:
    chosen = cells.route == route
    only = LatencyCells(**{name: getattr(cells, name)[chosen] for name in ("second", "route", "bucket", "count")})
    return histogram.quantile_ns(histogram.fold(only), 1.0) / 1e6


class Bank:
    """A service that lets in only who has the cookie, the token and the number that it gave to that visitor."""

    def __init__(self) -> None:
        self.wrong: list[bytes] = []
        self.visitors: dict[bytes, set[bytes]] = {}  # by session: the visitors' numbers that were seen
        self._numbers = itertools.count(1)

    async def __call__(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        path = head.split(b" ")[1]
        cookie = re.search(rb"cookie: (.*)\r\n", head)
        session = re.search(rb"session=s(\d+)", cookie[1]) if cookie else None
        if path.startswith(b"/login/"):
            number = next(self._numbers)
            self.visitors[b"%d" % number] = {path.rpartition(b"/")[2]}
            body = json.dumps({"auth": {"token": f"t{number}"}}).encode()
            extra = b"Set-Cookie: session=s%d; Path=/; HttpOnly\r\nset-cookie: old=1; Max-Age=0\r\n" % number
        else:
            if b"\r\naccept: " not in head:
                writer.write(OK)  # the one that asks whether anything is there
                return
            extra, body = b"", b'{"item": "i%b"}' % (session[1] if session else b"")
            if session is None or b"authorization: Bearer t%b\r\n" % session[1] not in head:
                self.wrong.append(head)
            elif path.startswith(b"/cart/i"):
                item, _, visitor = path[7:].partition(b"?u=")
                self.visitors[session[1]].add(visitor)
                if item != session[1]:
                    self.wrong.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (extra, len(body), body))


@pytest.mark.parametrize("phase", [OPEN, CLOSED], ids=["open", "closed"])
def test_a_journey_carries_what_its_answers_gave_it(tmp_path: Path, phase: Phase) -> None:
    """Each visitor comes with the cookie, the token and the number that it, and nobody else, was given."""
    bearer = (("authorization", "Bearer {token}"),)
    made = scenario(
        replace(step("/login/{user}", extract=(Extraction(name="token", source="json", expression="$.auth.token"),)),
                method="POST"),
        step("/item", headers=bearer, extract=(Extraction(name="item", source="json", expression="$.item"),),
             checks=(Check(source="json", expression="$.item"),)),
        step("/cart/{item}?u={user}", headers=bearer),
        journeys=(journey(None, Think(low_s=0.02, high_s=0.06), None),),
        parameters=(Parameter(name="user", distribution="uniform", low=1, high=10**9),),
    )  # fmt: skip
    bank = Bank()
    with target(bank) as service:
        found = driven(tmp_path, service.url, phase, made)
    steps = by_route(found.response)
    assert bank.wrong == []
    assert not kinds(found)
    assert steps[0] >= steps[1] >= steps[2] > 30
    assert steps[0] - steps[2] <= 8, "only those cut off by the end lack a step"
    assert all(len(numbers) == 1 for numbers in bank.visitors.values()), "{user} is the same in each step of a visit"
    assert len(set.union(*bank.visitors.values())) == len(bank.visitors), "and another one in each visit"
    assert found.planned.sum() == found.sent.sum()
    assert found.journeys_ended == 0


def test_a_failed_step_ends_its_journey() -> None:
    """What comes after a failed step never falls due: not planned, not sent, and the journey is said to have ended."""

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        path = head.split(b" ")[1]
        writer.write(OK.replace(b"200 OK", b"500 Oh") if path == b"/b" else OK)

    made = scenario(step("/a"), step("/b"), step("/c"), journeys=(journey(None, None, None),))
    with target(answer) as service:
        found = run(service.url, made, QUICK)
    assert found.good == {0: 25}
    assert found.failures == {FailureKind.STATUS: 25}
    assert found.planned == found.sent == 50
    assert found.journeys_ended == 25


@pytest.mark.parametrize(
    ("route", "kind", "said"),
    [
        (step("/", checks=(Check(source="text", expression="welcome"),)), FailureKind.CHECK, "welcome"),
        (step("/", extract=(Extraction(name="x", source="header", expression="x-id"),)), FailureKind.EXTRACT, "x"),
        (step("/", checks=(Check(source="text", expression="ok"),)), None, ""),
    ],
)
def test_a_single_request_is_looked_into_as_well(route: Route, kind: FailureKind | None, said: str) -> None:
    """A route outside of journeys has its checks and extractions too; a good status alone does not make it good."""
    with target(says(OK)) as service:
        found = run(service.url, scenario(replace(route, weight=1)), QUICK)
    assert found.failures == ({} if kind is None else {kind: 25})
    assert kind is None or said in found.errors[0]
    assert found.statuses == {200: 25}
    assert found.journeys_ended == 0


def test_users_who_think_ask_as_often_as_little_says(tmp_path: Path) -> None:
    """Little's law: 8 users, 100 ms of thought and 20 ms of service make 8 / 0.12 s requests a second, no more."""
    made = scenario(step("/"), journeys=(journey(Think(low_s=0.1, high_s=0.1)),))
    with target(says(OK, wait_s=0.02)) as service:
        found = driven(tmp_path, service.url, replace(CLOSED, users=8, duration_s=2, warmup_s=0.5), made)
    assert found.good.sum() / 2 == pytest.approx(8 / 0.12, rel=0.08)
    assert 20 <= histogram.quantile_ns(histogram.fold(found.response), 0.5) / 1e6 < 25, "a pause is in no latency"
    assert found.health.connections_peak == 8


def test_pauses_have_the_shape_that_was_asked_for(tmp_path: Path) -> None:
    """Exponential pauses of mean 50 ms: 10 users make 10 / (0.05 s + service) requests a second."""
    made = scenario(step("/"), journeys=(journey(Think(low_s=0.05, high_s=0.05, exponential=True)),))
    with target(says(OK)) as service:
        found = driven(tmp_path, service.url, replace(CLOSED, users=10, duration_s=2), made)
    assert found.good.sum() / 2 == pytest.approx(10 / 0.052, rel=0.12)


def test_a_later_step_s_clock_runs_while_the_service_stalls(tmp_path: Path) -> None:
    """
    One connection, and a service that stands still for a second: the later steps that fall due meanwhile are planned in
    that second, wait as any request does, and their wait is in their response time and in no service time.
    """
    began: list[float] = []
    stalled_at: list[float] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        if b"\r\naccept: " in head:
            began.append(time.monotonic())
        if began and not stalled_at and time.monotonic() > began[0] + 1.2 and head.startswith(b"GET /a"):
            stalled_at.append(time.monotonic())
            await asyncio.sleep(1)
        writer.write(OK)

    made = scenario(step("/a"), step("/b"), journeys=(journey(Think(low_s=0.3, high_s=0.3), None),))
    with target(answer) as service:
        phase = replace(OPEN, rate_per_s=20, duration_s=3, max_connections=1)
        found = driven(tmp_path, service.url, phase, made)
    assert stalled_at
    assert 600 < highest_ms(found.response, 1) < 1100
    assert highest_ms(found.service, 1) < 100
    assert highest_ms(found.service, 0) > 990
    # In the second of the stall only those fall due whose step before it was answered before it.
    assert found.planned[1:].tolist() == pytest.approx([30, 50], abs=4), "planned when due, not when sent"
    assert not kinds(found)


def test_a_journey_under_way_at_the_end_ends_with_its_step() -> None:
    """What would fall due after the measured time isn't planned; it is neither a failure nor waited for."""
    made = scenario(step("/a"), step("/b"), journeys=(journey(Think(low_s=30, high_s=30), None),))
    with target(says(OK)) as service:
        for phase in (QUICK, replace(CLOSED, users=25)):
            found = run(service.url, made, phase)
            assert found.seconds < 2
            assert (found.good, found.planned, found.journeys_ended) == ({0: 25}, 25, 0)


def test_journeys_and_single_requests_share_the_starts_by_weight() -> None:
    """The rate counts starts: a journey of weight 1 beside a route of weight 3 is a quarter of them."""
    home = replace(step("/home"), weight=3)
    made = scenario(step("/a"), step("/b"), home, journeys=(journey(None, None),))
    assert made.requests_per_start == pytest.approx(1.25)
    with target(says(OK)) as service:
        found = run(service.url, made, replace(QUICK, rate_per_s=800), seconds=0.5)
    assert found.good[0] + found.good[2] == 400
    assert found.good[0] == found.good[1] == pytest.approx(100, abs=30)


@pytest.mark.parametrize(("each", "asked"), [(False, 97), (True, 5 * 97)], ids=["together", "each"])
def test_iterations_are_made_to_the_last_one(tmp_path: Path, *, each: bool, asked: int) -> None:
    """97 iterations of 5 users in 2 workers are 97 together or 97 each: at the service, not only in our books."""
    phase = replace(CLOSED, users=5, iterations=97, iterations_each=each, duration_s=20)
    made = scenario(step("/a"), step("/b"), journeys=(journey(None, None),))
    with target(says(OK)) as service:
        began = time.monotonic()
        found = driven(tmp_path, service.url, phase, made, workers=2)
        paths = Counter(head.split(b" ")[1] for head in service.asked)
    assert paths[b"/b"] == asked
    assert by_route(found.response) == {0: asked, 1: asked}
    assert time.monotonic() - began < 10
    assert found.finished
    assert found.seconds <= 3


def test_iterations_that_time_cut_off_are_not_finished(tmp_path: Path) -> None:
    """When the time is over before the iterations are done, the run does not claim to have finished."""
    with target(says(OK, wait_s=0.05)) as service:
        found = driven(
            tmp_path, service.url, replace(CLOSED, iterations=10_000), scenario(replace(step("/"), weight=1))
        )
    assert not found.finished
    assert found.seconds == 1


def test_users_follow_a_file(tmp_path: Path) -> None:
    """A number written into the control file while the load runs is how many users there are a second later."""
    file = tmp_path / "users"
    file.write_text("2")

    began: list[float] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        if b"\r\naccept: " in head and not began:
            began.append(time.monotonic())
        if len(began) == 1 and time.monotonic() > began[0] + 1.1:
            began.append(0)
            file.write_text("9\n")
        writer.write(OK)

    with target(answer) as service:
        phase = replace(CLOSED, users=2, duration_s=4, control_file=file)
        found = driven(tmp_path, service.url, phase, scenario(replace(step("/"), weight=1)))
    assert found.health.connections_peak == 9
    assert found.good[3] > 2.5 * found.good[0]


@pytest.mark.parametrize("phase", [QUICK, replace(CLOSED, users=3)], ids=["open", "closed"])
def test_a_visitor_whose_connection_was_closed_while_it_thought_connects_anew(phase: Phase) -> None:
    """A service that closes idle connections without a word breaks no journey: the next step takes another one."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()

    pause = Think(low_s=0.025, high_s=0.025)
    made = scenario(step("/a"), step("/b"), journeys=(journey(pause, pause),))
    with target(answer) as service:
        found = run(service.url, made, replace(phase, rate_per_s=20), seconds=0.6)
        connections = service.connections
    assert found.good[0] >= found.good[1] >= 6
    assert connections >= found.good.total() > connections - 4
    assert found.failures == {}


@pytest.mark.parametrize("phase", [QUICK, replace(CLOSED, iterations=25)], ids=["open", "closed"])
def test_a_new_connection_for_each_request_is_in_its_time(phase: Phase) -> None:
    """Without keep-alive there are as many connections as requests, each asks to close, and the user's clock runs."""
    made = scenario(replace(step("/"), weight=1), wire=Wire(keep_alive=False))
    with target(says(OK)) as service:
        found = run(service.url, made, phase, seconds=5 if phase.iterations else 0.25)
        connections, heads = service.connections, service.asked
    assert len(heads) == found.sent == found.good[0] == connections == 25
    assert all(b"\r\nconnection: close\r\n" in head for head in heads)
    assert found.quantile_ms("response", 0.5) > found.quantile_ms("service", 0.5)


def test_the_parts_of_a_request_are_timed_on_demand() -> None:
    """First byte and body are what the service made them; they are not kept when nobody asked."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.03)
        writer.write(OK[:-1])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(OK[-1:])

    plain = replace(step("/"), weight=1)
    with target(answer) as service:
        found = run(service.url, scenario(plain, wire=Wire(details=True)), QUICK)
        assert run(service.url, scenario(plain), QUICK).second.details == {}
    assert 30 <= found.quantile_ms("first_byte", 0.5) < 40
    assert 20 <= found.quantile_ms("body", 0.5) < 30
    assert sum(found.second.details["body"][0][1]) == 25
    assert "tls" not in found.second.details


def redirecting(head: bytes) -> bytes:
    """What the service below answers: /n goes to /n-1, down to /0."""
    path = head.split(b" ")[1]
    if path == b"/0":
        return OK
    where = {b"/away": b"http://example.org/", b"/home": b"/0"}.get(path) or b"/%d" % (int(path[1:]) - 1)
    status = b"307 Temporary" if b"keep" in head else b"302 Found"
    text = b"HTTP/1.1 %b\r\nlocation: %b\r\nset-cookie: at=%b\r\ncontent-length: 0\r\n\r\n"
    return text % (status, where, path[1:])


@pytest.mark.parametrize("closing", [False, True], ids=["kept alive", "closed each time"])
@pytest.mark.parametrize("model", [LoadModel.OPEN, LoadModel.CLOSED])
def test_redirects_are_followed_on_one_clock(model: LoadModel, *, closing: bool) -> None:
    """Three hops are one request: counted once, with the time of all, cookies taken on the way, POST become GET."""

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        text = redirecting(head)
        writer.write(text.replace(b"content-length", b"connection: close\r\ncontent-length") if closing else text)
        if closing:
            await writer.drain()
            writer.close()

    made = scenario(Route(name="r", method="POST", path="/3"), wire=Wire(redirects=3))
    with target(answer) as service:
        if model is LoadModel.OPEN:
            found = run(service.url, made, QUICK)
        else:
            found = run(service.url, made, replace(CLOSED, users=5, iterations=25), seconds=5)
        heads = service.asked
    assert found.good == {0: 25}
    assert found.planned == found.sent == 25
    assert found.statuses == {200: 25}
    assert 40 <= found.quantile_ms("service", 0.5) < 200
    methods = Counter((head.split(b" ")[0], head.split(b" ")[1]) for head in heads)
    assert methods == {(b"POST", b"/3"): 25, (b"GET", b"/2"): 25, (b"GET", b"/1"): 25, (b"GET", b"/0"): 25}
    assert all(b"cookie: at=1" in head for head in heads if head.startswith(b"GET /0"))


@pytest.mark.parametrize(
    ("path", "hops", "kind"),
    [("/3", 2, FailureKind.REDIRECT), ("/away", 5, FailureKind.REDIRECT), ("/3", 0, None), ("/home", 1, None)],
)
def test_a_redirect_that_is_not_followed_says_why(path: str, hops: int, kind: FailureKind | None) -> None:
    """One too many, or to another host: a failure of its own kind. None followed: an answer like any other."""

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(redirecting(head))

    made = scenario(replace(step(path), weight=1), wire=Wire(redirects=hops))
    with target(answer) as service:
        found = run(service.url, made, QUICK)
    assert found.failures == ({} if kind is None else {kind: 25})
    assert found.planned == 25


def test_an_error_nobody_foresaw_reaches_the_user_in_words(tmp_path: Path) -> None:
    """When a worker breaks, the run does not go on without it: it is lost, and its last words are kept."""
    broken = Parameter(name="x", distribution="uniform", low=5, high=1)
    made = scenario(replace(step("/{x}"), weight=1), parameters=(broken,))
    with target(says(OK)) as service:
        found = driven(tmp_path, service.url, OPEN, made)
    assert not found.finished
    assert found.health.workers_lost == 1
    assert "high <= 0" in found.error_samples[0]


def test_users_come_and_go_by_stages(tmp_path: Path) -> None:
    """Two users, then ten, then three: the rate follows, nobody is torn away from an answer, and none is left over."""
    stages = (Stage(duration_s=1, target=2), Stage(duration_s=0, target=10), Stage(duration_s=1, target=10),
              Stage(duration_s=0, target=3), Stage(duration_s=1, target=3))  # fmt: skip
    phase = replace(CLOSED, users=2, duration_s=3, stages=stages)
    with target(says(OK, wait_s=0.05)) as service:
        found = driven(tmp_path, service.url, phase, scenario(replace(step("/"), weight=1)), workers=2)
    assert not kinds(found)
    assert found.good.tolist() == pytest.approx([40, 200, 60], rel=0.25)
    assert found.health.connections_peak == 10


def test_a_user_that_thinks_leaves_at_once(tmp_path: Path) -> None:
    """Whoever is told to leave while it thinks sends nothing more; the others go on as they were."""
    stages = (Stage(duration_s=0.9, target=6), Stage(duration_s=0, target=1))
    made = scenario(step("/"), journeys=(journey(Think(low_s=0.4, high_s=0.4)),))
    with target(says(OK)) as service:
        found = driven(tmp_path, service.url, replace(CLOSED, users=6, duration_s=2, stages=stages), made)
    assert found.planned.sum() == found.good.sum() == 3 * 6 + 2  # at 0, 0.4 and 0.8 s; then one of them at 1.2 and 1.6
