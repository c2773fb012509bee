"""
Write docs/reference.md from the docstrings of what a service or a scenario may import.

    python scripts/reference.py            is the page what the docstrings say? (scripts/check)
    python scripts/reference.py --write    make it so

Public is what a module's `__all__` names, and in modules without one what it defines without an underscore.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PAGE = Path(__file__).parents[1] / "docs/reference.md"
MODULES = (
    "headway.load",
    "headway.runtime.cache", "headway.runtime.cache.metrics", "headway.runtime.database", "headway.runtime.debounce",
    "headway.runtime.debounce.limiter", "headway.runtime.edge", "headway.runtime.instrument",
    "headway.runtime.contrib.asgi", "headway.runtime.contrib.django_cache", "headway.runtime.contrib.django_routes",
    "headway.runtime.contrib.flask", "headway.runtime.contrib.n_plus_one", "headway.runtime.contrib.sqlalchemy",
    "headway.runtime.contrib.sqlalchemy_cache", "headway.runtime.contrib.starlette", "headway.runtime.contrib.wsgi",
)  # fmt: skip
WIDTH = 90
BEGINNING = """# Reference

Made by `scripts/reference.py` from the docstrings; `make check` fails when they differ. When to use what, and when not,
is in the pages of [runtime.md](runtime.md) and [scenarios.md](scenarios.md).
"""


class Plain(str):
    """An annotation as it is written: a signature shows it without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def as_written(annotation: Any) -> Any:
    """An annotation that was kept as text, or as a reference of a NamedTuple's, without quotes."""
    text = getattr(annotation, "__forward_arg__", annotation)
    return Plain(text) if isinstance(text, str) else annotation


class Undocumented(Exception):
    """A public name says nothing of itself."""


def names_of(module: ModuleType) -> list[str]:
    """The module's public names."""
    listed = getattr(module, "__all__", None)
    return sorted(listed) if listed is not None else [
        name for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
    ]  # fmt: skip


def signature_of(function: Any) -> str:
    """`(a: int, *, b: str = "") -> None`, on one line while it is short."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    kept = [
        each.replace(
            annotation=as_written(each.annotation),
            # A sentinel's repr has its address, which is another in each process.
            default=Plain("...") if " at 0x" in repr(each.default) else each.default,
        )
        for each in found.parameters.values()
        if each.name not in {"self", "cls"}
    ]
    returns = as_written(found.return_annotation)
    made = found.replace(parameters=kept, return_annotation=returns)
    if len(str(made)) <= WIDTH:
        return str(made)
    shown, stars = [], False
    for each in kept:
        if each.kind is each.KEYWORD_ONLY and not stars and all(k.kind is not k.VAR_POSITIONAL for k in kept):
            shown.append("*")
            stars = True
        shown.append(str(each))
    inside = "".join(f"    {each},\n" for each in shown)
    return f"(\n{inside})" + ("" if returns is found.empty else f" -> {inspect.formatannotation(returns)}")


def called(name: str, function: Any) -> str:
    """How it is called, as a block."""
    is_async = "async " if inspect.iscoroutinefunction(function) else ""
    return f"```python\n{is_async}{name}{signature_of(function)}\n```\n"


def said_of(value: Any, name: str) -> str:
    """
    The docstring, as a block.

    Raises:
        Undocumented: there is none of its own; a dataclass' made one counts as none.
    """
    said = inspect.getdoc(value) if not isinstance(value, type) else inspect.cleandoc(vars(value).get("__doc__") or "")
    if not said or said.startswith(f"{getattr(value, '__name__', '')}("):
        raise Undocumented(f"{name} has no docstring; say what it is for, with units and errors")
    return f"```text\n{said}\n```\n"


def members_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that the class or a base of this project defines; each once."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("headway"):
            continue
        for name, value in vars(base).items():
            plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            if name.startswith("_") or name in seen or not (inspect.isfunction(plain) or isinstance(plain, property)):
                continue
            seen.add(name)
            yield name, plain


def entry(name: str, value: Any) -> Iterator[str]:
    """The lines of one public name."""
    yield f"### {name}\n"
    if not isinstance(value, type):
        yield called(name, value)
        yield said_of(value, name)
        return
    if not issubclass(value, BaseException) and not hasattr(value, "__members__"):
        yield called(name, value)
    yield said_of(value, name)
    for base in value.__mro__[1:]:  # whose arguments and promises are the class' own
        if base.__module__.startswith("headway") and vars(base).get("__doc__") and not issubclass(value, BaseException):
            yield f"Of its base `{base.__name__}`:\n"
            yield said_of(base, base.__name__)
    for member, each in sorted(members_of(value)):
        yield f"#### {name}.{member}\n"
        if not isinstance(each, property):
            yield called(member, each)
        yield said_of(each, f"{name}.{member}")


def page() -> str:
    """
    The whole page.

    Raises:
        Undocumented: a public name has no docstring.
    """
    lines = [BEGINNING]
    for name in MODULES:
        module = importlib.import_module(name)
        lines.append(f"## {name}\n")
        lines.append(f"```text\n{inspect.cleandoc(module.__doc__ or '')}\n```\n")
        for each in names_of(module):
            lines += entry(each, getattr(module, each))
    return "\n".join(lines)


def main() -> int:
    """Write the page, or say whether it is what the docstrings are: 1 when it is stale."""
    try:
        made = page()
    except Undocumented as missing:
        print(f"reference: {missing}")
        return 1
    if "--write" in sys.argv[1:]:
        PAGE.write_text(made, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made:
        print("reference: docs/reference.md is not what the docstrings say; run 'python scripts/reference.py --write'")
        return 1
    print(f"reference: {made.count(chr(10) + '##')} headings, as the docstrings have them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
