"""What `headway init --openapi` makes of documents."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.load.drafts import from_openapi, openapi_document, text
from headway.load.drafts.draft import Draft
from headway.load.drafts.openapi_document import Document
from headway.load.drafts.samples import Sampler

Table = dict[str, Any]


def operation(*parameters: Table, **more: Any) -> Table:
    """An operation with these parameters."""
    return {"parameters": list(parameters), "responses": {"200": {"description": "good"}}, **more}


def drafted(paths: Table, *, writes: bool = False, **more: Any) -> Draft:
    """The draft of a document with these paths."""
    tree = {"openapi": "3.1.0", "info": {"title": "Shop API", "version": "1"}, "paths": paths, **more}
    return from_openapi.draft(Document(source="openapi.json", tree=tree), name=None, writes=writes)


def key(name: str, schema: Table | None = None, place: str = "path", **more: Any) -> Table:
    """A parameter."""
    return {"name": name, "in": place, "required": True, "schema": schema or {"type": "integer"}, **more}


def test_what_writes_is_a_comment_unless_it_is_asked_for() -> None:
    """A load that deletes by surprise is a fault: only GETs have weight, the rest is there to be uncommented."""
    paths = {
        "/users/{id}": {"get": operation(key("id")), "delete": operation(key("id"))},
        "/orders": {"post": operation()},
    }
    careful = drafted(paths)
    assert [each.name for each in careful.scenario.routes] == ["GET /users/{id}"]
    assert [each.name for each in careful.asleep] == ["DELETE /users/{id}", "POST /orders"]
    rendered = text.render(careful)
    assert '#method = "DELETE"' in rendered
    assert '\nmethod = "DELETE"' not in rendered
    assert len(drafted(paths, writes=True).scenario.routes) == 3


def test_keys_of_different_things_are_different_parameters() -> None:
    """{id} of /users and {id} of /products are not drawn from the same values; one of /users twice is."""
    draft = drafted({
        "/users/{id}": {"get": operation(key("id"))},
        "/users/{id}/orders": {"get": operation(key("id"))},
        "/products/{id}": {"get": operation(key("id", {"type": "string", "format": "uuid"}))},
    })  # fmt: skip
    assert [each.path for each in draft.scenario.routes] == [
        "/users/{user_id}", "/users/{user_id}/orders", "/products/{product_id}",
    ]  # fmt: skip
    user, product = draft.scenario.parameters
    assert (user.distribution, user.low) == ("uniform", 1)
    assert product.values == ("00000000-0000-4000-8000-000000000001",)


@pytest.mark.parametrize(
    ("schema", "more", "expected"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 9}, {}, ("uniform", 5, 9, ())),
        ({"type": "integer", "exclusiveMinimum": 5, "maximum": 9}, {}, ("uniform", 6, 9, ())),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": True, "maximum": 9}, {}, ("uniform", 6, 9, ())),
        ({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, {}, ("uniform", 1, 100, ())),
        ({"type": "string", "enum": ["new", "old"]}, {}, ("values", None, None, ("new", "old"))),
        ({"type": "boolean"}, {}, ("values", None, None, ("true", "false"))),
        ({"type": ["string", "null"], "examples": ["a", "b"]}, {}, ("values", None, None, ("a", "b"))),
        (
            {"type": "string"},
            {"examples": {"x": {"value": "one"}, "y": {"value": 2}}},
            ("values", None, None, ("one", "2")),
        ),
        ({"type": "string", "format": "date"}, {}, ("values", None, None, ("2025-01-31",))),
        ({"type": "string", "minLength": 10}, {}, ("values", None, None, ("examplexxx",))),
    ],
)
def test_values_are_the_documents_where_it_has_any(schema: Table, more: Table, expected: tuple[Any, ...]) -> None:
    """Examples, enumerations and bounds are used; anything else is a guess, and marked as one."""
    (parameter,) = drafted({"/a/{x}": {"get": operation(key("x", schema, **more))}}).scenario.parameters
    assert (parameter.distribution, parameter.low, parameter.high, parameter.values) == expected


def test_what_cannot_be_known_is_said_beside_it() -> None:
    """A guessed key is marked where it stands, and counted at the top; a known one is not."""
    kind = key("kind", {"type": "string", "enum": ["x", "y"]}, "query")
    draft = drafted({"/a/{id}": {"get": operation(key("id"), kind)}})
    assert any(words.startswith("GUESS") for words in draft.remarks["parameters.a_id"])
    assert not any(words.startswith("GUESS") for words in draft.remarks["parameters.kind"])
    assert any(note.startswith("1 value is a guess") for note in draft.notes)
    assert "# GUESS" in text.render(draft)


def test_a_query_has_what_is_required_or_named() -> None:
    """An optional field with a default is asked with it; one without is left out, and said."""
    get = operation(
        key("q", {"type": "string"}, "query"),
        {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 20}},
        {"name": "cursor", "in": "query", "schema": {"type": "string"}},
    )  # fmt: skip
    draft = drafted({"/search": {"get": get}})
    assert draft.scenario.routes[0].path == "/search?q={q}&limit=20"
    assert "cursor" in draft.remarks["GET /search"][0]


def test_a_body_is_the_example_or_made_from_the_schema() -> None:
    """References are followed, allOf joined, what is read-only left out; what was guessed is named."""
    schemas = {
        "Base": {"type": "object", "properties": {"id": {"type": "integer", "readOnly": True}}, "required": ["id"]},
        "User": {
            "allOf": [
                {"$ref": "#/components/schemas/Base"},
                {"properties": {
                    "name": {"type": "string"}, "role": {"enum": ["buyer"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "note": {"type": "string"},
                    "at": {"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]},
                }, "required": ["name", "tags", "at"]},
            ]
        },
    }  # fmt: skip
    body: Table = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/User"}}}}
    draft = drafted({"/users": {"post": operation(requestBody=body)}}, writes=True, components={"schemas": schemas})
    (route,) = draft.scenario.routes
    assert json.loads(str(route.body)) == {"name": "example", "role": "buyer", "tags": ["example"], "at": "2025-01-31"}
    assert "GUESS in the body: name, tags[], at." in draft.remarks["POST /users"]
    body["content"]["application/json"]["examples"] = {"one": {"value": {"name": "Ann"}}}
    (route,) = drafted({"/users": {"post": operation(requestBody=body)}}, writes=True).scenario.routes
    assert json.loads(str(route.body)) == {"name": "Ann"}


def test_forms_are_written_and_files_refused_in_words() -> None:
    """A form is percent-encoded with its type; an upload cannot be guessed and is not asked."""
    form = {"content": {"application/x-www-form-urlencoded": {"example": {"a": "x y", "b": 1}}}}
    upload: Table = {"content": {"multipart/form-data": {"schema": {}}}}
    paths = {"/form": {"post": operation(requestBody=form)}, "/upload": {"post": operation(requestBody=upload)}}
    draft = drafted(paths, writes=True)
    (route,) = draft.scenario.routes
    assert route.body == "a=x+y&b=1"
    assert route.headers == (("content-type", "application/x-www-form-urlencoded"),)
    assert any("POST /upload is not asked: its body is multipart/form-data" in note for note in draft.notes)


def test_credentials_are_placeholders() -> None:
    """Each scheme has its header, cookie or field; an operation that also works without gets none."""
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"}, "basic": {"type": "http", "scheme": "basic"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "field": {"type": "apiKey", "in": "query", "name": "key"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"}, "oauth": {"type": "oauth2", "flows": {}},
    }  # fmt: skip
    wanted = {
        "bearer": "Bearer ${TOKEN}", "basic": "Basic ${BASIC_USER}:${BASIC_PASSWORD}", "key": "${X_API_KEY}",
        "cookie": "sid=${SID}", "oauth": "Bearer ${TOKEN}",
    }  # fmt: skip
    paths = {f"/{name}": {"get": operation(security=[{name: []}])} for name in schemes}
    paths["/open"] = {"get": operation(security=[{"bearer": []}, {}])}
    draft = drafted(paths, components={"securitySchemes": schemes})
    for route in draft.scenario.routes:
        name = route.path.partition("?")[0].strip("/")
        assert dict(route.headers).get(
            {"key": "x-api-key", "cookie": "cookie"}.get(name, "authorization")
        ) == wanted.get(name)
    assert draft.scenario.routes[3].path == "/field?key=${KEY}"
    assert any("TOKEN" in note and "environment" in note for note in draft.notes)


def test_the_servers_path_comes_before_every_path() -> None:
    """As it does in the service's logs; where it is served is where the next command loads."""
    variables = {"place": {"default": "eu"}, "n": {"default": "2"}}
    servers = [{"url": "https://{place}.example.com/v{n}/", "variables": variables}]
    draft = drafted({"/users": {"get": operation()}}, servers=servers)
    assert draft.scenario.routes[0].name == "GET /v2/users"
    assert draft.target_url == "https://eu.example.com"


def test_references_in_circles_end() -> None:
    """A tree of trees, a reference to itself, to nowhere, to another file: bounded, and a value all the same."""
    schemas: Table = {
        "Tree": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "below": {"$ref": "#/components/schemas/Tree"}},
            "required": ["name", "below"],
        },
        "Self": {"$ref": "#/components/schemas/Self"},
    }  # fmt: skip
    sampler = Sampler(Document(source="x", tree={"components": {"schemas": schemas}}))
    assert sampler.sample({"$ref": "#/components/schemas/Tree"}) == {"name": "example"}
    for pointer in ("#/components/schemas/Self", "#/nowhere", "other.yaml#/x", "#/components/schemas/Tree/type/x"):
        sampler.sample({"$ref": pointer})


WORDS = [
    *("type", "properties", "items", "required", "allOf", "anyOf", "enum", "example", "$ref", "name", "in", "schema"),
    *("get", "post", "parameters", "requestBody", "content", "application/json", "responses", "security", "minimum"),
    *("minItems", "maxLength", "format", "/a/{b}", "servers", "url", "components", "examples", "minLength", "default"),
]
LEAF = st.none() | st.booleans() | st.integers(-5, 300) | st.text(max_size=6)
JSON = st.recursive(
    LEAF,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(WORDS), below, max_size=5),
    max_leaves=25,
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(["/a", "/a/{b}", "/{c}.x"]), JSON, min_size=1), JSON)
def test_a_document_of_strange_forms_is_refused_or_read(paths: Table, components: Any) -> None:
    """Whatever a document says where, it is a draft that can be written, or bad input."""
    tree = {"openapi": "3.0.3", "paths": paths, "components": components, "servers": components}
    try:
        draft = from_openapi.draft(Document(source="x", tree=tree), name="x", writes=True)
    except BadInput:
        return
    assert text.render(draft)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.json", '{"openapi": "3.0.0",\n "paths": {]}', "a.json:2: is not JSON: Expecting property name"),
        ("a.yaml", "openapi: 3.0.0\npaths: [\n", "is not YAML"),
        ("a.json", '{"swagger": "2.0", "paths": {"/": {}}}', "is OpenAPI 2.0; convert it"),
        ("a.json", "[]", 'it has no "openapi" at its top'),
        ("a.yaml", "openapi: 3.1.0\npaths: {}\n", "has no paths"),
        ("a.yaml", "just words", 'it has no "openapi" at its top'),
        ("a.json", '{"openapi": "3.1.0", "paths": {"/": {"post": {}}}}', "none of them a GET; say --writes"),
    ],
)
def test_bad_documents_are_refused_with_what_and_where(tmp_path: Path, name: str, content: str, what: str) -> None:
    """One line, and what to do."""
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput) as refused:
        from_openapi.draft(openapi_document.read(str(tmp_path / name)), name=None, writes=False)
    assert what in str(refused.value)


def test_yaml_reads_as_json_does(tmp_path: Path) -> None:
    """Statuses are numbers and dates are dates in YAML; neither changes what is made."""
    example = {"name": "day", "in": "query", "required": True, "schema": {"type": "string", "example": "2025-01-31"}}
    tree = {"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": {"/a": {"get": operation(example)}}}
    (tmp_path / "a.json").write_text(json.dumps(tree))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(tree).replace("'200'", "200").replace("'2025-01-31'", "2025-01-31"))
    one, other = (
        from_openapi.draft(openapi_document.read(str(tmp_path / name)), name=None, writes=False)
        for name in ("a.json", "a.yaml")
    )
    assert one.scenario == other.scenario
    assert one.scenario.routes[0].path == "/a?day=2025-01-31"


def test_a_url_is_fetched_and_a_refusal_told() -> None:
    """The one document named; a 404 says where documents usually are, a closed port that nothing answers."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

        def do_GET(self) -> None:
            good = self.path == "/openapi.json"
            body = json.dumps({"openapi": "3.0.0", "paths": {"/a": {"get": {}}}}).encode()
            self.send_response(200 if good else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            assert openapi_document.read(f"{url}/openapi.json").base == (url, "")
            with pytest.raises(BadInput, match="answers 404"):
                openapi_document.read(f"{url}/nothing")
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(BadInput, match="cannot be fetched"):
        openapi_document.read(f"{url}/openapi.json")
