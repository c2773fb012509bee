"""One value that a JSON schema allows: its own example where it has one, else the plainest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.load.drafts.openapi_document import table

if TYPE_CHECKING:
    from headway.load.drafts.openapi_document import Document, Table

DEEPEST = 8
MOST_ITEMS = 3
MOST_NODES = 2_000
"""Values of one sample: an object of objects of objects ends here."""
BY_FORMAT = {
    "uuid": "00000000-0000-4000-8000-000000000001", "date": "2025-01-31", "date-time": "2025-01-31T12:00:00Z",
    "time": "12:00:00Z", "email": "person@example.com", "uri": "https://example.com/", "url": "https://example.com/",
    "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "byte": "aGVhZHdheQ==", "duration": "PT1M",
}  # fmt: skip
_ABSENT = object()


class Sampler:
    """
    Makes samples of one document's schemas.

    `guessed` gets the names of what no example, default or enumeration said: a person has to look at them.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self.guessed: list[str] = []
        self._nodes = 0

    def sample(self, schema: Any, name: str = "") -> Any:
        """A value for the schema; `name` is what it is called in `guessed`."""
        self._nodes = 0
        found = self._value(schema, name, ())
        return None if found is _ABSENT else found

    def _value(self, schema: Any, name: str, above: tuple[int, ...]) -> Any:
        self._nodes += 1
        known = self.whole(schema)
        if self._nodes > MOST_NODES or len(above) >= DEEPEST or id(known) in above:
            return _ABSENT
        said = stated(known)
        if said:
            return said[0]
        kind = kind_of(known)
        if kind in {"object", "array"}:
            make = self._object if kind == "object" else self._array
            return make(known, name, (*above, id(known)))
        if kind == "null":
            return None
        self.guessed.append(name or "the body")
        return True if kind == "boolean" else number(known) if kind in {"integer", "number"} else text(known)

    def whole(self, schema: Any) -> Table:
        """The schema with its reference followed, `allOf` joined, and one of `oneOf` or `anyOf` that is no null."""
        return self._whole(schema, 0)

    def _whole(self, schema: Any, depth: int) -> Table:
        known = self._document.followed(schema)
        if depth > DEEPEST:
            return known
        for key in ("oneOf", "anyOf"):
            choices = [self._document.followed(each) for each in _list(known.get(key))]
            real = [each for each in choices if each.get("type") != "null"]
            if real:
                known = _joined(known, self._whole(real[0], depth + 1), without=key)
        parts = _list(known.get("allOf"))
        for part in parts:
            known = _joined(known, self._whole(part, depth + 1), without="allOf")
        return known

    def _object(self, known: Table, name: str, above: tuple[int, ...]) -> Table:
        required = [each for each in _list(known.get("required")) if isinstance(each, str)]
        found = {}
        for key, schema in table(known.get("properties")).items():
            part = self.whole(schema)
            if part.get("readOnly") is True or (key not in required and not stated(part)):
                continue
            value = self._value(schema, f"{name}.{key}" if name else str(key), above)
            if value is not _ABSENT:
                found[str(key)] = value
        return found

    def _array(self, known: Table, name: str, above: tuple[int, ...]) -> list[Any]:
        least = known.get("minItems")
        count = min(max(1, least if isinstance(least, int) else 1), MOST_ITEMS)
        found = [self._value(known.get("items"), f"{name}[]", above) for _ in range(count)]
        return [each for each in found if each is not _ABSENT]


def stated(schema: Table) -> list[Any]:
    """The values that the schema itself names, best first: its examples, its constant, its list, its default."""
    if "example" in schema:
        return [schema["example"]]
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return examples
    if "const" in schema:
        return [schema["const"]]
    listed = [each for each in _list(schema.get("enum")) if each is not None]
    if listed:
        return listed
    return [schema["default"]] if schema.get("default") is not None else []


def kind_of(schema: Table) -> str:
    """Its type; of 3.1's lists the first that is not null; guessed from what it has."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def number(schema: Table) -> int | float:
    """The smallest number of 1 or more that the schema allows, or its bound."""
    low, high = bounds(schema)
    value: float = 1 if low is None else max(low, 1) if high is None or high >= 1 else low
    if high is not None and value > high:
        value = high
    step = schema.get("multipleOf")
    if isinstance(step, int | float) and not isinstance(step, bool) and step > 0:
        value = -(-value // step) * step
    return int(value) if kind_of(schema) == "integer" or float(value).is_integer() else value


def bounds(schema: Table) -> tuple[float | None, float | None]:
    """(smallest, largest) that the schema allows; 3.0 says exclusive bounds as flags, 3.1 as numbers."""
    low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
    over, under = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    step = 1 if kind_of(schema) == "integer" else 1e-3
    if over is True and low is not None:
        low += step
    elif (above := _number(over)) is not None:
        low = above + step
    if under is True and high is not None:
        high -= step
    elif (below := _number(under)) is not None:
        high = below - step
    return low, high


def text(schema: Table) -> str:
    """A text of the schema's format and length."""
    value = BY_FORMAT.get(str(schema.get("format")), "example")
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(value) < least:
        value += "x" * (min(least, 10_000) - len(value))
    return value[:most] if isinstance(most, int) and most >= 0 else value


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _joined(one: Table, other: Table, *, without: str) -> Table:
    found = {**other, **{key: value for key, value in one.items() if key != without}}
    found["properties"] = {**table(other.get("properties")), **table(one.get("properties"))}
    found["required"] = [*_list(other.get("required")), *_list(one.get("required"))]
    if not found["properties"]:
        found.pop("properties")
    return found
