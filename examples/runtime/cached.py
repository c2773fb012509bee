"""A page that edges may keep, and that is asked for again without being sent again: any ASGI server."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headway.runtime.edge import Policy, etag, not_modified

LISTS = Policy(browser_s=0, edge_s=60, stale_while_revalidate_s=30, stale_if_error_s=600)
ITEMS = ["tea", "milk"]


async def items(request: Request) -> Response:
    """Shared by everybody; an edge keeps it a minute, or until a purge of the key `items`."""
    body = "\n".join(ITEMS).encode()
    tag = etag(body)
    headers = LISTS.headers(etag=tag, keys=["items"])
    if not_modified(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="text/plain", headers=headers)


app = Starlette(routes=[Route("/items", items)])
