"""An OpenAPI 3.0 or 3.1 document: fetched or read, and its references followed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from headway.conventions import USER_AGENT
from headway.errors import BadInput

LARGEST_BYTES = 32 << 20
FETCH_TIMEOUT_S = 15.0
DEEPEST_REFERENCES = 50
METHODS = ("get", "head", "options", "post", "put", "patch", "delete")
EXAMPLE = "name an OpenAPI 3.0 or 3.1 document, in JSON or YAML"

Table = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document that was read; `source` is its file or URL."""

    source: str
    tree: Table

    @property
    def title(self) -> str:
        """What the service is called."""
        title = table(self.tree.get("info")).get("title")
        return title.strip() if isinstance(title, str) and title.strip() else "service"

    @property
    def paths(self) -> tuple[str, ...]:
        """The templates of its paths, with the server's base path before them."""
        base = self.base[1]
        return tuple(f"{base}{path}" for path in table(self.tree.get("paths")) if path.startswith("/"))

    @property
    def base(self) -> tuple[str | None, str]:
        """(scheme, host and port; None when the document names none), (path before every path, without last "/")."""
        servers = self.tree.get("servers")
        server = table(servers[0]) if isinstance(servers, list) and servers else {}
        url = str(server.get("url", "/"))
        for name, detail in table(server.get("variables")).items():
            url = url.replace("{" + name + "}", str(table(detail).get("default", "")))
        whole = urljoin(self.source, url) if urlsplit(self.source).scheme in {"http", "https"} else url
        parts = urlsplit(whole)
        origin = f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} and parts.netloc else None
        return origin, "".join(each if each not in "{}" else "" for each in parts.path).rstrip("/")

    def followed(self, node: Any) -> Table:
        """
        The object itself, or what its `$ref` leads to; empty when that is nowhere in this document.

        A chain that never ends, as two references to each other, is empty too.
        """
        for _ in range(DEEPEST_REFERENCES):
            found = table(node)
            pointer = found.get("$ref")
            if not isinstance(pointer, str):
                return found
            if not pointer.startswith("#/"):
                return {}  # another file: nothing of it is known here
            node = self.tree
            for step in pointer[2:].split("/"):
                node = table(node).get(unquote(step).replace("~1", "/").replace("~0", "~"))
        return {}


def table(value: Any) -> Table:
    """The value when it is an object, else an empty one: what strangers write is looked into, not trusted."""
    return value if isinstance(value, dict) else {}


def read(source: str) -> Document:
    """
    Read a document.

    Args:
        source: a file, or an http(s) URL, of which this one document is fetched.

    Raises:
        BadInput: it cannot be had, is neither JSON nor YAML (with line and column), or is no OpenAPI 3.
    """
    remote = urlsplit(source).scheme in {"http", "https"}
    raw = _fetched(source) if remote else _read(Path(source))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadInput("is not UTF-8", next_act=EXAMPLE, file=source) from exc
    tree = _parsed(text, source)
    if not isinstance(tree, dict) or not ({"openapi", "swagger"} & tree.keys()):
        raise BadInput('is no OpenAPI document: it has no "openapi" at its top', next_act=EXAMPLE, file=source)
    version = str(tree.get("openapi", tree.get("swagger")))
    if not version.startswith(("3.0", "3.1")):
        raise BadInput(f"is OpenAPI {version}", next_act="convert it to OpenAPI 3.0 or 3.1", file=source)
    if not table(tree.get("paths")):
        raise BadInput("has no paths", next_act="name the document that has them", file=source)
    return Document(source=source, tree=tree)


def _read(file: Path) -> bytes:
    try:
        if file.is_dir():
            raise BadInput("is a folder", next_act=EXAMPLE, file=file)
        with file.open("rb") as stream:
            raw = stream.read(LARGEST_BYTES + 1)
    except OSError as exc:
        raise BadInput(f"cannot be read: {exc.strerror}", next_act=EXAMPLE, file=file) from exc
    if len(raw) > LARGEST_BYTES:
        raise BadInput("is over 32 MiB", next_act=EXAMPLE, file=file)
    return raw


def _fetched(url: str) -> bytes:
    asked = urllib.request.Request(  # noqa: S310 - read() lets only http and https come here
        url, headers={"user-agent": USER_AGENT, "accept": "application/json, application/yaml, */*;q=0.5"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=FETCH_TIMEOUT_S) as answer:  # noqa: S310 - as above
            raw: bytes = answer.read(LARGEST_BYTES + 1)
    except urllib.error.HTTPError as exc:
        act = "name the document's own URL; frameworks serve it at /openapi.json, /v3/api-docs or /swagger.json"
        raise BadInput(f"{url} answers {exc.code}", next_act=act) from exc
    except (OSError, HTTPException, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        raise BadInput(f"{url} cannot be fetched: {reason}", next_act="start the service, or mend the URL") from exc
    if len(raw) > LARGEST_BYTES:
        raise BadInput(f"{url} is over 32 MiB", next_act=EXAMPLE)
    return raw


def _parsed(text: str, source: str) -> Any:
    import yaml

    if text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except json.JSONDecodeError as exc:
            if source.endswith((".json", "/openapi.json")) or "\n---" not in text:
                raise BadInput(
                    f"is not JSON: {exc.msg}, column {exc.colno}", next_act="mend it", file=source, line=exc.lineno
                ) from exc
        except RecursionError as exc:
            raise BadInput("is nested too deeply", next_act=EXAMPLE, file=source) from exc
    try:
        return yaml.load(text, Loader=_text_dates(yaml))  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        column = "" if mark is None else f", column {mark.column + 1}"
        raise BadInput(
            f"is not YAML: {exc.problem or exc.context}{column}", next_act="mend it", file=source,
            line=None if mark is None else mark.line + 1,
        ) from exc  # fmt: skip
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise BadInput(f"is not YAML: {str(exc).splitlines()[0]}", next_act=EXAMPLE, file=source) from exc


def _text_dates(yaml: Any) -> Any:
    """A SafeLoader for which 2025-01-31 is text, as it is in JSON."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # the module is handed in, since it is imported late
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
