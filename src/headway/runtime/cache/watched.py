"""
What a cache tells while it works: OpenTelemetry spans of its steps, and how long the remote level took.

Spans are made when the service has set up a tracer provider, and only for what goes past this process: a hit in the
local level is to stay as cheap as it is. Otherwise steps are driven as they are: OpenTelemetry is
never imported here, since a service that has a provider has imported it.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from headway.runtime.cache.effects import Ask, Begin, Load, Run
from headway.runtime.cache.errors import CacheNotAsked

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from headway.runtime.cache.core import Core
    from headway.runtime.cache.effects import Steps


def watched(core: Core, name: str, key: str, steps: Steps[Any]) -> Steps[Any]:
    """
    The steps, with a span around them and around each of their effects.

    Args:
        name: of the outermost span, after "cache ".
        key: its part before the first ":" is told; the rest may be somebody's name.
    """
    tracer = _tracer()
    if tracer is None and core.answered is None:
        return steps
    kind, colon, _ = key.partition(":")
    attributes = {"headway.cache": core.prefix.rstrip(":"), **({"headway.cache.keys": kind} if colon else {})}
    return _Watch(core, tracer, attributes).over(name, steps, None)


class _Watch:
    """One call's. `tracer` is None when only times are wanted."""

    def __init__(self, core: Core, tracer: Any, attributes: dict[str, str]) -> None:
        self._core, self._tracer, self._attributes = core, tracer, attributes

    def over(self, name: str, steps: Steps[Any], within: Any) -> Steps[Any]:
        """The steps in a span; `within` is the context of who began them, where a thread of their own has none."""
        with self._span(name, within):
            reply: Any = None
            failure: BaseException | None = None
            while True:
                try:
                    effect = steps.send(reply) if failure is None else steps.throw(failure)
                except StopIteration as end:
                    return end.value
                reply = failure = None
                try:
                    reply = yield from self._effect(effect)
                except BaseException as exc:  # noqa: BLE001 - it is the steps' to judge
                    failure = exc

    def _effect(self, effect: Any) -> Steps[Any]:
        kind = type(effect)
        if kind is Ask or kind is Run:
            return (yield from self._asked(effect, str(effect.words[0]) if kind is Ask else effect.script.name))
        if kind is Load:
            with self._span("source", None):
                return (yield effect)
        if kind is Begin:
            steps = self.over(effect.steps.__name__, effect.steps, self._here())
            return (yield Begin(steps, awaited=effect.awaited, patient=effect.patient))
        return (yield effect)

    def _asked(self, effect: Any, command: str) -> Steps[Any]:
        core, began = self._core, self._core.now()
        try:
            with self._span(f"remote {command}", None):
                reply = yield effect
        except CacheNotAsked:
            raise
        except Exception:
            if core.answered is not None:
                core.answered(False, core.now() - began)
            raise
        if core.answered is not None:
            core.answered(True, core.now() - began)
        return reply

    def _span(self, name: str, within: Any) -> AbstractContextManager[Any]:
        if self._tracer is None:
            return nullcontext()
        return self._tracer.start_as_current_span(  # type: ignore[no-any-return]  # the tracer is whoever's
            f"cache {name}", context=within, attributes=self._attributes
        )

    def _here(self) -> Any:
        return None if self._tracer is None else sys.modules["opentelemetry.context"].get_current()


def _tracer() -> Any:
    """The tracer of the provider that the service has set up; None without one."""
    otel: Any = sys.modules.get("opentelemetry.trace")
    if otel is None or not hasattr(otel, "get_tracer_provider"):  # not imported, or not to its end yet
        return None
    provider = otel.get_tracer_provider()
    return None if isinstance(provider, otel.ProxyTracerProvider) else _tracer_of(provider)


@lru_cache(maxsize=1)
def _tracer_of(provider: Any) -> Any:
    return provider.get_tracer("headway.runtime.cache")
