"""What `headway init --har` makes of a browser's recording. The archive is one that Chromium wrote, trimmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.load.drafts import from_har, text
from headway.load.drafts.draft import Draft
from headway.model import Extraction

VISIT = Path(__file__).parents[1] / "made/init/visit.har"
SECRETS = ("correct-horse-battery", "5e555e555e555e555e55", "eee51033c8247d3ba2f58c479f6c9b48")

Table = dict[str, Any]


def drafted(har: Path = VISIT, *, host: str | None = None, writes: bool = True) -> Draft:
    """The draft of an archive."""
    return from_har.draft(har, name=None, host=host, writes=writes)


def entry(url: str, *, at_s: float = 0.0, answer: object = None, headers: Table | None = None, **more: Any) -> Table:
    """One exchange as browsers write it, its answer JSON or text."""
    body = answer if isinstance(answer, str) else json.dumps(answer)
    request = {"method": "GET", "url": url, "headers": [{"name": n, "value": v} for n, v in (headers or {}).items()]}
    told = {
        "startedDateTime": f"2026-01-01T00:00:{at_s:09.6f}Z", "time": 10,
        "request": {**request, **more.pop("request", {})},
        "response": {
            "status": 200, "headers": [], "content": {"mimeType": "application/json", "text": body},
            **more.pop("response", {}),
        },
    }  # fmt: skip
    return {**told, **more}


def archive(folder: Path, *entries: Table) -> Path:
    """An archive with these entries."""
    file = folder / "made.har"
    file.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": "test"}, "entries": list(entries)}}))
    return file


def test_the_visit_is_a_journey_with_its_pauses() -> None:
    """Steps in the order they began; a pause where the person made one, none where the browser only worked."""
    (journey,) = drafted().scenario.journeys
    names = [drafted().scenario.routes[step.route].name for step in journey.steps]
    assert names == [
        "GET /", "GET /static/site.css", "GET /static/site.js", "GET /api/products", "POST /api/login",
        "GET /api/carts/current", "GET /api/products/{id}", "GET /api/carts/{id}", "POST /api/carts/{id}/items",
        "GET /about",
    ]  # fmt: skip
    pauses = [0.0 if step.think is None else step.think.low_s for step in journey.steps]
    assert [pause > 0 for pause in pauses] == [False] * 3 + [True] + [False] * 3 + [True, True, False]
    assert pauses[3] == pytest.approx(0.88, abs=0.05)  # the recording waited 0.7 s, and evaluating took its time
    assert all(route.weight == 0 for route in drafted().scenario.routes)


def test_what_answers_gave_is_taken_from_answers() -> None:
    """The token, the cart and the product are this visitor's own: each visit extracts them anew."""
    routes = {each.name: each for each in drafted().scenario.routes}
    assert routes["GET /api/products"].extract == (
        Extraction(name="item_id", source="json", expression="$.items[1].id"),
    )
    assert [each.expression for each in routes["POST /api/login"].extract] == ["$.access_token"]
    assert dict(routes["GET /api/carts/{id}"].headers)["authorization"] == "Bearer {access_token}"
    assert routes["POST /api/carts/{id}/items"].path == "/api/carts/{cart_id}/items"
    assert json.loads(str(routes["POST /api/carts/{id}/items"].body)) == {"product": "{item_id}", "count": 1}


@pytest.mark.parametrize("writes", [True, False])
def test_no_secret_is_written_down(writes: bool) -> None:
    """Neither the password nor the session nor the token: they become ${NAME}s, and which is said."""
    draft = drafted(writes=writes)
    rendered = text.render(draft)
    for secret in SECRETS:
        assert secret in VISIT.read_text()
        assert secret not in rendered
    wanted = "PASSWORD" if writes else "COOKIE_SESSION, TOKEN"
    assert any(note.endswith(f"before the run: {wanted}.") for note in draft.notes)


def test_writes_are_left_out_unless_asked_for() -> None:
    """The login and the order are not repeated by surprise, and the draft says which they are."""
    draft = drafted(writes=False)
    assert {each.method for each in draft.scenario.routes} == {"GET"}
    assert any("POST /api/login" in note and "--writes" in note for note in draft.notes)


def test_other_hosts_are_left_out_and_said() -> None:
    """The page's host is loaded; another is chosen by name; one that is not there is refused with those that are."""
    draft = drafted()
    assert draft.target_url == "http://127.0.0.1:8000"
    assert any("http://127.0.0.1:8001 (1)" in note for note in draft.notes)
    assert [each.path for each in drafted(host="127.0.0.1:8001").scenario.routes] == ["/pixel.svg"]
    with pytest.raises(BadInput, match="no request to 'example") as refused:
        drafted(host="example.com")
    assert "127.0.0.1:8000, 127.0.0.1:8001" in refused.value.next_act


def test_a_cookies_value_sent_in_a_header_is_extracted(tmp_path: Path) -> None:
    """Double-submit tokens: the cookie goes by itself, the header needs the value."""
    first = entry(
        "http://a/", answer="<html>", response={
            "status": 200, "headers": [{"name": "Set-Cookie", "value": "XSRF-TOKEN=abcdef123456; Path=/"}],
            "content": {"mimeType": "text/html", "text": ""},
        },
    )  # fmt: skip
    second = entry("http://a/x", at_s=1, headers={"X-XSRF-TOKEN": "abcdef123456", "Cookie": "XSRF-TOKEN=abcdef123456"})
    routes = drafted(archive(tmp_path, first, second)).scenario.routes
    assert routes[0].extract == (Extraction(name="xsrf_token", source="cookie", expression="XSRF-TOKEN"),)
    assert routes[1].headers == (("x-xsrf-token", "{xsrf_token}"),)


def test_a_value_in_a_form_is_found_by_what_stands_before_it(tmp_path: Path) -> None:
    """A hidden field of HTML, sent back in a form."""
    page = '<form><input type="hidden" name="csrf" value="t0ken-12345678"></form>'
    first = entry("http://a/", response={"status": 200, "content": {"mimeType": "text/html", "text": page}})
    post = {"mimeType": "application/x-www-form-urlencoded", "text": "csrf=t0ken-12345678&note=a+b&password=hunter22"}
    second = entry("http://a/x", at_s=1, request={"method": "POST", "postData": post})
    one, other = drafted(archive(tmp_path, first, second)).scenario.routes
    assert one.extract[0].source == "regex"
    assert other.body == f"csrf={{{one.extract[0].name}}}&note=a%20b&password=${{PASSWORD}}"


def test_keys_the_visitor_had_are_parameters_and_guesses(tmp_path: Path) -> None:
    """One parameter for each value, since a visit draws it once; the same key in two steps is the same."""
    urls = ("http://a/users/7", "http://a/users/7/orders", "http://a/users/8")
    draft = drafted(archive(tmp_path, *(entry(url, at_s=n) for n, url in enumerate(urls))))
    assert [each.path for each in draft.scenario.routes] == [
        "/users/{user_id}",
        "/users/{user_id}/orders",
        "/users/{user_id_2}",
    ]
    assert [each.values for each in draft.scenario.parameters] == [("7",), ("8",)]
    assert [each.name for each in draft.scenario.routes] == [
        "GET /users/{id}",
        "GET /users/{id}/orders",
        "GET /users/{id} (2)",
    ]
    assert any(words.startswith("GUESS") for words in draft.remarks["parameters.user_id"])


def test_entries_that_were_never_sent_are_left_out(tmp_path: Path) -> None:
    """The browser's cache, preflights, WebSockets, data: URLs and what was blocked: each said with its count."""
    entries = (
        entry("http://a/", _fromCache="memory"), entry("data:text/plain,x"),
        entry("http://a/b", response={"status": 0}),
        entry("http://a/c", request={"method": "OPTIONS"}), entry("http://a/ws", response={"status": 101}),
        entry("http://a/d"),
    )  # fmt: skip
    draft = drafted(archive(tmp_path, *entries))
    assert [each.path for each in draft.scenario.routes] == ["/d"]
    assert sum("left out" in note for note in draft.notes) == 4


def test_the_same_request_twice_is_one_route(tmp_path: Path) -> None:
    """Asked twice in the journey, told once."""
    draft = drafted(archive(tmp_path, *(entry("http://a/b", at_s=n) for n in range(2))))
    assert len(draft.scenario.routes) == 1
    assert [each.route for each in draft.scenario.journeys[0].steps] == [0, 0]


def test_an_error_in_the_recording_is_expected_again(tmp_path: Path) -> None:
    """A missing icon must not end the journey; that it is expected is said."""
    draft = drafted(archive(tmp_path, entry("http://a/favicon.ico", response={"status": 404})))
    assert draft.scenario.routes[0].expect_status == (404,)
    assert "Answered 404" in draft.remarks["GET /favicon.ico"][0]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"log": {"entries": [\n{"a": 1},\n', "made.har:3: is not JSON: Expecting value, column 1"),
        ("[]", 'is no HTTP archive: it has no "log" with "entries"'),
        ('{"log": {"entries": []}}', "holds no request over HTTP: it has no entries"),
        (
            '{"log": {"entries": [1, null, {"request": {"url": "http://["}}]}}',
            "has no URL or no time that can be read (3)",
        ),
        ("", "is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_what_is_no_archive_is_refused_with_what_and_where(tmp_path: Path, content: str | bytes, what: str) -> None:
    """One line, and what to do."""
    file = tmp_path / "made.har"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadInput) as refused:
        drafted(file)
    assert what in str(refused.value)


FIELDS = ["name", "value", "text", "mimeType", "params", "id", "a b", "'"]
LEAF = st.none() | st.integers(-5, 1 << 40) | st.floats(allow_nan=False) | st.text(max_size=12)
ANYTHING = st.recursive(
    LEAF,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=120)
@given(
    st.lists(
        st.fixed_dictionaries({
            "url": st.sampled_from(["http://a/x/12345678", "http://a/?q=abcd1234", "http://a:99999/", "http://a/%ff/{x}"]),
            "method": st.sampled_from(["GET", "POST", "get", "BREW", ""]),
            "answer": ANYTHING, "headers": ANYTHING, "post": ANYTHING, "body": ANYTHING,
            "status": ANYTHING | st.just(200),
        }),
        max_size=5,
    )
)  # fmt: skip
def test_an_archive_of_strange_forms_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, told: list[Table]
) -> None:
    """Whatever stands where, it is a draft that can be written, or bad input."""
    entries = [
        {
            "startedDateTime": f"2026-01-01T00:00:0{n}Z", "time": each["status"],
            "request": {
                "url": each["url"], "method": each["method"], "headers": each["headers"], "postData": each["post"],
            },
            "response": {
                "status": 200 if each["status"] is None else each["status"], "headers": each["headers"],
                "content": {"mimeType": "application/json", "text": json.dumps(each["answer"])},
            },
        }
        for n, each in enumerate(told)
    ]  # fmt: skip
    file = archive(tmp_path_factory.getbasetemp(), *entries)
    try:
        draft = drafted(file)
    except BadInput:
        return
    assert text.render(draft)
