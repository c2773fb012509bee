"""Plans with real parameters from the log of a real PostgreSQL with auto_explain, in JSON, in CSV and plain."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from headway.errors import SourceRefused
from headway.evidence.logged import LoggedPlans
from headway.evidence.session import Session
from headway.lab import database
from headway.model import Presence
from headway.servers import binaries, ports, postgres, process

QUERY = "SELECT title FROM posts WHERE user_id = %s::bigint AND title <> %s"
HOSTILE = 'x"y\'z,\n2026-01-01 00:00:00.000 UTC,"a","b"\x1b[31m<script>'


@dataclass(frozen=True, kw_only=True)
class Logging:
    """A PostgreSQL that logs every plan."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def logging_server(service_room: Path) -> Iterator[Logging]:
    """With jsonlog, csvlog and a plain log, auto_explain of everything, and a table of 500 posts."""
    account = process.unprivileged()
    room = service_room / "logging"
    room.mkdir(mode=0o711)
    process.own(room, account)
    programs = binaries.postgres(service_room, account).path
    password, log, port = secrets.token_hex(16), service_room / "logging.log", ports.choose()
    postgres.initialise(programs, room / "data", password=password, log=log, account=account)
    server = postgres.start(
        programs, room / "data", port=port, password=password, log=log, account=account,
        settings={
            "shared_buffers": "16MB", "logging_collector": "on", "log_destination": "jsonlog,csvlog,stderr",
            "log_line_prefix": database.PLANS["log_line_prefix"],
            "log_directory": str(room / "log"), "log_filename": "pg-%H%M%S.log", "log_file_mode": "0644",
            "auto_explain.log_min_duration": "0", "auto_explain.log_format": "json",
        },
    )  # fmt: skip
    url = postgres.create_database(server, "shop")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE posts (id int PRIMARY KEY, user_id int, title text)")
        connection.execute("INSERT INTO posts SELECT n, n % 10, 'post ' || n FROM generate_series(1, 500) n")
    yield Logging(url=url, folder=room / "log")
    postgres.stop(server.identity)


def newest(folder: Path, suffix: str) -> Path:
    return max(folder.glob(f"*{suffix}"), key=lambda each: each.stat().st_mtime_ns)


def ask(url: str, *values: tuple[int, str]) -> str:
    """Sends the query with each pair of values; the statement's id, as pg_stat_statements has it."""
    with psycopg.connect(url, autocommit=True) as one:
        for each in values:
            one.execute(QUERY, each)
        row = one.execute(
            "SELECT queryid FROM pg_stat_statements"
            " WHERE query = 'SELECT title FROM posts WHERE user_id = $1::bigint AND title <> $2'"
        ).fetchone()
    assert row is not None
    return str(row[0])


def until_seen(logged: LoggedPlans, identity: str, seen: int) -> None:
    end = time.monotonic() + 5
    while int(identity) not in logged.statements or logged.statements[int(identity)].seen < seen:
        assert time.monotonic() < end, "nothing was logged"
        logged.sample(0.0)
        time.sleep(0.02)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".log"])
def test_plans_and_parameters_are_read_as_they_are_logged(logging_server: Logging, suffix: str, tmp_path: Path) -> None:
    """Real values, hostile ones too, come back exactly; the plan is linked to the statement by its id."""
    session = Session(logging_server.url)
    logged = LoggedPlans(newest(logging_server.folder, suffix), session, show_values=True)
    assert logged.check().presence is Presence.PRESENT
    identity = ask(logging_server.url, (3, "a"), (7, HOSTILE), (7, "it's $1 = 'x', $2 = NULL"))
    until_seen(logged, identity, 3)
    logged.finish()
    logged.write(tmp_path)
    logged.close()
    session.close()
    found = json.loads((tmp_path / "logged-plans.json").read_text())[identity]
    assert found["seen"] == 3
    assert found["values"] == [["3", "a"], ["7", HOSTILE], ["7", "it's $1 = 'x', $2 = NULL"]]
    assert found["plan"]["Node Type"] == "Seq Scan"
    assert found["plan"]["Relation Name"] == "posts"
    assert "Query Parameters" not in found["plan"]
    assert not any(each for each in json.loads((tmp_path / "logged-plans.json").read_text()) if each == "0")


def test_values_are_hidden_unless_asked_for_and_headways_own_are_left_out(
    logging_server: Logging, tmp_path: Path
) -> None:
    """Without --show-values no value of a parameter or a plan's condition is written."""
    session = Session(logging_server.url)
    logged = LoggedPlans(logging_server.folder, session, show_values=False)  # the folder: the log written last
    logged.check()
    session.rows("tables_rows")
    identity = ask(logging_server.url, (3, "topsecret"))
    until_seen(logged, identity, 1)
    logged.finish()
    logged.write(tmp_path)
    logged.close()
    session.close()
    text = (tmp_path / "logged-plans.json").read_text()
    assert "topsecret" not in text
    found = json.loads(text)[identity]
    assert found["values"] == []
    assert found["plan"]["Filter"] == "((title <> ?::text) AND (user_id = ?::bigint))"
    assert "pg_class" not in text


def test_constants_inside_an_expression_are_kept_when_they_never_change(
    logging_server: Logging, tmp_path: Path
) -> None:
    """Five executions that had the same one tell it; one whose constant differs from call to call tells none."""
    session = Session(logging_server.url)
    logged = LoggedPlans(newest(logging_server.folder, ".json"), session, show_values=False)
    logged.check()
    with psycopg.connect(logging_server.url, autocommit=True) as one:
        for number in range(5):
            one.execute("SELECT id FROM posts WHERE coalesce(title, '') = %s", (f"secret {number}",))
            one.execute(f"SELECT id FROM posts WHERE coalesce(user_id, {number}) = 7".encode())
        rows = one.execute(
            "SELECT substring(query, 'coalesce.([a-z_]+)'), queryid::text FROM pg_stat_statements"
            " WHERE query LIKE 'SELECT id FROM posts WHERE coalesce%'"
        ).fetchall()
    identity = {str(column): str(query_id) for column, query_id in rows}
    for each in identity.values():
        until_seen(logged, each, 5)
    logged.finish()
    logged.write(tmp_path)
    logged.close()
    session.close()
    text = (tmp_path / "logged-plans.json").read_text()
    found = {column: json.loads(text)[query_id]["fixed"] for column, query_id in identity.items()}
    assert found == {"title": ["coalesce(title, '')"], "user_id": []}
    assert "secret" not in text


def test_the_next_log_of_a_rotation_is_followed(logging_server: Logging, tmp_path: Path) -> None:
    """PostgreSQL begins a file of another name: what is written there is read too."""
    session = Session(logging_server.url)
    first = newest(logging_server.folder, ".json")
    logged = LoggedPlans(first, session, show_values=True)
    logged.check()
    identity = ask(logging_server.url, (1, "before"))
    until_seen(logged, identity, 1)
    with psycopg.connect(logging_server.url, autocommit=True) as admin:
        end = time.monotonic() + 5
        while newest(logging_server.folder, ".json") == first and time.monotonic() < end:
            admin.execute("SELECT pg_rotate_logfile()")
            time.sleep(0.3)
    assert newest(logging_server.folder, ".json") != first
    ask(logging_server.url, (2, "after"))
    until_seen(logged, identity, 2)
    logged.close()
    session.close()
    assert ("2", "after") in logged.statements[int(identity)].values


def test_a_log_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """No such file, or a folder without a log in JSON or CSV: refused before the load, with what to name."""
    for place in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(SourceRefused, match="cannot be read") as caught:
            LoggedPlans(place, None, show_values=False).check()
        assert "jsonlog" in caught.value.next_act
