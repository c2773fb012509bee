"""A shop of thirty lines for the lab's tests: the same commands and settings as the reference shop, nothing to load."""

from __future__ import annotations

from pathlib import Path

APP = """
import json, os, pathlib, time
time.sleep(float(pathlib.Path(__file__).with_name("start_s").read_text()))

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"application/json")]
    ttl = os.environ["SHOP_EDGE_TTL_S"]
    if ttl != "0" and scope["path"] != "/health":
        headers.append((b"cache-control", f"public, s-maxage={ttl}".encode()))
    settings = {name: value for name, value in os.environ.items() if name.startswith("SHOP_")}
    body = json.dumps({"pid": os.getpid(), "uid": os.getuid(), "settings": settings}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

DATA = """
import argparse, pathlib, sys, time
import psycopg

parser = argparse.ArgumentParser()
parser.add_argument("--database-url", required=True)
parser.add_argument("--scale", type=float, required=True)
given = parser.parse_args()
load_s = float(pathlib.Path(__file__).with_name("load_s").read_text())
print("loading", given.scale, file=sys.stderr)
with psycopg.connect(given.database_url) as connection:
    for table in ("users", "posts", "products", "orders", "shop_load"):
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (id int)")
time.sleep(load_s)
"""

INDEXES = """
import argparse
import psycopg

parser = argparse.ArgumentParser()
parser.add_argument("--database-url", required=True)
parser.add_argument("word", choices=["on", "off"])
given = parser.parse_args()
with psycopg.connect(given.database_url) as connection:
    on = given.word == "on"
    connection.execute("CREATE INDEX IF NOT EXISTS small ON posts (id)" if on else "DROP INDEX IF EXISTS small")
"""


def write(folder: Path, *, load_s: float = 0, start_s: float = 0) -> Path:
    """Make the shop in `folder`, with a loader and an app server that take that long."""
    package = folder / "shop"
    package.mkdir(parents=True)
    texts = {"__init__.py": "", "app.py": APP, "data.py": DATA, "indexes.py": INDEXES}
    for name, text in {**texts, "load_s": str(load_s), "start_s": str(start_s)}.items():
        (package / name).write_text(text)
        (package / name).chmod(0o644)
    for each in (folder, package):
        each.chmod(0o755)
    return folder
