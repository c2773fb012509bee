"""The load's two files, read back: a fold over their lines, phase by phase."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.conventions import HIT_LOG, LOAD_LOG
from headway.errors import BundleDamaged
from headway.load import histogram
from headway.load.log import decoded
from headway.load.recorder import DETAILS
from headway.model import FailureCells, FailureKind, GeneratorHealth, LatencyCells, PhaseHits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.model import Phase

    IntArray = NDArray[np.int64]

_TAG = re.compile(r"Tag=p(\d+)\.r(\d+)\.(\w+),([\d.]+),[\d.]+,[\d.]+,(\S+)$")
_KINDS = [kind.name for kind in FailureKind]
ERROR_SAMPLES = 5
OF_THE_START = ("calibrated_per_s", "calibrated_at_s", "floor_p50_ns", "floor_p99_ns", "start_skew_ns")
"""What the phase's first line says of the generator's health."""

Line = dict[str, Any]


def read(folder: Path, phases: Sequence[Phase], routes: tuple[str, ...]) -> tuple[PhaseHits, ...]:
    """
    What the load of each phase measured.

    Args:
        folder: the run's.
        phases: as the run was asked for; those that never began are left out.
        routes: the run's route names; cells index into them.

    Raises:
        BundleDamaged: a line in the middle cannot be read. A last line cut short by a kill is passed over.
    """
    lines = list(_load_lines(folder / LOAD_LOG))
    began = {line["phase"]: line for line in lines if line["kind"] == "start"}
    cells = _cells(folder / HIT_LOG, began)
    return tuple(
        _phase(phase, began[number], [line for line in lines if line["phase"] == number], cells[number])
        for number, phase in enumerate(phases)
        if number in began and began[number]["workers"]
    )


def _lines(file: Path) -> Iterator[tuple[int, str, bool]]:
    """(number, text, whether a failure to read it is forgiven as the cut-off end)."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise BundleDamaged(f"cannot read {file.name}: {exc.strerror}", next_act="run again", file=file) from exc
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if line:
            yield number, line, number == len(lines)


def _load_lines(file: Path) -> Iterator[Line]:
    for number, text, forgiven in _lines(file):
        try:
            line = json.loads(text)
            line["kind"], line["phase"]
        except (ValueError, KeyError, TypeError) as exc:
            if forgiven:
                return
            raise BundleDamaged("not a line of the load log", next_act="run again", file=file, line=number) from exc
        yield line


Cells = dict[str, list[tuple[int, int, "IntArray", "IntArray"]]]


def _cells(file: Path, began: dict[int, Line]) -> dict[int, Cells]:
    """phase -> measure -> (second, route, buckets, counts) of each line."""
    found: dict[int, Cells] = defaultdict(lambda: defaultdict(list))
    for number, text, forgiven in _lines(file):
        if text.startswith(("#", '"')):
            continue
        try:
            phase, measure, line = _cell_line(text, began)
        except Exception as exc:  # the codec raises many kinds
            if forgiven:
                break
            raise BundleDamaged("not a line of the hit log", next_act="run again", file=file, line=number) from exc
        found[phase][measure].append(line)
    return found


def _cell_line(text: str, began: dict[int, Line]) -> tuple[int, str, tuple[int, int, IntArray, IntArray]]:
    tag = _TAG.match(text)
    if tag is None:
        raise ValueError(text[:40])
    phase = int(tag[1])
    second = round(float(tag[4]) - began[phase]["offset_s"])
    buckets, counts = (np.array(each, dtype=np.int64) for each in decoded(tag[5]))
    return phase, tag[3], (second, int(tag[2]), buckets, counts)


def _latency_cells(lines: list[tuple[int, int, IntArray, IntArray]]) -> LatencyCells:
    empty = [np.zeros(0, dtype=np.int64)]
    return LatencyCells(
        second=np.concatenate([np.full(len(buckets), second) for second, _, buckets, _ in lines] or empty),
        route=np.concatenate([np.full(len(buckets), route) for _, route, buckets, _ in lines] or empty),
        bucket=np.concatenate([buckets for _, _, buckets, _ in lines] or empty),
        count=np.concatenate([counts for _, _, _, counts in lines] or empty),
    )


def _phase(phase: Phase, start: Line, lines: list[Line], cells: Cells) -> PhaseHits:
    seconds = [line for line in lines if line["kind"] == "second"]
    end = next((line for line in lines if line["kind"] == "end"), None)
    last = max((line["second"] for line in seconds), default=-1) + 1
    if phase.iterations and last > 1:
        last -= 1  # they ended within it, so that it is no whole second; what came in it counts all the same
    length = min(last, phase.whole_seconds) if seconds else 0
    response, service = (_latency_cells(cells[measure]) for measure in ("response", "service"))
    statuses: Counter[int] = Counter()
    for line in seconds:
        statuses.update({int(status): n for status, n in line["statuses"].items()})
    return PhaseHits(
        phase=phase,
        seconds=length,
        planned=_per_second(seconds, "planned", length),
        sent=_per_second(seconds, "sent", length),
        good=_good(response, service, seconds, length),
        response=response,
        service=service,
        failures=_failures(seconds),
        statuses=dict(statuses),
        received_bytes=sum(line["received_bytes"] for line in seconds),
        health=_health(phase, start, seconds, lines),
        started_at_s=start["started_at_s"],
        finished=bool(end and end["finished"]) and not _iterations_left(seconds),
        error_samples=_samples(lines),
        details={measure: _latency_cells(cells[measure]) for measure in DETAILS if measure in cells},
        journeys_ended=sum(line.get("journeys_ended", 0) for line in seconds),
    )  # fmt: skip


def _samples(lines: list[Line]) -> tuple[str, ...]:
    """Why workers were lost, then the first failures' words."""
    lost = [f"worker {line['worker']} was lost: {line['why']}" for line in lines if line["kind"] == "lost"]
    said = [text for line in lines if line["kind"] == "second" for text in line["errors"]]
    return tuple(dict.fromkeys(lost + said))[:ERROR_SAMPLES]


def _iterations_left(lines: list[Line]) -> int:
    """Starts that no worker had made when it told its last second."""
    last = {line["worker"]: line for line in lines}
    return sum(line.get("iterations_left", 0) for line in last.values())


def _good(response: LatencyCells, service: LatencyCells, lines: list[Line], length: int) -> IntArray:
    """(length,) good answers by second of completion. An imported run may have no response times, or none at all."""
    cells = response if len(response.count) else service
    if not len(cells.count):
        return _per_second(lines, "good", length)
    measured = cells.second < length
    return np.bincount(cells.second[measured], weights=cells.count[measured], minlength=length).astype(np.int64)


def _per_second(lines: list[Line], name: str, length: int) -> IntArray:
    """(length,) sums over the workers; what came after the end counts in the last second."""
    found = np.zeros(length, dtype=np.int64)
    for line in lines:
        found[min(line["second"], length - 1)] += line[name]
    return found


def _failures(lines: list[Line]) -> FailureCells:
    rows = [(line["second"], route, _KINDS.index(kind), n) for line in lines for route, kind, n in line["failures"]]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return FailureCells(second=table[:, 0], route=table[:, 1], kind=table[:, 2], count=table[:, 3])


def _health(phase: Phase, start: Line, seconds: list[Line], lines: list[Line]) -> GeneratorHealth:
    workers, measured = start["workers"], [line for line in seconds if line["second"] < phase.whole_seconds]
    late = [_merged(measured, "lateness", worker) for worker in range(workers)]
    lag = [_merged(measured, "loop_lag", worker) for worker in range(workers)]
    cpu = [
        float(np.mean([line["cpu_ratio"] for line in measured if line["worker"] == worker] or [0]))
        for worker in range(workers)
    ]
    wanted = [
        used + float(np.mean([line.get("cpu_wait_ratio", 0.0) for line in measured if line["worker"] == worker] or [0]))
        for worker, used in enumerate(cpu)
    ]
    by_second: dict[str, Counter[int]] = {"connections": Counter(), "backlog": Counter()}
    for line in seconds:
        for name, counter in by_second.items():
            counter[line["second"]] += line[name]
    lost = {line["worker"] for line in lines if line["kind"] == "lost"}
    return GeneratorHealth(
        lateness_p50_ns=_worst(late, 0.50),
        lateness_p99_ns=_worst(late, 0.99),
        lateness_max_ns=_worst(late, 1.0),
        loop_lag_p99_ns=_worst(lag, 0.99),
        loop_lag_max_ns=_worst(lag, 1.0),
        cpu_ratio=max(cpu) if measured else None,
        cpu_wanted_ratio=max(wanted) if measured else None,
        workers=workers,
        connections_peak=max(by_second["connections"].values(), default=0),
        backlog_peak=max(by_second["backlog"].values(), default=0),
        workers_lost=max(len(lost), *(line["workers_lost"] for line in lines if line["kind"] == "end"), 0),
        losses=tuple(f"worker {line['worker']}: {line['why']}" for line in lines if line["kind"] == "lost"),
        workers_tolerated=start.get("workers_tolerated", 0),
        load_lost_ratio=_load_lost(phase, measured, workers, lost),
        **_taken(seconds, [line for line in lines if line["kind"] == "host"]),
        **{name: start.get(name) for name in OF_THE_START},
    )


def _taken(seconds: list[Line], hosts: list[Line]) -> Line:
    """Files of the worker, and ports of the machine, nearest to their limit; the most time stolen."""
    files = _nearest(seconds, "files")
    ports = _nearest(hosts, "ports")
    stolen = {line["worker"]: line["steal_ratio"] for line in hosts}  # since the start: each machine's last one counts
    return {
        "files_peak": files and files["files"], "files_allowed": files and files["files_allowed"],
        "ports_peak": ports and ports["ports"], "ports_allowed": ports and ports["ports_allowed"],
        "steal_ratio": max((each for each in stolen.values() if each is not None), default=None),
    }  # fmt: skip


def _nearest(lines: list[Line], name: str) -> Line | None:
    limited = [line for line in lines if line.get(name) is not None and line.get(f"{name}_allowed")]
    return max(limited, key=lambda line: float(line[name] / line[f"{name}_allowed"]), default=None)


def _load_lost(phase: Phase, measured: list[Line], workers: int, lost: set[int]) -> float:
    """The share that lost workers did not make: in each second that one did not tell, as much as the others' mean."""
    planned: dict[int, dict[int, int]] = defaultdict(dict)
    for line in measured:
        planned[line["second"]][line["worker"]] = line["planned"]
    missing = made = 0.0
    for second in range(phase.whole_seconds if lost else 0):
        told = planned[second]
        made += sum(told.values())
        missing += len(lost - told.keys()) * (sum(told.values()) / len(told) if told else 0.0)
    return missing / (missing + made) if missing else 0.0


def _merged(lines: list[Line], name: str, worker: int) -> IntArray:
    counts = np.zeros(histogram.BUCKETS, dtype=np.int64)
    for line in lines:
        if line["worker"] == worker:
            buckets, numbers = line[name]
            np.add.at(counts, np.array(buckets, dtype=np.int64), np.array(numbers, dtype=np.int64))
    return counts


def _worst(workers: list[IntArray], q: float) -> float | None:
    return max((histogram.quantile_ns(counts, q) for counts in workers if counts.any()), default=None)
