"""HTTP/2 against a real nginx, over TLS and in clear text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headway.errors import TargetUnreachable
from headway.lab import ports
from headway.load import reach
from headway.load.scenario import single
from headway.load.target import parse
from headway.model import Check, FailureKind, LoadModel, Phase, Route, Scenario, Wire
from load_engine import Tally, run
from load_target import OK, says, target
from secure_site import Site, site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import StartNginx

QUICK = Phase(name="p", model=LoadModel.OPEN, rate_per_s=200, duration_s=1, warmup_s=0, timeout_s=2)
PLANNED = 50


@pytest.fixture
def folder(service_folder: Callable[[str], Path]) -> Path:
    return service_folder("http2")


def asked(url: str, *routes: Route, **wire: object) -> Scenario:
    made = replace(single(url), wire=Wire(http2=True, **wire))  # type: ignore[arg-type]  # the tests name its fields
    return replace(made, routes=routes) if routes else made


def load(found: Site, phase: Phase = QUICK, **wire: object) -> Tally:
    return run(found.url, asked(found.url, ca_file=found.ca_file, **wire), phase)


def clear(nginx: StartNginx, settings: str = "location / { return 200 ok; }") -> str:
    """nginx with HTTP/2 in clear text; its URL."""
    port = ports.choose()
    nginx(http=f"server {{ listen {ports.HOST}:{port}; http2 on; {settings} }}")
    return f"http://{ports.HOST}:{port}"


def test_requests_share_a_connection_over_tls(nginx: StartNginx, folder: Path) -> None:
    """By ALPN: each planned request is one good answer of HTTP/2, many of them on one connection."""
    found = site(nginx, folder, settings="http2 on;")
    tally = load(found)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
    lines = found.logged()
    assert {line[0] for line in lines} == {"HTTP/2.0"}
    assert len(lines) == PLANNED
    assert len({line[2] for line in lines}) == 1


def test_clear_text_needs_no_upgrade(nginx: StartNginx) -> None:
    """With prior knowledge, as services behind a proxy speak it."""
    url = clear(nginx)
    tally = run(url, asked(url), QUICK)
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())
