"""Spans as SDKs send them become rows: of old and new conventions, in protobuf and JSON, whole and broken."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.diagnose.critical_path import Span, attribute
from headway.diagnose.rules import n_plus_one
from headway.diagnose.traced_repeats import Window
from headway.evidence.otlp import fields, intake, outline, spans
from headway.evidence.otlp.fields import Malformed
from headway.evidence.otlp.rows import Manner
from otlp_bodies import CLIENT, MS, SERVER, START_NS, as_json, kept, many, read, request, row, stored

OLD = {
    "http.method": "GET", "http.route": "/users/{id}", "http.status_code": 200, "http.target": "/users/7?full=1",
    "http.response_content_length": 812, "thread.id": 41, "code.filepath": "/srv/home/ann/shop/routes/users.py",
    "code.lineno": 12, "code.function": "show",
}  # fmt: skip
NEW = {
    "http.request.method": "GET", "http.route": "/users/{id}", "http.response.status_code": 200, "url.path": "/users/7",
    "url.query": "full=1", "http.response.body.size": 812, "thread.id": 41,
    "code.file.path": "/srv/home/ann/shop/routes/users.py", "code.line.number": 12, "code.function.name": "show",
}  # fmt: skip
OLD_CALL = {
    "db.system": "postgresql", "db.statement": "SELECT 1 FROM t WHERE id = 7", "db.operation": "SELECT",
    "net.peer.name": "db", "net.peer.port": 5432,
}  # fmt: skip
NEW_CALL = {
    "db.system.name": "postgresql", "db.query.text": "SELECT 1 FROM t WHERE id = 7", "db.operation.name": "SELECT",
    "server.address": "db", "server.port": 5432,
}  # fmt: skip


def without_ids(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in {"trace_id", "span_id"}}


def test_old_and_new_conventions_are_one_row() -> None:
    """http.method and http.request.method, db.statement and db.query.text: what is kept is the same, key included."""
    old, new = row(OLD, kind=SERVER), row(NEW, kind=SERVER)
    assert without_ids(old) == without_ids(new)
    assert (old["route"], old["status"], old["body_bytes"], old["thread"]) == ("GET /users/{id}", 200, 812, 41)
    assert old["code"] == "shop/routes/users.py:12 in show"
    assert old["service"] == "shop"
    assert old["key"] is not None
    call = row(OLD_CALL)
    assert without_ids(call) == without_ids(row(NEW_CALL))
    assert call["statement"] == "SELECT ? FROM t WHERE id = ?"
    assert (call["system"], call["operation"], call["peer"]) == ("postgresql", "SELECT", "db:5432")


def test_where_both_conventions_are_said_the_new_one_counts() -> None:
    """SDKs in transition send both; an old value never replaces a new one, in whatever order they stand."""
    both = {**OLD_CALL, **NEW_CALL, "db.query.text": "SELECT 2", "db.system.name": "mysql"}
    assert row(both)["system"] == row(dict(reversed(both.items())))["system"] == "mysql"


def test_json_and_protobuf_are_one_row() -> None:
    """The same request in both encodings gives the same rows, to the last column."""
    message = request(
        {"attributes": NEW, "kind": SERVER}, {"attributes": NEW_CALL, "parent_span_id": b"12345678", "status_code": 2}
    )
    as_protobuf = kept(message.SerializeToString())
    assert kept(spans.from_json(as_json(message), spans.empty_request())) == as_protobuf
    assert as_protobuf[1]["parent_id"] == b"12345678"
    assert as_protobuf[1]["error"] is True


VALUES = st.recursive(
    st.one_of(st.text(max_size=20), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False),
              st.binary(max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5,
)  # fmt: skip
KEYS = st.one_of(st.sampled_from(spans.KEYS), st.text(max_size=30), st.just("db.query.parameter.0"))
SPANS = st.fixed_dictionaries(
    {
        "name": st.text(max_size=30), "kind": st.integers(0, 5), "flags": st.integers(0, 2**32 - 1),
        "trace_id": st.binary(min_size=16, max_size=16) | st.binary(max_size=20), "span_id": st.binary(max_size=9),
        "parent_span_id": st.binary(max_size=9), "trace_state": st.text(max_size=200),
        "start_time_unix_nano": st.integers(0, 2**64 - 1), "end_time_unix_nano": st.integers(0, 2**64 - 1),
        "attributes": st.dictionaries(KEYS, VALUES, max_size=8), "status_code": st.integers(0, 2),
    }
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(SPANS, max_size=6))
def test_any_request_is_read_as_protobuf_itself_reads_it(made: list[dict[str, Any]]) -> None:
    """Whatever a request has in it: its spans are found one for one, with their ids, kinds, times and attributes."""
    message = request(*made)
    body = message.SerializeToString()
    buffer = fields.Buffer(body)
    outline.check(body)
    found = outline.outline(body)
    taken = spans.decoded(buffer, found, 0, len(found))
    source = message.resource_spans[0].scope_spans[0].spans
    assert len(taken) == len(source)
    for index, span in enumerate(source):
        assert bool(taken.whole[index]) == (len(span.trace_id) == 16 and len(span.span_id) == 8)
        assert int(taken.start_ns[index]) == span.start_time_unix_nano
        assert int(taken.status[index]) == span.status.code
        said = {each.key: each.value for each in span.attributes}
        for number, key in enumerate(spans.KEYS):
            values = taken.values.get(number)
            mine = [] if values is None else [i for i, owner in enumerate(values.span) if owner == index]
            kind = said[key].WhichOneof("value") if key in said else None
            assert bool(mine) == (kind is not None)
            if values is not None and mine and kind == "int_value":
                assert int(values.number[mine[0]].astype("int64")) == said[key].int_value
            if values is not None and mine and kind == "string_value":
                text = body[int(values.low[mine[0]]) : int(values.high[mine[0]])]
                assert text.decode() == said[key].string_value
    kept(body)


def test_a_key_that_differs_in_one_letter_is_another_key() -> None:
    """Each key is found as itself, and as nothing when any one of its bytes is another, or one is missing or added."""
    for number, key in enumerate(spans.KEYS):
        wrong = [key[:at] + "~" + key[at + 1 :] for at in range(len(key))] + [key[1:], key[:-1], key + "s", "x" + key]
        body = request({"attributes": {key: 1, **{each: 2 for each in wrong if each not in spans.KEYS}}})
        content = body.SerializeToString()
        found = outline.outline(content)
        values = spans.decoded(fields.Buffer(content), found, 0, len(found)).values
        assert {name: each.number.tolist() for name, each in values.items()} == {number: [1]}


def test_texts_between_which_others_stand_are_each_read_once() -> None:
    """Spans with and without a statement, empty ones, and none at all: each row has its own text."""
    said = ["SELECT a FROM t", "", None, "SELECT b FROM t", "SELECT a FROM t", None, "SELECT \u00fc FROM t"]
    made = [{"attributes": {"db.system": "postgresql", **({} if each is None else {"db.statement": each})}}
            for each in said]  # fmt: skip
    rows = kept(request(*made).SerializeToString(), request({"name": ""}).SerializeToString())
    assert [each["statement"] for each in rows] == [each or None for each in said] + [None]
    (big,) = kept(request({"attributes": {"x" * 20_000: "y" * 20_000, "db.statement": "SELECT 1"}}).SerializeToString())
    assert big["statement"] == "SELECT ?"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bodies_are_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    """Bytes changed, cut or put in at any place: a body is refused as malformed, or its spans are as many as it has."""
    body = bytearray(request({"attributes": NEW, "kind": SERVER}, {"attributes": NEW_CALL}).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        match data.draw(st.sampled_from(["cut", "change", "put"])):
            case "cut":
                del body[at:]
            case "change":
                body[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case _:
                body[at:at] = data.draw(st.binary(max_size=12))
    content = bytes(body)
    try:
        outline.check(content)
        count = len(outline.outline(content))
        assert len(kept(content)) <= count
    except Malformed:
        return


def test_bodies_cut_off_anywhere_never_pass_as_whole() -> None:
    """Of a body that ends early either nothing is taken, or protobuf itself says that fewer spans are complete."""
    body = request({"attributes": NEW}, {"attributes": NEW_CALL}).SerializeToString()
    for end in range(1, len(body)):
        with pytest.raises(Malformed):
            outline.check(body[:end])


def test_spans_that_cannot_be_kept_are_counted_by_reason(tmp_path: Path) -> None:
    """No id, no time: left out and said. An end before the start: kept, 0 long, marked."""
    made = request(
        {"trace_id": b"short"}, {"start_time_unix_nano": 0}, {"end_time_unix_nano": START_NS - MS},
        {"parent_span_id": bytes(8)}, {"end_time_unix_nano": 2**64 - 1},
    )  # fmt: skip
    told = stored(tmp_path, [made.SerializeToString()]).told()
    assert told["dropped"] == {"without ids": 1, "without a time": 2}
    assert told["spans"] == 5
    skewed, root = read(tmp_path)
    assert (skewed["duration_ns"], skewed["skewed"]) == (0, True)
    assert root["parent_id"] is None


def test_one_bad_body_takes_no_other_with_it(tmp_path: Path) -> None:
    """Bodies are taken apart together; one that turns out damaged is counted, those beside it are kept."""
    far = request({"attributes": {f"key {n}": n for n in range(fields.MOST_FIELDS)}}).SerializeToString()
    good = request({"attributes": NEW_CALL}).SerializeToString()
    told = stored(tmp_path, [good, far, good]).told()
    assert (told["stored"], told["dropped"], told["refused"]) == (2, {"damaged": 1}, {"damaged": 1})


def test_a_body_of_two_byte_spans_is_refused_before_it_takes_memory() -> None:
    """Millions of empty spans fit into a body of the allowed size; they are refused by their number."""
    inner = b"\x12\x00" * (outline.MOST_SPANS + 1)
    scope = b"\x12" + (len(inner) & 0x7F | 0x80).to_bytes() + (len(inner) >> 7 & 0x7F | 0x80).to_bytes()
    scope += (len(inner) >> 14).to_bytes() + inner
    body = b"\x0a" + (len(scope) & 0x7F | 0x80).to_bytes() + (len(scope) >> 7 & 0x7F | 0x80).to_bytes()
    body += (len(scope) >> 14).to_bytes() + scope
    outline.check(body)
    queue = intake.Intake(Manner(salt=b"x"))
    with pytest.raises(outline.TooMany, match="200,000 spans"):
        queue.take(body)
    queue.close()


def test_a_full_queue_asks_to_come_again_and_says_so(tmp_path: Path) -> None:
    """While nothing can be written the queue fills to its bound; then senders are refused, and that is counted."""
    body = request({"attributes": NEW_CALL}).SerializeToString()
    queue = intake.Intake(Manner(salt=b"x"), most_waiting_bytes=5 * len(body))
    for _ in range(5):
        assert queue.take(body) == 0
    with pytest.raises(BlockingIOError):
        queue.take(body)
    queue.store(tmp_path / "spool")
    queue.close()
    told = queue.told()
    assert (told["spans"], told["stored"], told["refused"]) == (5, 5, {"busy, asked to come again": 1})


def test_a_full_disk_keeps_what_was_written_and_counts_the_rest() -> None:
    """Writing fails for want of space: senders are told how many spans were not taken, and why is said."""
    queue = intake.Intake(Manner(salt=b"x"))
    queue.store(Path("/dev/full"))
    body = request({"attributes": NEW_CALL}).SerializeToString()
    until = time.monotonic() + 10
    while not queue.full and time.monotonic() < until:
        lost = queue.take(body)
        time.sleep(0.01)
    lost = queue.take(body)
    queue.close()
    told = queue.told()
    assert lost == 1
    assert "No space left" in told["full"]
    assert told["stored"] + sum(told["dropped"].values()) == told["spans"]


def test_cycles_missing_parents_and_a_hundred_thousand_children_are_read(tmp_path: Path) -> None:
    """Of such a trace the rows are kept, the N+1 in it is found, and its request's time adds up."""
    trace, root = b"t" * 16, b"rootroot"
    call = {
        "trace_id": trace,
        "attributes": {"db.system": "postgresql", "db.statement": "SELECT x FROM p WHERE u = %s"},
    }
    server = {"trace_id": trace, "span_id": root, "kind": SERVER, "end_time_unix_nano": START_NS + 200 * MS,
              "attributes": NEW}  # fmt: skip
    circle = [
        {**call, "span_id": b"circle-%d" % n, "parent_span_id": b"circle-%d" % (1 - n), "kind": 1} for n in (0, 1)
    ]
    orphan = {**call, "parent_span_id": b"nobodys!"}
    children = many({**call, "parent_span_id": root}, 100_000)
    told = stored(tmp_path, [children, request(server, *circle, orphan).SerializeToString()]).told()
    assert told["stored"] == 100_004
    window = Window(name="all", begin_ns=START_NS, end_ns=START_NS + 10**9)
    (found,) = n_plus_one.told(tmp_path, [window])
    assert found.repeated.seen.calls[0] in {100_000, 100_001}  # the orphan is the trace's only request's
    parts = attribute(*_as_spans(read(tmp_path), root))
    assert sum(parts.parts.values()) == 200 * MS


def _as_spans(found: list[dict[str, Any]], root: bytes) -> tuple[Span, list[Span]]:
    made = [
        Span(
            id=each["span_id"], parent=each["parent_id"], kind=each["kind"], name=each["name"], system=each["system"],
            start_ns=each["start_ns"], end_ns=each["start_ns"] + each["duration_ns"],
        )
        for each in found
    ]  # fmt: skip
    return next(each for each in made if each.id == root), made


def test_of_an_orm_and_its_driver_one_call_is_counted(tmp_path: Path) -> None:
    """SQLAlchemy's span and psycopg's below it say the same statement: six calls are six, not twelve."""
    trace, root = b"u" * 16, b"rootroot"
    said = {"db.system": "postgresql", "db.statement": "SELECT x FROM p WHERE u = %(u)s"}
    made: list[dict[str, Any]] = [{"trace_id": trace, "span_id": root, "kind": SERVER, "attributes": NEW}]
    for number in range(6):
        at = START_NS + number * 1_000
        outer = {"trace_id": trace, "span_id": b"outer--%d" % number, "parent_span_id": root, "attributes": said,
                 "kind": CLIENT, "start_time_unix_nano": at, "end_time_unix_nano": at + 900}  # fmt: skip
        made += [outer, {**outer, "span_id": b"inner--%d" % number, "parent_span_id": outer["span_id"]}]
    stored(tmp_path, [request(*made).SerializeToString()])
    (found,) = n_plus_one.told(tmp_path, [Window(name="all", begin_ns=START_NS, end_ns=START_NS + 10**9)])
    assert found.repeated.seen.calls == [6]
