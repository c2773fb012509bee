"""A small site that a browser visits: pages, assets, a login with cookie and token, ids that come from answers."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

PASSWORD = "correct-horse-battery"

FRONT = """<!doctype html><title>Front</title><link rel="stylesheet" href="/static/site.css">
<script src="/static/site.js"></script><img src="{elsewhere}/pixel.svg" alt="">
<ul id="list"></ul><button id="login">log in</button>"""

SCRIPT = """
let token = null, carts = null;
const ask = (path, more = {}) => fetch(path, {...more, headers: {
  ...(token ? {authorization: 'Bearer ' + token} : {}), 'content-type': 'application/json', ...(more.headers || {})}})
  .then(answer => answer.json());
async function front() {
  const found = await ask('/api/products?category=books&limit=3');
  document.querySelector('#list').innerHTML = found.items.map(each => `<li>${each.name}</li>`).join('');
  window.product = found.items[1].id;
}
async function login(password) {
  const said = await ask('/api/login', {method: 'POST', body: JSON.stringify({name: 'ann', password})});
  token = said.access_token;
  const cart = await ask('/api/carts/current');
  carts = cart.id;
  await ask('/api/products/' + window.product);
  await ask(`/api/carts/${carts}`);
}
async function buy() {
  await ask(`/api/carts/${carts}/items`, {method: 'POST', body: JSON.stringify({product: window.product, count: 1})});
}
document.addEventListener('DOMContentLoaded', front);
"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: without it every answer waits for a delayed acknowledgement
    elsewhere = ""

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(FRONT.format(elsewhere=self.elsewhere), "text/html", {"set-cookie": "visit=v1sit-0123456789"})
        elif path == "/about":
            self._answer("<!doctype html><title>About</title><p>About", "text/html")
        elif path == "/static/site.js":
            self._answer(SCRIPT, "text/javascript")
        elif path.startswith("/static/") or path.endswith(".svg"):
            self._answer("p { color: black }", "text/css")
        elif path == "/api/products":
            self._json({"items": [{"id": f"prod-{n:08d}", "name": f"Book {n}"} for n in range(3)]})
        elif path.startswith("/api/carts"):
            cart = path.rsplit("/", 1)[-1]
            self._json({"id": f"cart-{secrets.token_hex(6)}" if cart == "current" else cart, "items": []})
        else:
            self._json({"id": path.rsplit("/", 1)[-1], "price": 12})

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path == "/api/login":
            good = sent.get("password") == PASSWORD
            self._json({"access_token": secrets.token_hex(16) if good else ""}, {"set-cookie": "session=" + "5e55" * 5})
        else:
            self._json({"added": True}, status=201)

    def _json(self, told: object, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self._answer(json.dumps(told), "application/json", headers, status)

    def _answer(self, text: str, kind: str, headers: dict[str, str] | None = None, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served() -> Iterator[str]:
    """The site's URL. What it embeds from elsewhere is served on another port."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {})) for _ in range(2)]
    urls = [f"http://127.0.0.1:{each.server_address[1]}" for each in servers]
    servers[0].RequestHandlerClass.elsewhere = urls[1]  # type: ignore[attr-defined]  # its own class, made above
    threads = [threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05}) for each in servers]
    for each in threads:
        each.start()
    try:
        yield urls[0]
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def record(browser: Browser, url: str, har: Path) -> None:
    """Visit the site as a person would, and save what Chromium asked and got."""
    context = browser.new_context(record_har_path=har, record_har_content="embed")
    page = context.new_page()
    page.goto(url)
    page.wait_for_function("window.product !== undefined")
    page.wait_for_timeout(700)
    page.evaluate(f"login('{PASSWORD}')")
    page.wait_for_timeout(300)
    page.evaluate("buy()")
    page.wait_for_timeout(600)
    page.goto(f"{url}/about")
    context.close()
