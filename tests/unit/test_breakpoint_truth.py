"""The breakpoint of a queue whose P95 is known in closed form, as search, gate and intervals find it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from headway import breakpoint as told
from headway.gate.bounds import Bounds, requests_needed
from headway.gate.breakpoint import Found, Search, Stopped, Try, promise_of
from headway.gate.ladder import Probe
from headway.load.histogram import bucket_of
from headway.model import LatencyCells, PhaseHits, Subject
from made.judged import PHASE, SCENARIO, clause, made_evidence, made_hits, made_promise

SERVED_PER_S = 2000.0
LIMIT_MS = 5.0
TRUE_PER_S = SERVED_PER_S - math.log(20) / (LIMIT_MS / 1000)
"""M/M/1: the time in the system is exponential with mean 1 / (served - offered), so its P95 is ln 20 times that."""
WARMUP_S = 2.0


def queue(wanted: Try, rng: np.random.Generator) -> PhaseHits:
    """One server, exponential service, Poisson arrivals: Lindley's recursion, the warm-up left out."""
    n = int((wanted.duration_s + WARMUP_S) * wanted.rate_per_s * 1.2) + 100
    at_s = np.cumsum(rng.exponential(1 / wanted.rate_per_s, n))
    serving = rng.exponential(1 / SERVED_PER_S, n)
    # A request leaves when all service since the last idle moment is done: max over k of at[k] + service k..now.
    served = np.cumsum(serving)
    leaves_s = served + np.maximum.accumulate(at_s - np.concatenate([[0.0], served[:-1]]))
    counted = (at_s >= WARMUP_S) & (at_s < WARMUP_S + wanted.duration_s)
    second = np.minimum((leaves_s[counted] - WARMUP_S).astype(np.int64), int(wanted.duration_s) - 1)
    bucket = bucket_of(((leaves_s - at_s)[counted] * 1e9).astype(np.int64))
    cells = LatencyCells(
        second=second, route=np.zeros_like(second), bucket=bucket, count=np.ones_like(second)
    )  # fmt: skip
    per_second = np.bincount(second, minlength=int(wanted.duration_s))
    phase = replace(PHASE, rate_per_s=wanted.rate_per_s, duration_s=wanted.duration_s)
    return replace(
        made_hits([[]] * int(wanted.duration_s), phase=phase), planned=per_second, sent=per_second, good=per_second,
        response=cells, service=cells,
    )  # fmt: skip


def searched(seed: int) -> Found:
    """A search on that queue, each try judged by the gate as a real one is."""
    rng = np.random.default_rng(seed)
    held = promise_of(made_promise(clause(Subject.LATENCY, LIMIT_MS)))
    search = Search(
        Bounds(
            start_per_s=200, most_per_s=20_000, duration_s=20, needed=requests_needed(held, SCENARIO), within_ratio=0.1,
            overhead_s=WARMUP_S,
        )
    )  # fmt: skip
    tries = search.tries()
    wanted = next(tries, None)
    while wanted is not None:
        hits = queue(wanted, rng)
        verdict = told.verdict_at(held, made_evidence(hits), (), hits)
        probe = Probe(
            rate_per_s=wanted.rate_per_s, duration_s=wanted.duration_s, state=verdict.state,
            took_s=wanted.duration_s + WARMUP_S,
        )  # fmt: skip
        try:
            wanted = tries.send(probe)
        except StopIteration:
            wanted = None
    return search.found()


def test_a_search_never_names_a_rate_on_the_wrong_side_of_the_truth_and_mostly_closes_in_on_it() -> None:
    found = [searched(seed) for seed in range(12)]
    for each in found:
        assert each.holds_per_s is not None
        assert each.breaks_per_s is not None
        assert each.holds_per_s < TRUE_PER_S < each.breaks_per_s
        assert each.stopped in {Stopped.SERVICE, Stopped.UNSURE}
        assert sum(probe.took_s for probe in each.probes) < 600
    closed_in = [each for each in found if each.breaks_per_s / each.holds_per_s < 1.1]  # type: ignore[operator]
    assert len(closed_in) >= 9
