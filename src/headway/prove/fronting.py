"""What an nginx in front of the user's service is told: pass everything on, keep or compress one route's answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.load import target
from headway.servers.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from headway.model import Route, Wire

LOG_FORMAT = (
    'log_format headway escape=json \'{"msec":$msec,"uri":"$request_uri","status":$status,'
    '"upstream_cache_status":"$upstream_cache_status","bytes":$bytes_sent}\';'
)
_PLAIN = re.compile(r"[\w.:/\[\]@+~-]+")
_NAME = re.compile(r"\{[A-Za-z_]\w*(?:\.[\w-]+)?\}")


def path_expression(route: Route) -> str:
    """
    A route's path as an expression of nginx's, whole.

    Raises:
        BadInput: the path has a character that a configuration could not hold.
    """
    if not route.path.isascii() or not route.path.isprintable() or set(route.path) & set("\"'\\;{}$ ") - set("{}"):
        raise BadInput(f"{route.name} has a path that nginx cannot be told of", next_act="percent-encode it")
    parts = [re.escape(each) for each in _NAME.split(route.path)]
    return "^" + "[^/?&]*".join(parts) + "$"


def upstream(target_url: str, wire: Wire) -> tuple[str, str]:
    """
    The `upstream` block of the service, and the directives that pass a request on to it.

    Raises:
        BadInput: the URL means nothing.
    """
    found = target.parse(target_url)
    host, port = found.place(wire)
    at = f"unix:{wire.unix_socket.absolute()}" if wire.unix_socket else f"{f'[{host}]' if ':' in host else host}:{port}"
    for each in (at, found.header(wire), found.name(wire)):
        if _PLAIN.fullmatch(each) is None:
            raise BadInput(f"nginx cannot be told of {each!r}", next_act="mend the target or the scenario's [http]")
    block = f"upstream service {{ server {at}; keepalive 256; keepalive_requests 1000000; }}"
    passed = [
        f"proxy_pass {found.scheme}://service;", "proxy_http_version 1.1;", 'proxy_set_header Connection "";',
        f"proxy_set_header Host {found.header(wire)};", "proxy_read_timeout 60s;",
    ]  # fmt: skip
    if found.tls:
        passed += ["proxy_ssl_server_name on;", f"proxy_ssl_name {found.name(wire)};"]
    return block, " ".join(passed)


def caching(
    target_url: str, wire: Wire, route: Route, ttl_s: float, room: Path, ports: tuple[int, ...], log: Path
) -> str:
    """
    Two servers: one passes everything on, the other keeps good answers of one route for `ttl_s`.

    Answers that set a cookie, and requests with an Authorization header, are never kept.
    """
    block, passed = upstream(target_url, wire)
    return f"""{LOG_FORMAT}
{block}
proxy_cache_path {room}/kept keys_zone=kept:16m max_size=512m inactive=24h;
map $request_method$request_uri $other {{ default 1; "~^GET{path_expression(route)[1:]}" 0; }}
server {{ listen {HOST}:{ports[0]} backlog=4096; access_log off; location / {{ {passed} }} }}
server {{ listen {HOST}:{ports[1]} backlog=4096; access_log {log} headway;
    location / {{ {passed}
        proxy_cache kept; proxy_cache_key $request_method$request_uri; proxy_cache_valid 200 {max(1, round(ttl_s))}s;
        proxy_cache_bypass $other $http_authorization; proxy_no_cache $other $http_authorization;
        proxy_ignore_headers Cache-Control Expires Vary; proxy_cache_lock on; proxy_cache_use_stale off; }} }}
"""


def compressing(target_url: str, wire: Wire, content_type: str, ports: tuple[int, ...]) -> str:
    """
    Two servers: one passes everything on, the other compresses answers of one type for those who accept it.

    Raises:
        BadInput: the type is none.
    """
    if re.fullmatch(r"[\w.+-]+/[\w.+-]+", content_type) is None:
        raise BadInput(f"{content_type!r} is no content type", next_act="mend the service's Content-Type")
    block, passed = upstream(target_url, wire)
    types = "" if content_type == "text/html" else f"gzip_types {content_type};"  # nginx always has text/html
    return f"""{block}
server {{ listen {HOST}:{ports[0]} backlog=4096; location / {{ {passed} }} }}
server {{ listen {HOST}:{ports[1]} backlog=4096; gzip on; gzip_proxied any; gzip_vary on; gzip_comp_level 6;
    gzip_min_length 256; {types} location / {{ {passed} }} }}
"""
