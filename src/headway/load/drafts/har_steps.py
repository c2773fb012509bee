"""One recorded request to one route: what came from answers becomes `{name}`, secrets become `${NAME}`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from headway.load.drafts import grouping, secrets
from headway.model import Parameter, Route

if TYPE_CHECKING:
    from headway.load.drafts.correlation import Correlation
    from headway.load.drafts.har_file import Exchange

FORM = "application/x-www-form-urlencoded"
_OWN_TO_BROWSERS = re.compile(
    r":.*|sec-.*|accept-encoding|accept-language|connection|content-length|cookie|host|origin|referer|user-agent|"
    r"upgrade-insecure-requests|cache-control|pragma|if-.*|priority|dnt|te|range|expect|transfer-encoding|keep-alive|"
    r"proxy-.*|content-type|purpose|x-client-data"
)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SAFE = "-._~!$&'()*+,;=:@%"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A step's route, without what is extracted from its answer, and what is to be said of it."""

    route: Route
    remarks: tuple[str, ...] = ()


class Steps:
    """Makes routes of requests in their order; `take` a request before its answer is remembered."""

    def __init__(self, correlation: Correlation) -> None:
        self._correlation = correlation
        self._keys: dict[tuple[str, str], str] = {}
        self.parameters: dict[str, Parameter] = {}
        self.remarks: dict[str, tuple[str, ...]] = {}
        self.secrets: set[str] = set()
        self.dropped_cookies: set[str] = set()

    def take(self, exchange: Exchange) -> Recorded:
        """One request as a route."""
        path, _, query = exchange.target.partition("?")
        named, filled = self._path(path)
        remarks: list[str] = []
        headers = self._headers(exchange)
        body = self._body(exchange, headers, remarks)
        if exchange.status >= 400:
            remarks.append(f"Answered {exchange.status} in the recording, and so expected here.")
        return Recorded(
            route=Route(
                name=f"{exchange.method} {named}",
                method=exchange.method,
                path=filled + (f"?{self._query(query)}" if query else ""),
                headers=tuple(headers.items()),
                body=body,
                expect_status=(exchange.status,) if exchange.status >= 400 else (),
            ),
            remarks=tuple(remarks),
        )

    def _path(self, path: str) -> tuple[str, str]:
        """(as a route is named, as it is asked)."""
        shown, filled = [], []
        before = ""
        for segment in path.split("/")[1:]:
            value = unquote(segment)
            name = self._correlation.name_of(value)
            if name is None and grouping.is_key(segment):
                name = self._key(f"{grouping.singular(before)}_id" if before else "id", value)
            if name is None:
                before = segment
                clean = quote(segment, safe=_SAFE)
                shown.append(clean)
                filled.append(clean)
            else:
                shown.append("{id}" if "{id}" not in shown else f"{{{name}}}")
                filled.append(f"{{{name}}}")
        return "/" + "/".join(shown), "/" + "/".join(filled)

    def _key(self, wanted: str, value: str) -> str:
        """The parameter for a key that the visitor typed or followed: one for each value, as a visit draws it once."""
        name = self._keys.get((wanted, value))
        if name is None:
            name = self._keys[wanted, value] = self._correlation.fresh(wanted)
            self.parameters[name] = Parameter(name=name, distribution="values", values=(value,))
            self.remarks[name] = (
                f'GUESS: the visit had this one. Put real ones here, for example csv = {{ file = "{name}.csv" }}.',
            )
        return name

    def _query(self, query: str) -> str:
        parts = []
        for part in query.split("&"):
            key, equals, value = part.partition("=")
            name = self._correlation.name_of(unquote_plus(value)) if value else None
            if name is not None:
                value = f"{{{name}}}"
            elif value and secrets.is_secret(unquote_plus(key)):
                value = self._secret(unquote_plus(key))
            else:
                value = quote(value, safe=_SAFE + "/?")
            parts.append(f"{quote(key, safe=_SAFE + '/?')}{equals}{value}")
        return "&".join(parts)

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in exchange.headers:
            if _OWN_TO_BROWSERS.fullmatch(name) or not _HEADER.fullmatch(name) or (name, value) == ("accept", "*/*"):
                continue
            clean = re.sub(r"[\x00-\x1f\x7f]", " ", value)
            headers[name] = self._correlation.substituted(clean) or self._redacted(name, clean)
        if exchange.body is not None and exchange.media and exchange.media != "application/json":
            given = next((value for name, value in exchange.headers if name == "content-type"), exchange.media)
            headers["content-type"] = re.sub(r"[\x00-\x1f\x7f]", " ", given)
        brought = [name for name in exchange.cookies if name not in self._correlation.cookies]
        self.dropped_cookies |= {name for name in brought if not secrets.is_secret(name)}
        own = [f"{name}={self._secret(f'cookie_{name}')}" for name in brought if secrets.is_secret(name)]
        if own:
            headers["cookie"] = "; ".join(own)
        return headers

    def _redacted(self, name: str, value: str) -> str:
        if name == "authorization":
            scheme, space, _ = value.partition(" ")
            if scheme.lower() == "basic":
                return f"Basic {self._secret('basic_user')}:{self._secret('basic_password')}"
            known = "token" if scheme.lower() == "bearer" else "authorization"
            return f"{scheme} {self._secret(known)}" if space else self._secret(known)
        return self._secret(name) if secrets.is_secret(name) else value

    def _secret(self, name: str) -> str:
        self.secrets.add(secrets.variable(name))
        return secrets.placeholder(name)

    def _body(self, exchange: Exchange, headers: dict[str, str], remarks: list[str]) -> str | None:
        if exchange.body is None:
            return None
        if exchange.media == FORM:
            fields = parse_qsl(exchange.body, keep_blank_values=True)
            return "&".join(f"{quote(key, safe='')}={self._field(key, value)}" for key, value in fields)
        if "json" in exchange.media:
            try:
                told = json.loads(exchange.body)
            except (ValueError, RecursionError):
                told = None
            if isinstance(told, dict | list):
                return self._json(told, "")
        if "multipart" in exchange.media:
            remarks.append("A body of several parts, as recorded: look for secrets in it before you commit it.")
        return self._correlation.substituted(exchange.body) or exchange.body

    def _field(self, key: str, value: str) -> str:
        name = self._correlation.name_of(value)
        if name is not None:
            return f"{{{name}}}"
        return self._secret(key) if value and secrets.is_secret(key) else quote(value, safe="")

    def _json(self, node: Any, key: str) -> str:
        """The value as JSON text, with what stands for something else in its place."""
        if isinstance(node, dict):
            inside = ", ".join(f"{json.dumps(name)}: {self._json(below, name)}" for name, below in node.items())
            return "{" + inside + "}"
        if isinstance(node, list):
            return "[" + ", ".join(self._json(each, key) for each in node) + "]"
        if isinstance(node, str):
            name = self._correlation.name_of(node)
            said = f"{{{name}}}" if name else self._secret(key) if node and secrets.is_secret(key) else None
            return json.dumps(node, ensure_ascii=False) if said is None else f'"{said}"'
        if isinstance(node, int) and not isinstance(node, bool) and (name := self._correlation.name_of(str(node))):
            return f"{{{name}}}"
        return json.dumps(node)
