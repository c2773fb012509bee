"""One operation of an OpenAPI document to one route, with the parameters it needs and what is to be said of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from headway.load.drafts import secrets
from headway.load.drafts.draft import WRITES
from headway.load.drafts.grouping import identifier, singular
from headway.load.drafts.openapi_document import METHODS, table
from headway.load.drafts.samples import Sampler, bounds, kind_of, stated, text
from headway.model import Parameter, Route

if TYPE_CHECKING:
    from headway.load.drafts.openapi_document import Document, Table

GUESSED_KEYS = 100
WIDEST_RANGE = 1_000_000
"""A range that a schema allows says which numbers are well-formed; one this wide says nothing about which exist."""
MOST_VALUES = 1_000
FORM = "application/x-www-form-urlencoded"
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json")


@dataclass(kw_only=True)
class Operation:
    """One operation while its route is made."""

    method: str
    path: str  # with the server's base path
    detail: Table
    given: list[Table]  # its parameters, references followed, the path's own first


@dataclass(kw_only=True)
class Made:
    """A route, its parameters and what is to be said of it."""

    route: Route
    parameters: dict[str, Parameter] = field(default_factory=dict)
    remarks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cannot: str | None = None  # why it is not asked


def operations(document: Document) -> list[Operation]:
    """Every operation of the document, in its order."""
    found = []
    base = document.base[1]
    for path, node in table(document.tree.get("paths")).items():
        item = document.followed(node)
        for method in METHODS:
            if path.startswith("/") and isinstance(item.get(method), dict):
                detail = item[method]
                given: dict[tuple[str, str], Table] = {}
                for one in (*_list(item.get("parameters")), *_list(detail.get("parameters"))):
                    known = document.followed(one)
                    given[str(known.get("in")), str(known.get("name"))] = known
                found.append(
                    Operation(method=method.upper(), path=f"{base}{path}", detail=detail, given=list(given.values()))
                )
    return found


class Maker:
    """Makes routes; parameters of one name and one schema are shared among them."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known: dict[str, str] = {}  # parameter -> its schema
        self.guessed: list[str] = []
        self.secrets: set[str] = set()

    def route(self, operation: Operation) -> Made:
        """One operation as a route."""
        name = f"{operation.method} {operation.path}"
        made = Made(route=Route(name=name, method=operation.method, path=operation.path))
        path = self._path(operation, made)
        query, headers = self._query_and_headers(operation, made)
        headers |= self._security(operation, query)
        body = self._body(operation, made, headers)
        made.route = Route(
            name=name,
            method=operation.method,
            path=path + (f"?{'&'.join(query)}" if query else ""),
            headers=tuple(headers.items()),
            body=body,
            expect_status=_good(operation) if operation.method in WRITES else (),
        )
        if operation.detail.get("deprecated") is True:
            made.remarks[name] = (*made.remarks.get(name, ()), "Deprecated, as the document says.")
        return made

    def _path(self, operation: Operation, made: Made) -> str:
        declared = {str(each.get("name")): each for each in operation.given if each.get("in") == "path"}
        found, before = [], ""
        for template in operation.path.split("/"):
            segment = template
            for key in re.findall(r"\{([^{}]*)\}", template):
                detail = declared.get(key, {"name": key, "schema": {}})
                word = identifier(key)
                wanted = (
                    f"{identifier(singular(before))}_{word}"
                    if word in {"id", "name", "key", "slug"} and before
                    else word
                )
                segment = segment.replace("{" + key + "}", "{" + self._parameter(wanted, detail, operation, made) + "}")
            if "{" not in segment:
                before = segment
            found.append(quote(segment, safe="{}:@!$&'()*+,;=~%-._"))
        return "/".join(found)

    def _query_and_headers(self, operation: Operation, made: Made) -> tuple[list[str], dict[str, str]]:
        query: list[str] = []
        headers: dict[str, str] = {}
        left = []
        for each in operation.given:
            place, key = each.get("in"), str(each.get("name"))
            asked = each.get("required") is True or bool(_examples(self._document, each))
            if place in {"query", "header", "cookie"} and not asked:
                left.append(key)
            elif place == "query":
                query.append(f"{quote(key, safe='[]')}={self._value(each, key, operation, made)}")
            elif place == "header" and key.lower() not in {"accept", "content-type", "authorization"}:
                headers[key.lower()] = self._value(each, key, operation, made)
            elif place == "cookie":
                self._cookie(headers, f"{key}={self._value(each, key, operation, made)}")
        if left:
            name = made.route.name
            made.remarks[name] = (
                *made.remarks.get(name, ()),
                f"Not asked with, since it is optional: {', '.join(left)}.",
            )
        return query, headers

    def _value(self, detail: Table, key: str, operation: Operation, made: Made) -> str:
        if secrets.is_secret(key):
            return self._secret(key)
        examples = _examples(self._document, detail)
        if len(examples) == 1 and (value := _plain(examples[0])):
            return quote(value, safe="") if detail.get("in") == "query" else value
        return "{" + self._parameter(identifier(key), detail, operation, made) + "}"

    def _secret(self, key: str) -> str:
        self.secrets.add(secrets.variable(key))
        return secrets.placeholder(key)

    def _cookie(self, headers: dict[str, str], pair: str) -> None:
        headers["cookie"] = "; ".join(filter(None, (headers.get("cookie"), pair)))

    def _parameter(self, wanted: str, detail: Table, operation: Operation, made: Made) -> str:
        """The name of the scenario's parameter for it: the same for the same schema, another where it differs."""
        sampler = Sampler(self._document)
        schema = sampler.whole(detail.get("schema") or _content_schema(self._document, detail))
        described = json.dumps([schema, _examples(self._document, detail)], sort_keys=True, default=str)
        words = [each for each in operation.path.split("/") if each and "{" not in each]
        longer = f"{identifier(singular(words[-1]))}_{wanted}" if words else wanted
        name = next(
            each for each in (wanted, longer, *(f"{longer}_{number}" for number in range(2, 10_000)))
            if self._known.setdefault(each, described) == described
        )  # fmt: skip
        parameter, words_of_it = self._source(name, detail, schema)
        made.parameters[name] = parameter
        said = detail.get("description")
        told = (f"{wanted}: {said}",) if isinstance(said, str) and said.strip() else ()
        made.remarks[f"parameters.{name}"] = (*told, *words_of_it)
        return name

    def _source(self, name: str, detail: Table, schema: Table) -> tuple[Parameter, tuple[str, ...]]:
        examples = [_plain(each) for each in _examples(self._document, detail) if each is not None and _plain(each)]
        if examples:
            values = tuple(dict.fromkeys(examples))[:MOST_VALUES]
            told = (
                () if len(values) > 1 else ("The only value the document names: other values may cost more, or less.",)
            )
            return Parameter(name=name, distribution="values", values=values), told
        kind = kind_of(schema)
        if kind == "boolean":
            return Parameter(name=name, distribution="values", values=("true", "false")), ()
        if kind == "integer":
            low, high = bounds(schema)
            first = int(low) if low is not None else 1
            if low is not None and high is not None and high - low < WIDEST_RANGE:
                return Parameter(name=name, distribution="uniform", low=first, high=int(high)), (
                    "All that the document allows, each as likely: whether they exist, and which are wanted, it does "
                    "not say.",
                )
            first = max(first, 1) if high is None or high >= GUESSED_KEYS else first
            last = first + GUESSED_KEYS - 1 if high is None else min(int(high), first + GUESSED_KEYS - 1)
            return Parameter(name=name, distribution="uniform", low=first, high=last), self._guess(name)
        value = _plain(Sampler(self._document).sample(schema, name)) if kind in {"number", "array"} else text(schema)
        pattern = schema.get("pattern")
        more = (f"It has to match {pattern}",) if isinstance(pattern, str) else ()
        return Parameter(name=name, distribution="values", values=(value or "1",)), (*self._guess(name), *more)

    def _guess(self, name: str) -> tuple[str, ...]:
        if name not in self.guessed:
            self.guessed.append(name)
        return (
            f"GUESS: the document does not say which values exist. Put real ones here, for example "
            f'csv = {{ file = "{name}.csv" }}, or query = {{ sql = "SELECT ..." }}, with an exponent if some are '
            "wanted more.",
        )

    def _security(self, operation: Operation, query: list[str]) -> dict[str, str]:
        wanted = operation.detail.get("security", self._document.tree.get("security"))
        schemes = table(table(self._document.tree.get("components")).get("securitySchemes"))
        headers: dict[str, str] = {}
        options = [table(each) for each in _list(wanted)]
        if not options or {} in options:
            return headers  # none, or as well without
        for name in options[0]:
            scheme = self._document.followed(schemes.get(name))
            kind, key = scheme.get("type"), str(scheme.get("name", name))
            if kind == "http" and str(scheme.get("scheme")).lower() == "basic":
                headers["authorization"] = f"Basic {self._secret('basic_user')}:{self._secret('basic_password')}"
            elif kind in {"http", "oauth2", "openIdConnect"}:
                headers["authorization"] = f"Bearer {self._secret('token')}"
            elif kind == "apiKey" and scheme.get("in") == "header":
                headers[key.lower()] = self._secret(key)
            elif kind == "apiKey" and scheme.get("in") == "query":
                query.append(f"{quote(key, safe='')}={self._secret(key)}")
            elif kind == "apiKey":
                self._cookie(headers, f"{key}={self._secret(key)}")
        return headers

    def _body(self, operation: Operation, made: Made, headers: dict[str, str]) -> str | None:
        body = self._document.followed(operation.detail.get("requestBody"))
        content = table(body.get("content"))
        if not content:
            return None
        media = next((each for each in content if _JSON.match(each)), FORM if FORM in content else None)
        if media is None:
            made.cannot = f"its body is {', '.join(map(str, content))}, which is not written here"
            return None
        detail = table(content[media])
        sampler = Sampler(self._document)
        examples = _named_examples(self._document, detail)
        value = examples[0] if examples else sampler.sample(detail.get("schema"))
        if media != "application/json":
            headers["content-type"] = media
        if sampler.guessed:
            name = made.route.name
            made.remarks[name] = (
                *made.remarks.get(name, ()), f"GUESS in the body: {', '.join(dict.fromkeys(sampler.guessed))}."
            )  # fmt: skip
        if media == FORM:
            return urlencode({key: _plain(each) for key, each in table(value).items()})
        return json.dumps(value, ensure_ascii=False, default=str)


def _good(operation: Operation) -> tuple[int, ...]:
    """The statuses under 400 that the document names for the operation."""
    named = [str(each) for each in table(operation.detail.get("responses"))]
    return tuple(sorted(int(each) for each in named if re.fullmatch(r"[23]\d\d", each)))


def _examples(document: Document, detail: Table) -> list[Any]:
    """Values that a parameter or its schema names, its own examples first."""
    own = _named_examples(document, detail)
    return own or stated(Sampler(document).whole(detail.get("schema") or _content_schema(document, detail)))


def _named_examples(document: Document, detail: Table) -> list[Any]:
    if "example" in detail:
        return [detail["example"]]
    named = [document.followed(each) for each in table(detail.get("examples")).values()]
    return [each["value"] for each in named if "value" in each]


def _content_schema(document: Document, detail: Table) -> Any:
    first: Any = next(iter(table(detail.get("content")).values()), {})
    return document.followed(first).get("schema", {})


def _plain(value: Any) -> str:
    """A value as it stands in a URL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_plain, value))
    return json.dumps(value) if isinstance(value, dict) else "" if value is None else str(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
