"""What stands: the lab's services and where they are, as data, as ready-to-paste text, and as sources of evidence."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import LabFailed
from headway.lab.database import evidence_url
from headway.lab.edge import ACCESS_LOG
from headway.lab.room import LOGS
from headway.lab.state import Memory
from headway.model import Sources
from headway.servers import process, valkey
from headway.servers.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service. `pid` and `log` are None for somebody else's, which the lab only uses."""

    name: str
    pid: int | None
    port: int | None
    url: str
    log: Path | None
    running: bool
    version: str
    account: str | None


@dataclass(frozen=True, kw_only=True)
class LabStatus:
    """The lab now. What there is not is None. `app_url` is where load goes: the edge when there is one."""

    state: Path
    stage: int | None
    scale: float | None
    services: tuple[Service, ...]
    app_url: str | None
    database_url: str | None
    replica_url: str | None
    cache_url: str | None
    database_log: Path | None
    edge_log: Path | None
    metrics_url: str | None
    settings: Mapping[str, str]
    processes: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the lab is up, every service of it."""
        return self.app_url is not None and all(service.running for service in self.services)

    def environment(self) -> dict[str, str]:
        """Names and values to paste into a shell or a scenario."""
        values = {
            "TARGET": self.app_url,
            "DATABASE_URL": self.database_url,
            "REPLICA_URL": self.replica_url,
            "CACHE_URL": self.cache_url,
            "DATABASE_LOG": self.database_log,
            "EDGE_LOG": self.edge_log,
            "METRICS_URL": self.metrics_url,
        }
        return {name: str(value) for name, value in values.items() if value is not None}

    def as_json(self) -> str:
        """The same as JSON, with the same names to paste under `environment`."""
        whole = {**asdict(self), "running": self.running, "environment": self.environment()}
        return json.dumps(whole, indent=2, default=str)

    def as_text(self) -> str:
        """Lines to read, each after `#`, and lines to paste."""
        if not self.services:
            return f"# no lab is up in {self.state}"
        loaded = "no data loaded by the lab" if self.scale is None else f"data at scale {self.scale:g}"
        lines = [f"# lab in {self.state}: stage {self.stage}, {loaded}"]
        width = max(len(service.name) for service in self.services)
        for each in self.services:
            mark = "running" if each.running else "NOT RUNNING"
            who = f"pid {each.pid}, {each.account}" if each.pid else "not the lab's own"
            at = f"127.0.0.1:{each.port}" if each.port else "elsewhere"
            lines.append(f"# {each.name:<{width}}  {mark}  {at}  {each.version}  ({who})")
        lines.append(
            "# services run in the scheduler's idle class, so that a load generator on the same cores goes first"
        )
        lines += [f"# {note}" for note in self.notes]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in self.environment().items()]
        return "\n".join(lines)


def sources(status: LabStatus) -> Sources:
    """
    The lab as a target, with every source of evidence it has.

    Raises:
        LabFailed: the lab is not up, or one of its services has ended.
    """
    if status.app_url is None:
        raise LabFailed(f"no lab is up in {status.state}", next_act="start it: headway lab up --stage 1")
    dead = [service.name for service in status.services if not service.running]
    if dead:
        raise LabFailed(
            f"{', '.join(dead)} of the lab in {status.state} ended",
            next_act="see why with 'headway lab logs', start it again with 'headway lab up'",
        )
    return Sources(
        target_url=status.app_url,
        database_url=status.database_url,
        cache_url=status.cache_url,
        edge_log=status.edge_log,
        database_log=status.database_log,
        metrics_url=status.metrics_url,
        processes=status.processes,
    )


def look(folder: Path, memory: Memory | None) -> LabStatus:
    """What stands now, from what is remembered and what runs. Ports and processes are asked, servers are not."""
    if memory is None:
        memory = Memory(secret="", room=folder)
    services = tuple(_service(folder, memory, each) for each in sorted(memory.services))
    running = {each.name: each for each in services}
    up = bool(memory.settings) and bool(services)
    app = running.get("nginx") or running.get("app-1")
    notes = ("the last 'headway lab up' did not finish: run it again",) if services and not up else ()
    return LabStatus(
        state=folder,
        stage=memory.stage if up else None,
        scale=memory.scale,
        services=(*services, *_foreign(memory)) if services else (),
        app_url=app.url if up and app else None,
        database_url=memory.database_url or _url(running, "postgres"),
        replica_url=_url(running, "replica"),
        cache_url=(memory.cache_url if up else None) or _url(running, "valkey"),
        database_log=running["postgres"].log if "postgres" in running else None,
        edge_log=memory.room / "nginx" / ACCESS_LOG if "nginx" in running else None,
        metrics_url=f"{running['app-1'].url}/metrics" if up and "app-1" in running else None,
        settings=memory.settings,
        processes=tuple((each.name, each.pid) for each in services if each.running and each.pid is not None),
        notes=notes,
    )


def _service(folder: Path, memory: Memory, name: str) -> Service:
    started = memory.services[name]
    urls = {
        "postgres": evidence_url(started.port, memory.secret),
        "replica": evidence_url(started.port, memory.secret),
        "valkey": valkey.url(started.port, memory.secret),
    }
    return Service(
        name=name,
        pid=started.identity.pid,
        port=started.port,
        url=urls.get(name, f"http://{HOST}:{started.port}"),
        log=folder / LOGS / f"{name}.log",
        running=process.runs(started.identity),
        version=started.version,
        account=started.account,
    )


def _foreign(memory: Memory) -> list[Service]:
    named = {"postgres": memory.database_url, "valkey": memory.cache_url}
    return [
        Service(name=name, pid=None, port=None, url=url, log=None, running=True, version="", account=None)
        for name, url in named.items()
        if url is not None
    ]


def _url(services: Mapping[str, Service], name: str) -> str | None:
    return services[name].url if name in services else None
