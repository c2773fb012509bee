"""
Caches and databases over the life of a FastAPI or Starlette application.

    app = FastAPI(lifespan=opened(cache=lambda: Cache.from_url(url, namespace="shop"), database=database))

    @app.get("/users/{user_id}")
    async def show(user_id: int, cache: Annotated[Cache, Depends(given("cache"))]) -> User: ...
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def opened(*, inner: Lifespan | None = None, **resources: Any) -> Lifespan:
    """
    A lifespan that opens what it is given, in that order, and closes it in the other, also when one does not open.

    It runs in the worker, after any fork, in its event loop.

    Args:
        inner: the application's own lifespan, run when all is open; what it yields is added.
        resources: by name; each is what `async with` or `with` takes (Cache, AsyncDatabase; SyncCache and Database are
            opened in a thread), or a function that makes one. An object is opened once: an application that is started
            several times in a process (tests) needs a function.

    Returns:
        For `lifespan=`: each resource is then `request.state.NAME`.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            state = {name: await _entered(stack, each) for name, each in resources.items()}
            if inner is not None:
                state |= await stack.enter_async_context(inner(app)) or {}
            yield state

    return lifespan


def given(name: str) -> Callable[[HTTPConnection], Any]:
    """
    A dependency for FastAPI's `Depends`: what `opened` has opened under this name.

    Raises:
        LookupError: at a request: nothing of that name was opened, or the server runs no lifespan.
    """

    def dependency(connection: HTTPConnection) -> Any:
        try:
            return getattr(connection.state, name)
        except AttributeError:
            raise LookupError(
                f"no {name!r} was opened; give the application lifespan=opened({name}=...), and a server with lifespan"
            ) from None

    return dependency


async def _entered(stack: AsyncExitStack, resource: Any) -> Any:
    made = resource() if not _opens(resource) and callable(resource) else resource
    if hasattr(made, "__aenter__"):
        return await stack.enter_async_context(made)
    if not _opens(made):
        raise TypeError(
            f"{made!r} is nothing to open and close; give a cache, a database, or a function that makes one"
        )
    entered = await asyncio.to_thread(made.__enter__)
    stack.push_async_callback(asyncio.to_thread, made.__exit__, None, None, None)
    return entered


def _opens(resource: Any) -> bool:
    return not isinstance(resource, type) and (hasattr(resource, "__aenter__") or hasattr(resource, "__enter__"))
