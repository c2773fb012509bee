"""Scenario files driven for real: what they say arrives at the service, and nothing is repeated or written down."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from headway import line
from headway.errors import BadInput
from headway.evidence import reading
from headway.gate import health
from headway.load import feed, scenario
from headway.model import Sources
from load_target import says, target

OK = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", wait_s=0.005)
SIGN_UP = """\
setup = '"{python}" seed.py'
[load]
{load}
warmup_s = 0
[feeds.people]
csv = "people.csv"
order = "once"
[[routes]]
path = "/join/{{shop}}?name={{people.name}}&plan={{people.plan}}"
headers = {{ x-api-key = "${{SHOP_KEY}}", authorization = "Basic {{people.name}}:${{SHOP_KEY}}" }}
[parameters.page]
sequential = {{ low = 1, high = 3 }}
[[routes]]
path = "/page/{{page}}"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOP_KEY", "hush:1")
    people = "".join(f"n{number},p{number}\n" for number in range(400))
    (tmp_path / "people.csv").write_text(f"name,plan\n{people}")
    (tmp_path / "seed.py").write_text('print(\'{"shop": "whisper"}\')')
    return tmp_path


def driven(folder: Path, load: str, url: str, *, workers: int) -> Path:
    (folder / "s.toml").write_text(SIGN_UP.format(python=sys.executable, load=load))
    read = scenario.read(folder / "s.toml")
    return line.load(
        folder,
        scenario=read,
        phases=(read.default_phase,),
        sources=Sources(target_url=url),
        means=line.Means(workers=workers),
    )


def joined(asked: list[bytes]) -> list[tuple[str, str]]:
    """Name and plan of each sign-up; each had the secrets it was to have."""
    found = []
    for head in asked:
        row = re.match(rb"GET /join/whisper\?name=(\w+)&plan=(\w+) ", head)
        if row is not None:
            assert b"\r\nx-api-key: hush:1\r\n" in head
            assert b"\r\nauthorization: Basic " + b64encode(row[1] + b":hush:1") + b"\r\n" in head
            found.append((row[1].decode(), row[2].decode()))
    return found


def test_rows_are_whole_used_once_and_secrets_stay_out_of_the_run(folder: Path) -> None:
    """Two workers, rows of a feed to be used once: each at most once, name and plan together; no secret on disk."""
    with target(OK) as service:
        run = driven(folder, "rate_per_s = 150\nduration_s = 3", service.url, workers=2)
        rows = joined(service.asked)
        pages = Counter(re.findall(r"GET /page/(\d+) ", b"".join(service.asked).decode()))
    assert len(rows) > 150
    assert len(set(rows)) == len(rows)
    assert all(name[1:] == plan[1:] for name, plan in rows)
    assert set(pages) == {"1", "2", "3"}
    assert max(pages.values()) - min(pages.values()) <= 2, "each worker asks them in turn"
    texts = [each.read_text() for each in run.rglob("*.json")]
    assert texts
    assert not any("hush" in text or "whisper" in text for text in texts)
    evidence = reading.read(run)
    assert evidence.scenario.routes[0].path.startswith("/join/{shop}?name={people.name}")


def test_a_feed_that_runs_dry_ends_the_run_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A closed load takes as many rows as the service lets it: at the last one it ends, and nothing is used again."""
    with target(OK) as service:
        run = driven(folder, "users = 8\nduration_s = 20", service.url, workers=2)
        rows = joined(service.asked)
    assert len(set(rows)) == len(rows)
    assert 200 <= len(rows) <= 400, "the worker that runs dry first ends it"
    said = health.unwell(reading.read(run).phases[0])[0]
    assert "people ran dry: of its 400 values each was to be used once" in said
    assert "Traceback" not in capsys.readouterr().err


def test_a_load_that_needs_more_rows_than_there_are_is_not_begun(folder: Path) -> None:
    """An open load's need is known before: it is refused, and the service hears nothing of it."""
    with target(OK) as service:
        with pytest.raises(BadInput, match=r"the feed people has 400 values to be used once each.* needs about 450"):
            driven(folder, "rate_per_s = 300\nduration_s = 3", service.url, workers=2)
        assert joined(service.asked) == []
    assert not (folder / ".headway/runs").exists()


def test_a_feed_is_read_from_a_database_in_one_piece(postgres_url: str) -> None:
    """Columns of one row stay together; rows with NULL in a column that is used are left out of all columns."""
    from headway.model import Parameter

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE people AS SELECT n AS id, nullif('m' || n, 'm3') AS mail FROM generate_series(1, 5) n"
        )
    query = "SELECT id, mail, 1 AS other FROM people ORDER BY random()"
    columns = [
        Parameter(name=f"p.{each}", distribution="query", query=query, csv_column=each, feed="p")
        for each in ("id", "mail")
    ]
    found = feed.values(columns, postgres_url)
    assert [f"m{number}" for number in found["p.id"]] == list(found["p.mail"])
    assert sorted(found["p.id"]) == ["1", "2", "4", "5"]
    with pytest.raises(BadInput, match="the query of p has no column 'nam'; it has id, mail, other"):
        feed.values(
            [Parameter(name="p.nam", distribution="query", query=query, csv_column="nam", feed="p")], postgres_url
        )
    with pytest.raises(BadInput, match="the query of p has two columns of one name"):
        twice = "SELECT id, id FROM people"
        feed.values(
            [Parameter(name="p.id", distribution="query", query=twice, csv_column="id", feed="p")], postgres_url
        )
    with pytest.raises(BadInput, match="the feed p is read by a query, and no database was named"):
        feed.values(columns, None)


def test_a_check_compares_answers_with_what_was_asked(folder: Path) -> None:
    """An echo passes; a service that answers everybody with the first one's data fails for everybody else."""

    def answering(value: str) -> bytes:
        body = json.dumps({"id": int(value)}).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    async def echo(head: bytes, writer: object) -> None:
        value = head.split(b" ")[1].rpartition(b"/")[2].decode()
        writer.write(answering(value if value.isdigit() else "0"))  # type: ignore[attr-defined]

    text = (
        "[load]\nrate_per_s = 100\nduration_s = 1\nwarmup_s = 0\n[parameters.id]\nuniform = { low = 10, high = 99 }\n"
        '[[routes]]\npath = "/users/{id}"\nchecks = [{ json = "$.id", equals = "{id}" }]\n'
    )
    (folder / "c.toml").write_text(text)
    read = scenario.read(folder / "c.toml")
    failed = []
    for answer in (echo, says(answering("10"))):
        with target(answer) as service:
            run = line.load(
                folder, scenario=read, phases=(read.default_phase,), sources=Sources(target_url=service.url)
            )
        (hits,) = reading.read(run).phases
        failed.append(hits.failures.count.sum())
        assert hits.planned.sum() > 50
    assert failed[0] == 0
    assert failed[1] > 40
