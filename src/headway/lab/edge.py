"""nginx as the lab's edge cache and balancer."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from headway.servers.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ACCESS_LOG = "access.jsonl"
CACHE = "cache"
LOG_FLUSH_MS = 100
"""How long a line of the access log may wait in memory: a write for each request would cost more than many answers."""


class Balance(StrEnum):
    """How nginx chooses the app server."""

    LEAST_CONN = "least_conn"  # the one with the fewest requests under way
    IP_HASH = "ip_hash"  # the same one for a client's address: one client alone uses one server
    ROUND_ROBIN = "round_robin"  # each in turn


_FIELDS = (
    '{"msec":$msec,"request_method":"$request_method","uri":"$uri","request_uri":"$request_uri","status":$status,'
    '"upstream_cache_status":"$upstream_cache_status","request_time":$request_time,'
    '"upstream_response_time":"$upstream_response_time"}'
)


def configuration(
    folder: Path, port: int, app_ports: Sequence[int], *, balance: Balance = Balance.LEAST_CONN, refresh_key: str = ""
) -> str:
    """
    The inside of nginx's http block: cache what the app's Cache-Control allows, balance the rest.

    Who sends `refresh_key` in X-Headway-Refresh has the answer fetched anew and kept: the app, after an update. What
    has expired is answered only as long as its stale-while-revalidate says.

    There is no proxy_cache_lock: it would hold every request for an answer that may not be cached, and the requests
    for one busy user would go to the origin one by one, half a second apart.

    The access log has one JSON object a request under nginx's own variable names. A service without an answer from
    the cache or the origin leaves `"upstream_cache_status":""`.
    """
    method = "" if balance is Balance.ROUND_ROBIN else f"        {balance.value};\n"
    refresh = f'"{refresh_key}" 1; ' if refresh_key else ""
    servers = "\n".join(f"        server {HOST}:{each} max_fails=0;" for each in app_ports)
    return f"""
    log_format headway escape=json '{_FIELDS}';
    access_log {folder}/{ACCESS_LOG} headway buffer=64k flush={LOG_FLUSH_MS}ms;
    open_file_cache max=20000 inactive=60s;
    map $http_x_headway_refresh $refresh {{ default 0; {refresh}}}
    proxy_cache_path {folder}/{CACHE} levels=1:2 keys_zone=edge:16m max_size=256m inactive=10m use_temp_path=off;
    upstream shop {{
{method}{servers}
        keepalive 128;
        keepalive_requests 1000000;
        keepalive_timeout 20s;
    }}
    server {{
        listen {HOST}:{port} backlog=4096;
        location / {{
            proxy_pass http://shop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_cache edge;
            proxy_cache_key $host$request_uri;
            proxy_cache_background_update on;
            proxy_cache_bypass $http_authorization $refresh;
            proxy_no_cache $http_authorization;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
"""
