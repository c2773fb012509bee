"""Other people's log lines: cut, hostile, of other forms. None is taken for what it isn't, none breaks the reading."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from headway.evidence import redact
from headway.evidence.explained import RECORD_MAX_BYTES, Records, explained, fixed, hidden, values
from headway.evidence.following import Following, Turned

PLAN = {"Query Text": "SELECT 1", "Query Parameters": "$1 = '42'", "Plan": {"Node Type": "Result"}}
MESSAGE = f"duration: 1.5 ms  plan:\n{json.dumps(PLAN, indent=2)}"


def csv_record(message: str, *, query_id: int = 7) -> bytes:
    """One record of a csvlog."""
    row = ["2026-11-28 18:00:00.000 UTC", "u", "shop", "1", "h", "s", "1", "SELECT", "2026-11-28 17:00:00 UTC", "1/1",
           "0", "LOG", "00000", message, "", "", "", "", "", "", "", "", "app",
           "client backend", "", str(query_id)]  # fmt: skip
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(row)
    return stream.getvalue().encode()


def json_record(message: str, *, query_id: int = 7) -> bytes:
    """One record of a jsonlog."""
    return json.dumps({"dbname": "shop", "message": message, "query_id": query_id}).encode()


def taken(*lines: bytes | None, form: str = "") -> tuple[list[int], Records]:
    """The ids that were read from lines, and what read them."""
    records = Records(form)
    return [found.query_id for line in lines if (found := records.take(line)) is not None], records


def test_both_forms_say_the_same() -> None:
    """A record of a jsonlog and one of a csvlog that spans lines are read alike."""
    one = explained(MESSAGE, "shop", 7)
    assert one is not None
    assert (one.text, one.values, one.duration_ns, one.plan) == ("SELECT 1", ("42",), 1.5e6, {"Node Type": "Result"})
    assert taken(*csv_record(MESSAGE).split(b"\n"))[0] == taken(json_record(MESSAGE))[0] == [7]


def test_a_log_entered_in_the_middle_of_a_record_is_read_from_the_next() -> None:
    """The rest of a record that was begun before is passed over."""
    rest = csv_record(MESSAGE).split(b"\n")[2:]
    found, records = taken(*rest, *csv_record(MESSAGE, query_id=8).split(b"\n"))
    assert found == [8]
    assert records.unread > 0


def test_text_inside_a_record_is_never_a_record() -> None:
    """Whoever writes a log line into a statement's text makes no plan of it."""
    fake = csv_record(MESSAGE, query_id=666).decode() + "\n" + json_record(MESSAGE, query_id=667).decode()
    assert taken(*csv_record(MESSAGE).split(b"\n"), json_record(MESSAGE, query_id=668))[0] == [7]
    entered = [json_record(MESSAGE, query_id=669), b"'", *csv_record(MESSAGE).split(b"\n")]
    assert taken(*entered, form=".csv")[0] == [7]
    lines = csv_record(f"duration: 1 ms  plan:\nQuery Text: SELECT '\n{fake}\n'\nResult  (cost=0 rows=1)").split(b"\n")
    assert taken(*lines)[0] == [7]


def test_a_cut_record_costs_itself_and_no_more() -> None:
    """A JSON line that is cut short is unread; a CSV record without end is given up when it grows too long."""
    found, records = taken(json_record(MESSAGE)[:-9], json_record(MESSAGE))
    assert (found, records.unread) == ([7], 1)
    cut = csv_record(MESSAGE).split(b"\n")[0]
    filler = [b"x" * 65_536] * (RECORD_MAX_BYTES // 65_536 + 1)
    assert taken(cut, *filler, *csv_record(MESSAGE, query_id=9).split(b"\n"))[0] == [9]
    assert taken(None, json_record(MESSAGE))[0] == [7]


@given(st.binary(max_size=300))
def test_any_line_is_passed_over(line: bytes) -> None:
    """Whatever comes, in whatever place: no error."""
    records = Records()
    for each in (line, b'{"message":' + line, csv_record(MESSAGE)[:40] + line, line):
        records.take(each)


@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\x00")), min_size=1, max_size=12))
def test_parameters_come_back_as_they_were(given_: list[str | None]) -> None:
    """What PostgreSQL writes of them is read back, quotes and commas and all; what it cut short is not."""
    shown = ["NULL" if each is None else "'" + each.replace("'", "''") + "'" for each in given_]
    said = ", ".join(f"${number} = {each}" for number, each in enumerate(shown, start=1))
    cut = any(each is not None and each.endswith("...") for each in given_)
    assert values(said) == (None if cut else tuple(given_))


def test_constants_are_hidden_in_every_way_they_are_written() -> None:
    """Strings, escapes, dollar quotes, numbers, comments, cut ends; names and placeholders stay."""
    shown = {
        "a.b_2 = 'it''s secret' AND \"c 3\" = 42": 'a.b_2 = ? AND "c 3" = ?',
        r"E'a\'secret' || x": "? || x",
        "$tag$secret$tag$ = $1": "? = $1",
        "$$secret$$": "?",
        "f(-1.5e3, 0x1F) /* secret */ -- secret": "f(-?, ?)    ",
        "x = 'secret": "x = ?",
        "(tags @> '{secret}'::text[])": "(tags @> ?::text[])",
    }
    assert {text: redact.constants(text) for text in shown} == shown


def test_constants_inside_expressions_are_told_from_values() -> None:
    """A document's member and what stands for NULL are kept; what is compared, quoted or commented never is."""
    text = """SELECT 'doc ->> ''in a text'' too', coalesce(city, '') /* doc ->> 'in a comment' */ FROM users
        WHERE doc ->> 'token' = 'secret' AND u.doc->'it''s' IS NOT NULL AND name = $1 AND coalesce(total, 0) > 5
        AND coalesce(a, b, 'secret') = 'secret' AND doc ->> $2 = 'secret' AND 'secret' ->> 'secret' IS NULL"""
    assert fixed(text) == {"doc ->> 'token'", "u.doc -> 'it''s'", "coalesce(city, '')", "coalesce(total, 0)"}
    assert fixed("SELECT doc ->> 'cut off") == frozenset()
    begun = time.thread_time()
    for each in ("1,", "a->", "coalesce(a,", "'x'->>"):
        fixed((each * 20_000)[:20_000] + "1)")
    assert time.thread_time() - begun < 2, "no text takes long"


@given(st.text(st.characters(exclude_characters="\x00")))
def test_no_string_survives(secret: str) -> None:
    """However it looks, a value in a literal as PostgreSQL prints it is not in what is kept."""
    text = f"(title = '{secret.replace(chr(39), chr(39) * 2)}'::text)"
    assert redact.constants(text) == "(title = ?::text)"
    plan = {"Node Type": "Seq Scan", "Filter": text, "Plans": [{"Index Cond": text}], "Plan Rows": 5}
    kept = {"Node Type": "Seq Scan", "Filter": "(title = ?::text)", "Plan Rows": 5}
    assert hidden(plan) == {**kept, "Plans": [{"Index Cond": "(title = ?::text)"}]}


def test_a_log_is_followed_over_every_kind_of_rotation(tmp_path: Path) -> None:
    """Renamed and begun anew, cut short, and the next of a row of names: no line is lost or read twice."""
    log = tmp_path / "pg-1.json"
    log.write_bytes(b"old\n")
    followed = Following(log, line_max_bytes=10, by_name=True)
    with log.open("ab") as stream:
        stream.write(b"a\nb")
    assert list(followed.lines()) == [b"a"]
    with log.open("ab") as stream:
        stream.write(b"b\n" + b"x" * 50)
    assert list(followed.lines()) == [b"bb", None]
    log.rename(tmp_path / "pg-1.json.1")
    log.write_bytes(b"c\n")
    assert list(followed.lines()) == [b"c"]
    assert followed.turned.value == Turned.ROTATED.value
    log.write_bytes(b"")
    assert list(followed.lines()) == []
    assert followed.turned.value == Turned.CUT.value
    (tmp_path / "other-2.json").write_bytes(b"no\n")
    (tmp_path / "pg-2.json").write_bytes(b"d\n")
    assert list(followed.lines()) == [b"d"]
    assert list(followed.lines()) == []
    followed.close()
