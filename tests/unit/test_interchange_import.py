"""Genuine results of k6, vegeta and Locust, imported and judged. tests/made/interchange/README.md says whence."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import line
from headway.errors import BadInput, HeadwayError
from headway.evidence import reading
from headway.gate.judge import judge
from headway.interchange import bundle, gob, hdr_log, k6_results, locust_results, told, vegeta_results
from headway.interchange.foreign import Foreign, Requests, Routes, kind_of
from headway.load import histogram
from headway.model import Evidence, FailureKind, Judgement, Presence, State
from headway.promises import increment

MADE = Path(__file__).parents[1] / "made/interchange"


def imported(root: Path, foreign: Foreign, **more: Any) -> Evidence:
    return reading.read(
        bundle.write(root, foreign, name="t", target_url="", accepted=more.pop("accepted", False), **more)
    )


def judged(root: Path, evidence: Evidence, *criteria: str) -> list[Judgement]:
    """The criteria, each judged on the run."""
    folder = root / "0001-t"
    folder.mkdir(exist_ok=True)
    lines = (f"- [ ] **AC-US1-{number:02}**: {text} (P1)\n" for number, text in enumerate(criteria, start=1))
    (folder / "spec.md").write_text("---\nincrement: 0001-t\n---\n" + "".join(lines))
    return list(judge(increment.read(folder), evidence, ()).judgements)


def long_run(tmp_path: Path, *, seconds: int = 30, ms: float = 10.0, dropped: int = 0) -> Foreign:
    """Twenty requests a second for a while, in k6's own form."""
    rng, text = np.random.default_rng(1), io.StringIO()
    text.write('{"type":"Metric","data":{"name":"http_reqs"},"metric":"http_reqs"}\n')
    for number in range(seconds * 20):
        at = f"2026-11-23T22:{number // 1200:02}:{number // 20 % 60:02}.{number % 20 * 50:03}Z"
        tags = {"name": "GET /a", "method": "GET", "status": "200", "expected_response": "true", "scenario": "main"}
        data = {"time": at, "value": float(rng.gamma(4, ms / 4)), "tags": tags}
        text.write(
            json.dumps({"metric": "http_req_duration", "type": "Point", "data": data}, separators=(",", ":")) + "\n"
        )
        if number < dropped:
            gone = {"metric": "dropped_iterations", "type": "Point", "data": {"time": at, "value": 1, "tags": {}}}
            text.write(json.dumps(gone, separators=(",", ":")) + "\n")
    file = tmp_path / "points.json"
    file.write_text(text.getvalue())
    return k6_results.read(file)


# -- what the tools wrote ---------------------------------------------------------------------------------


def test_vegeta_s_three_forms_say_the_same() -> None:
    """Binary, JSON and CSV of one attack come over alike, to the nanosecond, as vegeta's own report counts them."""
    forms = [vegeta_results.read(MADE / f"vegeta.{form}").requests for form in ("bin", "json", "csv")]
    report = json.loads((MADE / "vegeta.report.json").read_text())
    for requests in forms:
        assert requests is not None
        assert requests == forms[0]
        assert len(requests.route) == report["requests"]
        assert sum(requests.latency_ns) == report["latencies"]["total"]
        assert max(requests.latency_ns) == report["latencies"]["max"]
        assert {str(status): n for status, n in requests.statuses.items()} == report["status_codes"]
        assert requests.received_bytes == report["bytes_in"]["total"]


def test_vegeta_s_attack_becomes_a_run(tmp_path: Path) -> None:
    """Each request once: good with its service time, or failed with its kind; the corrected time stays unknown."""
    foreign = vegeta_results.read(MADE / "vegeta.bin", ("/users/{id}",))
    evidence = imported(tmp_path, foreign)
    assert evidence.routes == ("GET /users/{id}", "POST /orders", "GET /broken")
    (hits,) = evidence.phases
    assert hits.planned.sum() == hits.sent.sum() == 40
    assert hits.good.sum() == hits.service.count.sum() == 30
    assert len(hits.response.count) == 0
    assert list(FailureKind)[hits.failures.kind[0]] is FailureKind.STATUS
    assert hits.failures.count.sum() == 10
    assert hits.seconds == 2
    assert hits.health.cpu_ratio is None
    assert hits.health.lateness_p99_ns is None
    good = sorted(
        ns for ns, kind in zip(foreign.requests.latency_ns, foreign.requests.kind, strict=True) if kind < 0
    ) if foreign.requests else []  # fmt: skip
    assert histogram.quantile_ns(histogram.fold(hits.service), 0.5) == pytest.approx(good[14], rel=1e-3)
    assert evidence.sources["load"].presence is Presence.PRESENT
    assert evidence.sources["cache"].presence is Presence.ABSENT
    assert "uncorrected times can break a promise" in told.as_text(evidence)
    assert told.as_json(evidence)["corrected"] is False


def test_k6_s_points_become_a_run(tmp_path: Path) -> None:
    """Requests by their name tag, failures by k6's error codes, dropped iterations as planned and never sent."""
    foreign = k6_results.read(MADE / "k6.points.json")
    evidence = imported(tmp_path, foreign)
    assert evidence.routes == ("GET /users/{id}", "GET /broken", "GET /x", "dropped by k6")
    (hits,) = evidence.phases
    kinds: Counter[str] = Counter()
    for kind, n in zip(hits.failures.kind.tolist(), hits.failures.count.tolist(), strict=True):
        kinds[list(FailureKind)[kind].name] += n
    assert hits.sent.sum() == 40
    assert hits.planned.sum() == 40 + kinds["UNSENT"]
    assert kinds == {"STATUS": 5, "CONNECT": 4, "UNSENT": 30}
    assert hits.service.count.sum() == 31  # one of them ended after the last whole second
    (note,) = (each for each in foreign.notes if "checks failed" in each)
    assert note.split()[0].isdigit()
    packed = tmp_path / "points.json.gz"
    packed.write_bytes(gzip.compress((MADE / "k6.points.json").read_bytes()))
    assert k6_results.read(packed).requests == foreign.requests


@pytest.mark.parametrize("name", ["k6.export.json", "k6.handle.json", "vegeta.report.json", "shop_stats.csv"])
def test_percentiles_without_samples_decide_nothing(tmp_path: Path, name: str) -> None:
    """Whatever a summary says, far within the limit or far beyond it, the gate names the value and cannot tell."""
    tool = {"k6": k6_results, "ve": vegeta_results, "sh": locust_results}[name[:2]]
    evidence = imported(tmp_path, tool.read(MADE / name))
    within, beyond = judged(tmp_path, evidence, "API response time <10s (P95)", "API response time <1us (P95)")
    for each in (within, beyond):
        assert each.state is State.INCONCLUSIVE
        assert each.measured is not None
        assert each.low is None
        assert "without samples has no interval" in each.reason
        assert "uncorrected" in each.reason


def test_locust_s_seconds_judge_errors_and_rate_and_no_latency(tmp_path: Path) -> None:
    """Counts by second have an interval; rounded times have none; a route's failures are not guessed."""
    foreign = locust_results.read(MADE / "shop")
    evidence = imported(tmp_path, foreign)
    (hits,) = evidence.phases
    assert (hits.phase.users, hits.seconds) == (4, 11)
    errors, kept, rate, route, named = judged(
        tmp_path, evidence, "Error rate < 0.1%", "Error rate < 50%", "Handle 20 requests/sec",
        "GET /broken error rate < 1%", "GET /users/{id} P99 < 1s",
    )  # fmt: skip
    assert errors.state is State.BROKEN
    assert errors.measured == pytest.approx(165 / 780)
    assert kept.state is State.KEPT
    assert (rate.state, rate.low is not None) == (State.INCONCLUSIVE, True)
    assert "shows no times" in rate.reason
    assert route.state is State.INCONCLUSIVE
    assert named.measured == 20e6
    assert any("rounds times to two digits" in each for each in foreign.notes)


# -- what the gate makes of it ----------------------------------------------------------------------------


def test_uncorrected_times_can_break_and_never_keep_silently(tmp_path: Path) -> None:
    """Beyond the limit is broken, as the corrected time is no shorter; within it is open unless someone accepted it."""
    foreign = long_run(tmp_path)
    texts = "API response time <100ms (P95)", "API response time <2ms (P95)", "GET /a P50 < 100 ms at 20 req/s"
    kept, broken, rated = judged(tmp_path, imported(tmp_path, foreign), *texts)
    assert (kept.state, broken.state, rated.state) == (State.INCONCLUSIVE, State.BROKEN, State.INCONCLUSIVE)
    assert kept.low is not None
    for each in (kept, broken, rated):
        assert "uncorrected, from k6" in each.reason
        assert each.source.startswith("k6, ")
    assert "no shorter" in broken.reason
    kept, broken, rated = judged(tmp_path, imported(tmp_path, foreign, accepted=True), *texts)
    assert (kept.state, broken.state, rated.state) == (State.KEPT, State.BROKEN, State.KEPT)
    assert "uncorrected, from k6, accepted as such with --accept-uncorrected" in kept.reason
    assert kept.load == "20 req/s seen, sent by k6"
    (unreached,) = judged(tmp_path, imported(tmp_path, foreign, accepted=True), "P95 < 100 ms at 500 req/s")
    assert unreached.state is State.INCONCLUSIVE
    assert "no load of 500 req/s" in unreached.reason


def test_a_load_that_k6_dropped_is_invalid_even_when_accepted(tmp_path: Path) -> None:
    """People have published verdicts from runs that dropped a quarter of their load; this one says nothing."""
    evidence = imported(tmp_path, long_run(tmp_path, dropped=200), accepted=True)
    (latency,) = judged(tmp_path, evidence, "GET /a P95 < 100 ms")
    assert latency.state is State.INVALID
    assert "dropped 200" in latency.reason


def test_an_imported_run_is_judged_and_reported_like_any_other(tmp_path: Path) -> None:
    """The whole line takes it: findings, verdict, terminal and HTML, with the notes that say where it is from."""
    folder = bundle.write(tmp_path, long_run(tmp_path), name="t", target_url="http://shop", accepted=False)
    (tmp_path / "0001-t").mkdir()
    (tmp_path / "0001-t/spec.md").write_text(
        "---\nincrement: 0001-t\n---\n- [ ] **AC-US1-01**: API response time <100ms (P95) (P1)\n"
    )
    result = line.judge_run(folder, increment.read(tmp_path / "0001-t"))
    assert result.verdict.state is State.INCONCLUSIVE
    assert any(note.startswith("imported from k6") for note in result.verdict.notes)
    assert "uncorrected, from k6" in result.report.read_text()


def test_a_warm_up_is_left_out(tmp_path: Path) -> None:
    """What was sent in the first seconds is in no count; a summary has no first seconds."""
    evidence = imported(tmp_path, long_run(tmp_path), warmup_s=10.0)
    assert evidence.phases[0].sent.sum() in {399, 400, 401}
    with pytest.raises(BadInput, match="nothing was sent after"):
        imported(tmp_path, long_run(tmp_path), warmup_s=60.0)
    with pytest.raises(BadInput, match="no warm-up"):
        imported(tmp_path, k6_results.read(MADE / "k6.export.json"), warmup_s=1.0)


# -- what is not theirs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [k6_results, vegeta_results, locust_results, hdr_log])
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}", b"[1]", b"{", b"\x00\xff\x81", b"a,b\n1,2\n", b"null", b"\x1f\x8bxx"]
)
def test_other_files_are_refused_by_name(tmp_path: Path, reader: Any, content: bytes) -> None:
    """Empty, cut short, another format: one error that names the file."""
    file = tmp_path / "x_stats.csv"
    file.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        reader.read(file)
    assert refused.value.file == file
    with pytest.raises(BadInput):
        reader.read(tmp_path / "missing")


@pytest.mark.parametrize("name", ["vegeta.json", "vegeta.csv", "k6.points.json"])
def test_a_damaged_line_is_named(tmp_path: Path, name: str) -> None:
    """A line in the middle cut short is named with its number, not passed over."""
    lines = (MADE / name).read_bytes().split(b"\n")
    number = next(at for at, each in enumerate(lines) if at > 4 and (b"vegeta" in name.encode() or b"duration" in each))
    cut = lines[number].index(b',"data"') + 20 if name.startswith("k6") else len(lines[number]) // 3
    lines[number] = lines[number][:cut]
    file = tmp_path / name
    file.write_bytes(b"\n".join(lines))
    reader: Any = k6_results if name.startswith("k6") else vegeta_results
    if name.startswith("k6"):  # k6 ends its points with the metric's name: without it the line is no point at all
        file.write_bytes(
            file.read_bytes().replace(
                lines[number] + b"\n", lines[number] + b'"metric":"http_req_duration" "type":"Point"\n'
            )
        )
    with pytest.raises(BadInput) as refused:
        reader.read(file)
    assert refused.value.line == number + 1


@given(st.data())
def test_damaged_gob_is_refused_and_never_loops(data: st.DataObject) -> None:
    """Whatever byte of a genuine file is changed or missing: the values, or one error; never a crash or a hang."""
    whole = bytearray((MADE / "vegeta.bin").read_bytes()[:900])
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    else:
        del whole[data.draw(st.integers(1, len(whole) - 1)) :]
    try:
        for value in gob.values(bytes(whole)):
            assert isinstance(value, (dict, list, bytes, str, int, float, bool))
    except gob.NotGob:
        pass


@given(st.binary(max_size=200))
def test_random_bytes_are_no_gob(noise: bytes) -> None:
    """Noise gives values or NotGob, and nothing else."""
    with contextlib.suppress(gob.NotGob):
        list(gob.values(noise))


def test_a_cut_off_binary_says_how_far_it_went(tmp_path: Path) -> None:
    """A vegeta that was killed leaves half a result: refused with the number of whole ones."""
    file = tmp_path / "cut.bin"
    file.write_bytes((MADE / "vegeta.bin").read_bytes()[:-30])
    with pytest.raises(BadInput, match="after 39 results"):
        vegeta_results.read(file)


def test_urls_are_grouped_or_refused() -> None:
    """Templates take the URLs they fit, with a method or without; hundreds of others are refused with the cure."""
    routes = Routes(("GET /users/{id}", "/carts/{id}/items"))
    assert routes.names[routes.index("http://h:1/users/7?x=1", "GET")] == "GET /users/{id}"
    assert routes.names[routes.index("http://h/users/7", "PUT")] == "PUT /users/7"
    assert routes.names[routes.index("https://h/carts/9/items", "POST")] == "POST /carts/{id}/items"
    assert routes.names[routes.index("browse", "GET")] == "browse"
    with pytest.raises(BadInput, match="different URLs") as refused:
        for number in range(1000):
            routes.index(f"http://h/x/{number}", "GET")
    assert "--route" in refused.value.next_act


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("dial tcp 127.0.0.1:1: connect: connection refused", FailureKind.CONNECT),
        ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", FailureKind.TIMEOUT),
        ("read: connection reset by peer", FailureKind.RESET),
        ("EOF", FailureKind.RESET),
        ("x509: certificate signed by unknown authority", FailureKind.TLS),
        ("socket: too many open files", FailureKind.EXHAUSTED),
        ("the dog ate it", FailureKind.OTHER),
    ],
)
def test_a_tool_s_words_find_their_kind(words: str, kind: FailureKind) -> None:
    """Go's and Python's words for what went wrong; what fits nowhere stays the tool's own."""
    assert kind_of(words, 0) is kind


def test_a_locust_history_that_counts_backwards_is_refused(tmp_path: Path) -> None:
    """Statistics that were reset in the middle are no run."""
    for each in ("stats", "failures"):
        (tmp_path / f"s_{each}.csv").write_bytes((MADE / f"shop_{each}.csv").read_bytes())
    lines = (MADE / "shop_stats_history.csv").read_text().splitlines()
    (tmp_path / "s_stats_history.csv").write_text(
        "\n".join([*lines[:9], *lines[1:]]).replace("1795471232", "1795471239")
    )
    with pytest.raises(HeadwayError, match="backwards"):
        locust_results.read(tmp_path / "s")


def test_nothing_good_is_a_run_too(tmp_path: Path) -> None:
    """A service that refused every request: all failed, none timed, and no quantile invented."""
    requests = Requests()
    for number in range(100):
        requests.failed(0, 10**18 + number * 10**8, 0, FailureKind.CONNECT, "refused")
    foreign = Foreign(tool="k6", file=tmp_path / "f", timing="t", routes=("GET /",), requests=requests)
    evidence = imported(tmp_path, foreign)
    assert evidence.phases[0].good.sum() == 0
    assert told.rows(evidence)[-1]["p95"] is None
    broken, errors = judged(tmp_path, evidence, "API response time <100ms (P95)", "Error rate < 1%")
    assert (broken.state, errors.state) == (State.BROKEN, State.BROKEN)
