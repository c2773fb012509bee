"""
Proxies that the environment asks for: refused, as a proxy's time would be called the service's.

HTTP_PROXY speaks of http:// targets, HTTPS_PROXY of https://, ALL_PROXY of both, in either case of letters. NO_PROXY
lists names (with their subdomains), addresses, networks, each with a port or without, and `*`. Loopback targets never
go through a proxy. Source: curl(1), "ENVIRONMENT"; Go, net/http ProxyFromEnvironment.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from headway.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.load.target import Target


def refuse(target: Target, environment: Mapping[str, str]) -> None:
    """
    Refuse a target that the environment wants reached through a proxy.

    Raises:
        BadInput: a proxy is asked for, and NO_PROXY does not name the target.
    """
    names = (f"{target.scheme}_proxy", "all_proxy")
    said = next((key for name in names for key in (name.upper(), name) if environment.get(key)), None)
    if said is None or _loopback(target.host) or _bypassed(target, environment):
        return
    raise BadInput(
        f"{said} asks for a proxy on the way to {target.host}, and Headway uses none: its time would count as the"
        " service's",
        next_act=f"unset it, or add {target.host} to NO_PROXY to load the service directly",
    )


def _bypassed(target: Target, environment: Mapping[str, str]) -> bool:
    said = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return any(_covers(each.strip().lower(), target) for each in said.split(",") if each.strip())


def _covers(pattern: str, target: Target) -> bool:
    """One entry of NO_PROXY."""
    if pattern == "*":
        return True
    address = _address(target.host)
    if address is not None and _network_has(pattern, address):
        return True
    host, _, port = pattern.rpartition(":")
    if port.isdecimal() and (":" not in host or host.endswith("]")):
        if int(port) != target.port:
            return False
        pattern = host
    pattern = pattern.removeprefix("*").strip("[]").removeprefix(".").rstrip(".")
    name = target.host.rstrip(".")
    return name == pattern or (address is None and name.endswith(f".{pattern}"))


def _network_has(pattern: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)
