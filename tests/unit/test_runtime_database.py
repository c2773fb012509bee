"""Routing without servers: positions, tokens, lag, the choice of a server, pool sizes."""

from __future__ import annotations

import math
import random
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.runtime.database import Settings, advise, lsn, sizing, token
from headway.runtime.database.desk import Desk, Elsewhere, Run
from headway.runtime.database.fleet import Fleet, Pick, Reason, Server, Sight
from headway.runtime.database.history import History
from headway.runtime.database.ledger import EDGES_S, Ledger, calling_line
from headway.runtime.database.session import Sessions
from headway.runtime.database.wire import Marks

SECRET = b"a secret of the service"
POSITIONS = st.integers(0, 2**64 - 1)


@given(POSITIONS)
def test_a_position_survives_its_text(position: int) -> None:
    """What PostgreSQL writes is read back as the same number, and is ordered as numbers are."""
    assert lsn.parse(lsn.write(position)) == position


@pytest.mark.parametrize("text", ["", "0", "0/", "/0", "0/1/2", "G/0", "123456789/0", " 0/1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    """A text that PostgreSQL would not write raises."""
    with pytest.raises(ValueError, match="no position"):
        lsn.parse(text)


def test_behind_a_page_header_the_last_record_ended_with_the_page_before() -> None:
    """Waiting for the position behind a header would wait for a record that nobody has written yet."""
    assert lsn.record_end(7 * 8192 + 24, 2**24) == 7 * 8192
    assert lsn.record_end(7 * 8192 + 32, 2**24) == 7 * 8192 + 32
    assert lsn.record_end(3 * 2**24 + 40, 2**24) == 3 * 2**24
    assert lsn.record_end(3 * 2**24 + 40, 2**26) == 3 * 2**24 + 40  # of larger segments no first page
    assert lsn.record_end(3 * 2**24 + 40, None) == 3 * 2**24 + 40


@given(POSITIONS, st.sampled_from([None, SECRET]))
def test_a_token_comes_back_as_the_position_it_was_made_of(position: int, secret: bytes | None) -> None:
    """Signed or plain, on the cluster it was made for; on another it asks for nothing."""
    sealed = token.seal(position, "0123abcd", secret)
    assert len(sealed) <= token.LONGEST
    assert token.unseal(sealed, "0123abcd", secret) == position
    assert token.unseal(sealed, "ffffffff", secret) == 0


@settings(max_examples=40)
@given(st.text(max_size=80) | st.from_regex(token.SHAPE, fullmatch=True), st.sampled_from([None, "0123abcd"]))
def test_a_hostile_token_asks_for_nothing_when_tokens_are_signed(text: str, cluster: str | None) -> None:
    """Whatever a client sends that we did not sign is ignored, without an error."""
    assert token.unseal(text, cluster, SECRET) == 0


@given(POSITIONS, st.integers(0, 31))
def test_a_token_altered_by_one_digit_is_ignored(position: int, place: int) -> None:
    """A signature holds the position: none can be moved on."""
    sealed = token.seal(position, "0123abcd", SECRET)
    at = len(sealed) - 32 + place
    other = "0" if sealed[at] != "0" else "1"
    assert token.unseal(sealed[:at] + other + sealed[at + 1 :], "0123abcd", SECRET) == 0


@given(
    st.lists(st.tuples(st.floats(0.01, 1.0), st.integers(0, 1000)), min_size=2, max_size=40),
    st.floats(0, 30),
)
def test_lag_in_seconds_lies_between_its_bounds(steps: list[tuple[float, int]], behind_s: float) -> None:
    """A replica that replays the log `behind_s` late is behind by between `least` and `most`."""
    history, at_s, position = History(keep_s=1e9), 0.0, 1
    log = []
    for wait_s, written in steps:
        at_s, position = at_s + wait_s, position + written
        history.add(at_s, position)
        log.append((at_s, position))
    replayed = max((p for t, p in log if t <= at_s - behind_s), default=0)
    lag = history.lag(replayed, at_s)
    missing_since_s = next((at_s - t for t, p in log if p > replayed), 0.0)
    assert lag.least <= missing_since_s + 1e-9
    assert lag.most >= min(missing_since_s, behind_s) - 1e-9
    assert (lag.most == math.inf) == (replayed < log[0][1])


def test_a_primary_that_is_silent_makes_no_replica_late() -> None:
    """While the primary is down its replicas are what still answers: their lag is as of when it was last seen."""
    history = History(keep_s=100)
    history.add(0.0, 10)
    history.add(1.0, 20)
    assert history.lag(20, 60.0).most == 0
    assert history.lag(10, 60.0).most == 1.0


def test_a_primary_whose_log_went_back_begins_a_new_history() -> None:
    """After a failover that lost the log's end, old positions say nothing of the new primary's times."""
    history = History(keep_s=100)
    history.add(0.0, 100)
    history.add(1.0, 50)
    assert history.last == 50
    assert history.lag(60, 1.0).most == 0


def sight(position: int, *, recovering: bool = True, cluster: str = "c", at_s: float = 0.0) -> Sight:
    """A look at a server."""
    return Sight(
        recovering=recovering, position=position, start="s", cluster=cluster, segment_bytes=2**24, asked_at_s=at_s,
        at_s=at_s,
    )  # fmt: skip


def fleet_of(*replicas: Sight | None, primary: int = 100) -> Fleet:
    """A fleet whose replicas were seen so; None is one that was not."""
    made = Fleet(
        Server("primary", is_primary=True),
        [Server(f"replica{number}", is_primary=False) for number in range(len(replicas))],
        Settings(),
    )
    made.saw(made.primary, sight(0, recovering=False, at_s=-4.0))
    made.saw(made.primary, sight(primary, recovering=False, at_s=0.1))
    for server, seen in zip(made.replicas, replicas, strict=True):
        if seen is not None:
            made.saw(server, seen)
    return made


@given(
    st.lists(st.none() | st.builds(sight, st.integers(0, 120), recovering=st.booleans()), max_size=5),
    st.integers(0, 150),
    st.lists(st.integers(0, 4), max_size=20),
)
def test_a_read_never_goes_where_its_write_is_not(seen: list[Sight | None], needed: int, busy: list[int]) -> None:
    """
    Whatever is known of the servers: a replica that is chosen has replayed what is needed or is asked again first, is a
    standby, and no other such replica has fewer connections out. With none, it is the primary.
    """
    made = fleet_of(*seen)
    for number in busy:
        if number < len(made.replicas):
            made.replicas[number].outstanding += 1
    pick = made.pick(needed=needed, now_s=0.5, tried=set())
    able = [each for each in made.replicas if each.sight and each.sight.recovering and each.position <= 100]
    ready = [each for each in able if each.position >= needed]
    if ready:
        assert pick.server in ready
        assert not pick.wait
        assert pick.server.outstanding - 1 == min(each.outstanding - (each is pick.server) for each in ready)
    else:
        assert pick.server.is_primary or (pick.wait and pick.server in able)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (None, "not seen"),
        (sight(100, recovering=False), "promoted"),
        (sight(100, cluster="other"), "another cluster"),
        (sight(100, at_s=-100.0), "not looked at lately"),
        (sight(-1), "not known yet"),
    ],
)
def test_a_replica_that_is_unfit_gets_no_read_and_the_reason_is_said(seen: Sight | None, why: str) -> None:
    """The primary answers, and `standings` names what is wrong with the replica."""
    made = fleet_of(seen)
    assert made.pick(needed=0, now_s=0.5, tried=set()).reason is Reason.NO_REPLICA
    assert why in str(made.standings(0.5)[1].unfit)


def test_a_replica_too_far_behind_is_ejected() -> None:
    """More than max_lag_s behind: no reads, whatever they need."""
    made = fleet_of(sight(100))
    made.saw(made.primary, sight(200, recovering=False, at_s=1.0))
    made.saw(made.primary, sight(300, recovering=False, at_s=9.0))
    made.saw(made.replicas[0], sight(100, at_s=9.1))
    assert made.pick(needed=0, now_s=9.1, tried=set()).server.is_primary
    assert made.standings(9.1)[1].unfit == "8.9 s behind"


def test_after_a_wait_in_vain_nobody_waits_for_that_replica_for_a_while() -> None:
    """A replica that lags by more than the patience must not cost every read its patience."""
    made = fleet_of(sight(99), primary=100)
    assert made.pick(needed=101, now_s=0.1, tried=set()).wait
    made.waited_in_vain(made.replicas[0], 0.1)
    assert made.pick(needed=101, now_s=0.2, tried=set()).server.is_primary
    assert made.pick(needed=101, now_s=1.2, tried=set()).wait


def test_a_primary_scope_leaves_its_write_to_the_session_around_it() -> None:
    """What is written inside `primary()` is seen by reads after it too."""
    sessions = Sessions()
    with sessions.scope() as outer:
        with sessions.primary():
            assert sessions.current().on_primary
            sessions.current().committed(7)
        assert not sessions.current().on_primary
        assert (outer.needed, outer.wrote) == (7, True)


def test_erlang_c_is_what_the_books_have() -> None:
    """One server: its load. Two servers with one Erlang: a third. Ten with eight: 0.409."""
    assert sizing.waiting_ratio(0.5, 1) == pytest.approx(0.5)
    assert sizing.waiting_ratio(1.0, 2) == pytest.approx(1 / 3)
    assert sizing.waiting_ratio(8.0, 10) == pytest.approx(0.4092, abs=1e-4)
    assert sizing.waiting_ratio(3.0, 3) == 1.0


def test_a_pool_of_the_advised_size_makes_few_wait_in_a_simulation() -> None:
    """Random arrivals on that many connections: about one in a hundred waits; on half of them many do."""
    draw = random.Random(7)

    def share_that_waits(size: int) -> float:
        free_at_s, now_s, waited = [0.0] * size, 0.0, 0
        for _ in range(20_000):
            now_s += draw.expovariate(200.0)
            first = min(range(size), key=free_at_s.__getitem__)
            waited += free_at_s[first] > now_s
            free_at_s[first] = max(now_s, free_at_s[first]) + draw.expovariate(1 / 0.02)
        return waited / 20_000

    size = next(n for n in range(1, 50) if sizing.waiting_ratio(4.0, n) <= 0.01)
    assert share_that_waits(size) < 0.02
    assert share_that_waits(size // 2) > 0.2


def used(times: int, seconds: float) -> Ledger:
    """A book with so many uses."""
    ledger = Ledger("db:5432")
    now_s = time.monotonic()
    for number in range(times):
        ledger.asked()
        ledger.took(number, "app.py:1 in view", now_s, now_s)
        ledger.gave_back(number, now_s + seconds, broken=False)
    return ledger


def test_advice_needs_something_to_go_by() -> None:
    """A pool that was hardly used gets no number."""
    state = used(5, 0.01).state(most=10, opened=1, now_s=time.monotonic() + 10)
    assert advise(state, processes=4, max_connections=100).size is None


def test_advice_says_what_speaks_against_it() -> None:
    """2,000 uses of 100 ms in 10 s: 20 busy at the mean, 40 at the peak, too many for the server and its cores."""
    state = used(2000, 0.1).state(most=10, opened=10, now_s=time.monotonic() + 10)
    advice = advise(state, processes=4, max_connections=100, database_cores=4)
    assert advice.size is not None
    assert 40 < advice.size < 70
    assert len(advice.warnings) == 2


def test_the_book_names_who_holds_and_counts_to_the_edge() -> None:
    """A use of exactly an edge's length counts up to that edge; a holder is named by the line that took it."""
    ledger = used(1, 0.0)
    ledger.asked()
    line = calling_line()
    ledger.took("connection", line, 0.0, EDGES_S[3])
    state = ledger.state(most=1, opened=1, now_s=EDGES_S[3] + 2)
    assert state.waits.counts[3] == 1
    assert "test_runtime_database.py" in state.holders[0].line
    assert "in test_the_book_names_who_holds" in state.holders[0].line
    assert state.holders[0].held_s == pytest.approx(2)


@pytest.mark.parametrize(("answer", "goes_on"), [("success", True), ("timeout", False), ("not in recovery", False)])
def test_on_postgresql_19_the_server_itself_waits(answer: str, goes_on: bool) -> None:
    """One WAIT FOR LSN instead of asking again and again; only `success` lets the read happen there."""
    made = fleet_of(sight(99), primary=100)
    made.pick(needed=101, now_s=0.1, tried=set())
    desk = Desk(made, {}, Settings(catch_up_s=0.05))
    connection = SimpleNamespace(marks=Marks(start="s"), info=SimpleNamespace(server_version=190000))
    steps = desk._replayed(Pick(server=made.replicas[0], reason=Reason.WAITED, wait=True), connection, 0x1_0000_00AB)
    step = next(steps)
    assert isinstance(step, Run)
    assert "WAIT FOR LSN '1/AB' WITH (MODE 'standby_replay', TIMEOUT '50ms', NO_THROW)" in step.statement
    with pytest.raises(StopIteration if goes_on else Elsewhere):
        steps.send([(answer,)])
    assert (made.replicas[0].position >= 0x1_0000_00AB) is goes_on
