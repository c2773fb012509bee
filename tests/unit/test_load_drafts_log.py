"""What `headway init --access-log` makes of lines, paths and times."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.load.drafts import access_log, arrivals, from_log, grouping
from headway.load.drafts.arrivals import Spool
from headway.load.drafts.draft import Draft
from headway.load.drafts.grouping import Grouping, Templates

WORDS = ("users", "orders", "feed", "static", "by-email")


def line(request: str, status: int = 200, at: str = "10/Oct/2026:13:55:36 +0000", rest: str = "") -> str:
    """One line of nginx's combined format."""
    return f'10.0.0.1 - ann [{at}] "{request}" {status} 512 "-" "Mozilla/5.0 \\"x\\""{rest}\n'


def drafted(
    folder: Path, text: str | bytes, *, api: tuple[str, ...] | None = None, speed: float | None = None
) -> Draft:
    """The draft of a log, with what is written beside it as lists."""
    file = folder / "access.log"
    file.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    with Spool() as spool:
        draft = from_log.draft(
            [file], spool, name="shop", api_paths=api, speed=speed, stretch_s=900, prefix="", said=lambda _: None
        )
        for name, lines in draft.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("".join(lines))
    return draft


def test_a_combined_line_is_read() -> None:
    """Method, path with query, status, and the instant with its zone; such a log says the second only."""
    found = access_log.parse(line("GET /a/b?c=d%20e HTTP/1.1", 404, "10/Oct/2026:13:55:36 -0330").encode())
    assert found == access_log.Line("GET", "/a/b?c=d%20e", 404, 1_791_653_136_000_000, True, None, True)


def test_a_request_time_behind_the_combined_line_is_read() -> None:
    """`rt=$request_time`, as many append it."""
    found = access_log.parse(line("GET / HTTP/2.0", rest=" rt=0.123 uct=0.001").encode())
    assert isinstance(found, access_log.Line)
    assert found.took_us == 123_000


@pytest.mark.parametrize(
    ("told", "method", "target", "at_us", "has_query"),
    [
        ({"msec": 1.5, "request": "GET /a?b HTTP/1.1"}, "GET", "/a?b", 1_500_000, True),
        ({"msec": "1.5", "request_method": "PUT", "request_uri": "/a"}, "PUT", "/a", 1_500_000, True),
        ({"time_iso8601": "1970-01-01T00:00:02+00:00", "method": "GET", "uri": "/ä b"}, "GET", "/%C3%A4%20b", 2_000_000,
         False),
        ({"time": "1970-01-01T01:00:02.25+01:00", "method": "GET", "path": "/a"}, "GET", "/a", 2_250_000, True),
        ({"ts": 3, "method": "GET", "uri": "/a", "args": "x=1"}, "GET", "/a?x=1", 3_000_000, True),
        ({"timestamp": 1_700_000_000_123, "method": "GET", "uri": "/a"}, "GET", "/a", 1_700_000_000_123_000, False),
    ],
)  # fmt: skip
def test_a_json_line_is_read(told: dict[str, object], method: str, target: str, at_us: int, has_query: bool) -> None:
    """nginx's own variable names and those people give them; $uri has no query, and it is said."""
    found = access_log.parse(json.dumps({**told, "status": "200"}).encode())
    assert isinstance(found, access_log.Line)
    assert (found.method, found.target, found.at_us, found.has_query) == (method, target, at_us, has_query)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (line("-", 400), access_log.NO_REQUEST),
        (line("\\x16\\x03\\x01\\x00", 400), access_log.NO_REQUEST),
        (line("GET http://elsewhere/ HTTP/1.1"), access_log.NO_REQUEST),
        (line("GET / HTTP/1.1", at="32/Okt/2026:13:55:36 +0000"), access_log.NO_LINE),
        ("hello\n", access_log.NO_LINE),
        ('{"msec": 1, "status": 200}', access_log.NO_REQUEST),
        ('{"status": 200, "request": "GET / HTTP/1.1"}', access_log.NO_LINE),
        ("{" * 50_000, access_log.NO_LINE),
    ],
)
def test_a_line_that_is_no_request_says_why(raw: str, why: access_log.NotRead) -> None:
    """It is told what is wrong with it, and nothing is guessed."""
    assert access_log.parse(raw.encode()) == why


def test_bytes_that_are_no_ascii_are_sent_as_they_came() -> None:
    """nginx writes them as \\xHH, or as they are: either way the path is percent-encoded, and says the same bytes."""
    for raw in (line("GET /caf\\xC3\\xA9 HTTP/1.1").encode(), line("GET /café HTTP/1.1").encode()):
        found = access_log.parse(raw)
        assert isinstance(found, access_log.Line)
        assert found.target == "/caf%C3%A9"


@given(st.binary(max_size=300))
def test_no_line_stops_the_reading(raw: bytes) -> None:
    """Whatever strangers sent is a request or is not; what is one can be sent again: printable, no space."""
    combined = b'x [10/Oct/2026:13:55:36 +0000] "GET /' + raw + b' HTTP/1.1" 200 1'
    told = b'{"msec":1,"status":200,"method":"GET","uri":"/' + raw + b'"}'
    for each in (raw, combined, told):
        found = access_log.parse(each)
        if isinstance(found, access_log.Line):
            assert found.target.isascii()
            assert found.target.isprintable()
            assert " " not in found.target
            assert found.target.startswith("/")


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path: Path) -> None:
    """It counts as one line that is too long, and the next is read."""
    file = tmp_path / "log"
    file.write_bytes(b"x" * 1_000_000 + b"\n" + line("GET / HTTP/1.1").encode())
    first, second = (access_log.parse(each) for each in access_log.lines(file))
    assert first == access_log.TOO_LONG
    assert isinstance(second, access_log.Line)


def test_keys_are_told_from_words() -> None:
    """Digits, UUIDs, long hexadecimal, dates and addresses are keys; names of resources and versions are not."""
    for key in (
        "17",
        "6f1f3c1e-8d2b-4d6a-9d0a-2f6f6a1b2c3d",
        "5f2b1c9e8d7a",
        "2026-01-31",
        "a@b.c",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ):
        assert grouping.is_key(key), key
    for word in ("users", "v1", "by-email", "facade", "wp-login.php", "deadbeefcafe", "robots.txt"):
        assert not grouping.is_key(word), word


def learnt(paths: list[str]) -> Grouping:
    """A grouping of these paths."""
    found = Grouping()
    for each in paths:
        found.add(each)
    found.settle()
    return found


def test_words_that_are_names_of_things_become_keys() -> None:
    """Hundreds of slugs in one place are one route; the few words beside them that lead further stay."""
    rng = random.Random(1)
    paths = [f"/blog/{rng.choice('abcdefgh')}-post-{chr(97 + n % 26)}{n}x" for n in range(400)] * 2
    found = learnt([*paths, *["/blog/tags/new"] * 200])
    assert found.match("/blog/never-seen-before") == ("blog", None)
    assert found.match("/blog/tags/new") == ("blog", "tags", "new")


def test_what_was_never_answered_teaches_no_template(tmp_path: Path) -> None:
    """A scanner's thousand invented paths neither become routes nor turn the real ones into keys."""
    scans = [line(f"GET /admin-{n}/x.php HTTP/1.1", 404) for n in range(1_200)]
    real = [line(f"GET /{word}/{n} HTTP/1.1") for n in range(20) for word in ("users", "products")]
    draft = drafted(tmp_path, "".join([*scans, *real]))
    assert [each.name for each in draft.scenario.routes] == ["GET /users/{id}", "GET /products/{id}"]
    assert any("1,200 requests left out" in note for note in draft.notes)


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 10**6), st.sampled_from((*WORDS, ""))), min_size=1))
def test_every_path_that_was_learnt_has_a_template(parts: list[tuple[str, int, str]]) -> None:
    """Filled with the path's own values, the template is the path again."""
    paths = [f"/{word}/{number}" + (f"/{more}" if more else "") for word, number, more in parts]
    found = learnt(paths)
    for path in paths:
        template = found.match(path)
        assert template is not None
        values = iter(grouping.values_of(template, path))
        assert "/" + "/".join(next(values) if each is None else each for each in template) == path


@given(st.lists(st.text("abc/{}%10", max_size=20), max_size=60))
def test_odd_paths_are_grouped_or_not_but_never_changed(tails: list[str]) -> None:
    """Empty segments, braces and half an escape are characters like others."""
    found = learnt([f"/{tail}" for tail in tails])
    for tail in tails:
        template = found.match(f"/{tail}")
        if template is not None:
            assert len(template) == f"/{tail}".count("/")


def test_the_tree_is_bounded() -> None:
    """A log of nothing but different paths does not fill the memory."""
    found = Grouping()
    for number in range(5_000):
        found.add(f"/a{'xy'[number % 2]}{number}q/b{number}r/c{number}s")
    assert found._places < 3 * grouping.WIDEST + 10


def test_the_apis_own_templates_come_first() -> None:
    """Words before keys, whatever the order of the document."""
    api = Templates(("/users/{id}", "/users/by-email", "/files/{name}.json"))
    assert api.match("/users/by-email") == ("/users/by-email", ("users", "by-email"))
    assert api.match("/users/ann") == ("/users/{id}", ("users", None))
    assert api.match("/users") is None


def test_the_mix_the_keys_and_their_frequencies_are_the_logs(tmp_path: Path) -> None:
    """Weights are counts; drawing from the file of keys uniformly gives each key as often as the log has it."""
    wanted = [1] * 60 + [2] * 30 + [3] * 10
    lines = [line(f"GET /users/{key} HTTP/1.1") for key in wanted] + [line("GET /feed?limit=20 HTTP/1.1")] * 50
    draft = drafted(tmp_path, "".join(lines))
    assert {each.name: each.weight for each in draft.scenario.routes} == {"GET /users/{id}": 100, "GET /feed": 50}
    (parameter,) = draft.scenario.parameters
    assert parameter.csv_file is not None
    header, *keys = (tmp_path / parameter.csv_file).read_text().splitlines()
    assert header == parameter.csv_column == "user_id"
    assert Counter(keys) == Counter(map(str, wanted))
    assert draft.scenario.routes[1].path == "/feed?limit=20"  # one value in the whole log: no parameter


def test_what_varies_in_a_query_is_a_parameter_and_its_names_part_routes(tmp_path: Path) -> None:
    """?q= and ?page= are two ways to ask; values are decoded in the file, as the load encodes them again."""
    lines = [line(f"GET /search?q=blue+shoe%C3%A9{n}&sort=up HTTP/1.1") for n in range(30)]
    lines += [line(f"GET /search?page={n} HTTP/1.1") for n in range(9)]
    draft = drafted(tmp_path, "".join(lines))
    assert [(each.name, each.path) for each in draft.scenario.routes] == [
        ("GET /search", "/search?q={q}&sort=up"), ("GET /search?page", "/search?page={page}"),
    ]  # fmt: skip
    assert "blue shoeé7" in (tmp_path / "keys/get-search.csv").read_text()


def test_keys_that_belong_together_stay_together(tmp_path: Path) -> None:
    """/users/7/orders/70 is never asked as /users/8/orders/70: both come from one row."""
    draft = drafted(tmp_path, "".join(line(f"GET /users/{n}/orders/{n}0 HTTP/1.1") for n in range(30)))
    assert draft.scenario.routes[0].path == "/users/{orders.user_id}/orders/{orders.order_id}"
    assert {each.feed for each in draft.scenario.parameters} == {"orders"}
    rows = (tmp_path / "keys/get-users-user-id-orders-order-id.csv").read_text().splitlines()
    assert rows[0] == "user_id,order_id"
    assert sorted(rows[1:]) == sorted(f"{n},{n}0" for n in range(30))


def test_a_sample_stays_fair_when_a_route_has_more_keys_than_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two keys, one three times as frequent, the sample has about three to one; and that it is a sample is said."""
    from headway.load.drafts import observed

    monkeypatch.setattr(observed, "ROWS", 400)
    draft = drafted(tmp_path, "".join(line(f"GET /users/{1 if n % 4 else 2} HTTP/1.1") for n in range(4_000)))
    keys = (tmp_path / "keys/get-users-id.csv").read_text().splitlines()[1:]
    assert len(keys) == 400
    assert 0.65 < keys.count("1") / 400 < 0.85
    assert any("sample of 400" in words for words in draft.remarks["parameters.user_id"])


def test_writes_are_left_out_and_counted(tmp_path: Path) -> None:
    """No body is in a log: a POST is neither asked nor replayed, and the draft says how many there were."""
    draft = drafted(
        tmp_path, line("GET /a HTTP/1.1") * 3 + line("POST /a HTTP/1.1", 201) * 2 + line("DELETE /a/7 HTTP/1.1")
    )
    assert [each.method for each in draft.scenario.routes] == ["GET"]
    assert any(note.startswith("3 requests that write") and "POST /a (2)" in note for note in draft.notes)
    assert len((tmp_path / "arrivals.jsonl").read_text().splitlines()) == 3


def test_a_log_that_only_writes_is_refused(tmp_path: Path) -> None:
    """There is nothing to send, and the error says where else to begin."""
    with pytest.raises(BadInput, match="no GET, HEAD or OPTIONS") as refused:
        drafted(tmp_path, line("POST /a HTTP/1.1"))
    assert "--openapi" in refused.value.next_act


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("hello\nworld\n", "none of 2 lines is a request; line 1 is not in a format known here: 'hello'"),
    ],
)
def test_a_log_without_a_request_is_refused_with_its_line(tmp_path: Path, text: str, what: str) -> None:
    """Nothing is made of nothing."""
    with pytest.raises(BadInput) as refused:
        drafted(tmp_path, text)
    assert what in str(refused.value)


def test_gzip_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    """A rotated log is packed; half of one is no log."""
    packed = gzip.compress(line("GET /a HTTP/1.1").encode() * 500)
    assert drafted(tmp_path, packed).scenario.routes[0].weight == 500
    with pytest.raises(BadInput, match="damaged gzip"):
        drafted(tmp_path, packed[:-20])


def test_unreadable_lines_are_counted_with_the_first(tmp_path: Path) -> None:
    """A log with odd lines is still a log; how many, and where, is said."""
    draft = drafted(tmp_path, line("GET /a HTTP/1.1") + "odd\n" + line("-", 400))
    assert draft.notes[0] == "2 lines of 3 could not be read; the first is line 2: not in a format known here."


def test_statuses_that_are_good_answers_are_proposed(tmp_path: Path) -> None:
    """A key that is gone is answered 404 and is no failure; a 500, a 401 and a 499 are."""
    text = line("GET /a/1 HTTP/1.1") * 90 + line("GET /a/2 HTTP/1.1", 404) * 5
    text += "".join(line("GET /a/3 HTTP/1.1", status) for status in (500, 401, 499))
    (route,) = drafted(tmp_path, text).scenario.routes
    assert route.expect_status == (200, 404)


def test_secrets_in_urls_are_not_written_down(tmp_path: Path) -> None:
    """Neither in the scenario nor in the keys nor in the replay."""
    draft = drafted(tmp_path, "".join(line(f"GET /a/{n}?access_token=s3cr3t{n}&x={n} HTTP/1.1") for n in range(5)))
    assert draft.scenario.routes[0].path == "/a/{a.a_id}?access_token=${ACCESS_TOKEN}&x={a.x}"
    for file in ("arrivals.jsonl", "keys/get-a-id.csv"):
        assert "s3cr3t" not in (tmp_path / file).read_text()
    assert any("access_token (5)" in note for note in draft.notes)


def test_proposed_figures_are_the_logs(tmp_path: Path) -> None:
    """Peak rate and measured times, said with their source; a log without times has no measured figure at all."""
    timed = [
        json.dumps({"msec": 1000 + n / 100, "request": f"GET /a/{n}", "status": 200, "request_time": n % 100 / 1e3})
        for n in range(1_000)
    ]
    draft = drafted(tmp_path, "\n".join(timed))
    texts = [each.text for each in draft.proposals]
    assert texts[0] == "API response time P95 < 150 ms at 101 req/sec"
    assert "The log's P95 is 94 ms (1,000 requests" in draft.proposals[0].why
    peak = int(texts[2].split()[1])
    assert 100 <= peak <= 110  # 100 a second; arrivals are up to 0.1 s before their answers
    assert draft.baselines[0].startswith("API response: 94 ms (P95), 49 ms (P50) of 1,000 requests")
    untimed = drafted(tmp_path, line("GET /a HTTP/1.1") * 1_000)
    assert untimed.baselines == ()
    assert "measured nowhere" in untimed.proposals[0].why
    assert all(each.understood for each in (*draft.proposals, *untimed.proposals))


@pytest.mark.parametrize(("failed", "limit"), [(0, "0.1%"), (1, "0.2%"), (30, "5%"), (300, "50%"), (900, "50%")])
def test_the_error_rate_proposed_is_above_the_logs_and_can_be_settled(tmp_path: Path, failed: int, limit: str) -> None:
    """A service that fails now and then is not promised to fail less; the load lasts long enough to tell."""
    text = "".join(line("GET /a HTTP/1.1", 500 if n < failed else 200) for n in range(1_000))
    draft = drafted(tmp_path, text)
    assert draft.proposals[-1].text.startswith(f"Error rate < {limit} at")
    assert f"{failed:,} of the log's 1,000 requests were answered 5xx" in draft.proposals[-1].why
    assert draft.scenario.default_phase.duration_s >= 60


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=200), st.integers(1, 20))
def test_arrivals_come_out_in_order_however_they_went_in(times: list[int], run: int) -> None:
    """Sorted through the disk, none lost, as often as asked."""
    before, arrivals.RUN = arrivals.RUN, run
    most, arrivals.MOST_RUNS = arrivals.MOST_RUNS, 3
    try:
        with Spool() as spool:
            for number, at in enumerate(times):
                spool.add(at, number % 3, f"/{number}")
            for _ in range(2):
                found = list(spool)
                assert [at for at, _, _ in found] == sorted(times)
                assert sorted(path for _, _, path in found) == sorted(f"/{n}" for n in range(len(times)))
            seen = arrivals.pace(spool, None, stretch_s=2)
    finally:
        arrivals.RUN, arrivals.MOST_RUNS = before, most
    assert seen is not None
    assert (seen.requests, seen.first_us, seen.last_us) == (len(times), min(times), max(times))
    assert seen.peak_per_s == max(Counter(at // 1_000_000 for at in times).values())


def test_a_replay_has_each_requests_own_path_at_its_own_time(tmp_path: Path) -> None:
    """Logged at its end, a request arrived so much earlier; the first arrival is at 0 s."""
    told = [(100.0, 0.5, "/a/1"), (100.2, 0.1, "/a/2"), (101.0, 0.0, "/a/3")]
    text = "\n".join(
        json.dumps({"msec": at, "request_time": took, "request": f"GET {path} HTTP/1.1", "status": 200})
        for at, took, path in told
    )
    draft = drafted(tmp_path, text, speed=2)
    found = [json.loads(each) for each in (tmp_path / "arrivals.jsonl").read_text().splitlines()]
    assert found == [
        {"at_s": 0.0, "route": "GET /a/{id}", "path": "/a/1"},
        {"at_s": 0.6, "route": "GET /a/{id}", "path": "/a/2"},
        {"at_s": 1.5, "route": "GET /a/{id}", "path": "/a/3"},
    ]
    replay = draft.scenario.default_phase.replay
    assert replay is not None
    assert (str(replay.file), replay.speed) == ("arrivals.jsonl", 2)


def test_whole_seconds_are_spread_and_said(tmp_path: Path) -> None:
    """A combined log says the second only: 200 requests of one second do not arrive at once."""
    draft = drafted(tmp_path, "".join(line(f"GET /a/{n} HTTP/1.1") for n in range(200)))
    times = [json.loads(each)["at_s"] for each in (tmp_path / "arrivals.jsonl").read_text().splitlines()]
    assert len(set(times)) > 190
    assert 0.9 < times[-1] < 1
    assert any("say the second only" in words for words in draft.remarks["load"])
