"""
An nginx edge from the same policies: what a laptop tries is what the headers say.

nginx reads Cache-Control itself (s-maxage, stale-while-revalidate, stale-if-error) and honours Vary. It is told what to
keep at all, to fetch a page once for many who ask at the same time, and to fetch anew behind the back of who is given
the old one.

Source: https://nginx.org/en/docs/http/ngx_http_proxy_module.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.runtime.edge.policy import Policy

_PATH = re.compile(r"/[A-Za-z0-9/._~%-]*")
_SECRET = re.compile(r"[0-9A-Za-z_-]{16,128}")


def nginx(policies: Mapping[str, Policy], *, upstream: str, cache: str = "edge", secret: str | None = None) -> str:
    """
    The inside of a server block. Beside it the http block needs `proxy_cache_path ... keys_zone=<cache>:10m`.

    Args:
        policies: by path prefix; what matches none, and what is not shared, goes through without being kept.
        upstream: the service, for example http://127.0.0.1:8000.
        secret: of `NginxRefresh`; None allows no refresh.

    Raises:
        ValueError: a prefix or secret that would not be safe in a configuration.
    """
    if secret is not None and not _SECRET.fullmatch(secret):
        raise ValueError("the secret needs 16 to 128 letters, digits, - or _")
    blocks = [_block("/", None, upstream, cache, secret)] if "/" not in policies else []
    for prefix, policy in policies.items():
        if not _PATH.fullmatch(prefix):
            raise ValueError(f"{prefix!r} is no path prefix")
        blocks.append(_block(prefix, policy, upstream, cache, secret))
    return "\n".join(blocks)


def _block(prefix: str, policy: Policy | None, upstream: str, cache: str, secret: str | None) -> str:
    lines = [f"proxy_pass {upstream};", "proxy_set_header Host $http_host;"]
    if policy is not None and policy.shared:
        lines += [
            f"proxy_cache {cache};", 'proxy_cache_key "$request_method$host$request_uri";', "proxy_cache_lock on;",
            "proxy_cache_lock_timeout 5s;", "add_header X-Cache $upstream_cache_status always;",
            # One person's answer under a shared policy must not be another's.
            "proxy_cache_bypass $http_authorization;", "proxy_no_cache $http_authorization;",
        ]  # fmt: skip
        if policy.stale_while_revalidate_s:
            lines += ["proxy_cache_background_update on;"]
        if policy.stale_if_error_s:
            # By the header alone nginx does it when the service is away, and not when it answers with an error.
            lines += ["proxy_cache_use_stale http_500 http_502 http_503 http_504;"]
        if secret is not None:
            lines.append('set $headway_refresh "";')
            lines.append(f'if ($http_x_headway_refresh = "{secret}") {{ set $headway_refresh 1; }}')
            lines.append("proxy_cache_bypass $headway_refresh;")
    return f"location {prefix} {{\n    " + "\n    ".join(lines) + "\n}"
