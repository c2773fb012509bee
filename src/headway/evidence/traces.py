"""The run's own receiver of OpenTelemetry traces: opened before the load, closed when the last spans have come."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from headway.conventions import SPANS_FILE, TRACES_FILE
from headway.errors import HeadwayError, SourceRefused
from headway.evidence import bundle, runfile
from headway.evidence.collector import Collector, absent, present
from headway.evidence.otlp import settings
from headway.model import PoolSeen, Received

if TYPE_CHECKING:
    from pathlib import Path

    from headway.model import SourceState, TraceIntake

READY_S = 30.0
LATE_S = 6.0
"""Longest wait for spans after the load: SDKs send what they have every 5 s unless told otherwise."""
QUIET_S = 0.5
END_S = 8.0
BACKLOG = 128
COME_FIRST = "start the service with what 'headway traces' prints, or see docs/traces.md"


class Traces(Collector):
    """
    A process that receives spans while the run lasts.

    Args:
        wanted: where to listen; None: nobody asked for it.
        show_values: keep statements' and paths' values as they are.
    """

    name = "traces"

    def __init__(self, wanted: TraceIntake | None, *, show_values: bool = False) -> None:
        super().__init__()
        self._wanted = wanted
        self._show = show_values
        self._child: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self._told: dict[str, Any] = {}
        self._heard = threading.Condition()
        self._spool: Path | None = None
        self.endpoint = ""

    @property
    def pid(self) -> int | None:
        """Of the receiver's process."""
        return None if self._child is None else self._child.pid

    def check(self) -> SourceState:
        if self._wanted is None:
            return absent(self.name, "--traces")
        with _listening(self._wanted) as listening:
            port = listening.getsockname()[1]
            self.endpoint = settings.url(self._wanted.host, port)
            self._start(listening)
        self.notice = "\n".join(["receiving traces; a service sends them here with", *settings.lines(self.endpoint)])
        reach = "" if _is_loopback(self._wanted.host) else ", for everybody who can reach this machine"
        return present(self.name, f"listening at {self.endpoint}{reach}")

    def opened(self, folder: Path) -> None:
        from headway.evidence.otlp.spool import SPOOL_FILE

        if self._child is not None:
            self._spool = folder / SPOOL_FILE
            self._order({"store": str(self._spool)})

    def sample(self, at_s: float) -> None:
        if self._child is not None and self._child.poll() is not None:
            raise HeadwayError(self._ended(), next_act="run again")

    def finish(self) -> None:
        if self._child is None:
            return
        self._wait_for_late()
        self._order({"end": True})
        with self._heard:
            self._heard.wait_for(lambda: "ended" in self._told, END_S)
        if "ended" not in self._told:
            raise HeadwayError(self._ended(), next_act="run again")
        if not self._told["spans"]:
            raise HeadwayError(f"no span came to {self.endpoint}{self._hints()}", next_act=COME_FIRST)

    def write(self, folder: Path) -> None:
        from headway.evidence.otlp.spool import to_parquet

        if self._child is None or self._spool is None:
            return
        kept = 0
        if self._spool.exists():
            kept = to_parquet(self._spool, folder / SPANS_FILE)
            self._spool.unlink(missing_ok=True)
        received = self._received(kept)
        bundle.put_json(folder / TRACES_FILE, runfile.plain(received))
        self.remark = self._remark(received)

    def close(self) -> None:
        if self._child is None:
            return
        with contextlib.suppress(OSError):  # the end of its orders ends it
            if self._child.stdin is not None:
                self._child.stdin.close()
        try:
            self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._listener is not None:
            self._listener.join(END_S)

    def _start(self, listening: socket.socket) -> None:
        """
        Raises:
            HeadwayError: it does not start.
        """
        # -P: a file of the working folder named like a module of ours must not be taken for it.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "headway.evidence.otlp.process", str(listening.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=(listening.fileno(),),
        )  # fmt: skip
        self._child = child
        self._listener = threading.Thread(target=self._listen, args=(child,), name="headway-receiver", daemon=True)
        self._listener.start()
        self._order({"salt": secrets.token_hex(16), "show": self._show})
        with self._heard:
            self._heard.wait_for(lambda: "ready" in self._told or child.poll() is not None, READY_S)
        if "ready" not in self._told:
            raise HeadwayError("the receiver of traces did not start", next_act="look for its error above")

    def _listen(self, child: subprocess.Popen[str]) -> None:
        """Takes down what the receiver counts, until it ends."""
        if child.stdout is not None:
            with child.stdout as said:
                for line in said:
                    with contextlib.suppress(ValueError), self._heard:
                        self._told |= json.loads(line)
                        self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def _order(self, order: dict[str, Any]) -> None:
        pipe = None if self._child is None else self._child.stdin
        with contextlib.suppress(OSError):  # it has ended: that is noticed, and said, elsewhere
            if pipe is not None:
                pipe.write(json.dumps(order) + "\n")
                pipe.flush()

    def _wait_for_late(self) -> None:
        """Until no more spans come: senders keep theirs for a while, as the gaps between bodies so far have shown."""
        began = time.monotonic()
        while (waited := time.monotonic() - began) < LATE_S and self._child and self._child.poll() is None:
            last = self._told.get("last_at_s")
            quiet = max(QUIET_S, 1.5 * min(self._told.get("longest_gap_s", 0.0), LATE_S))
            if last is not None and waited > quiet and time.time() - last > quiet and not self._told["waiting"]:
                return
            time.sleep(0.1)

    def _ended(self) -> str:
        code = None if self._child is None else self._child.poll()
        if code is None:
            return "the receiver of traces does not answer"
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the receiver of traces ended ({how})"

    def _received(self, kept: int) -> Received:
        told = self._told
        missing = max(0, told.get("stored", 0) - kept)
        dropped = told.get("dropped", {}) | ({"lost with the receiver": missing} if missing else {})
        return Received(
            endpoint=self.endpoint,
            bodies=told.get("bodies", 0), bytes=told.get("bytes", 0), spans=max(told.get("spans", 0), kept),
            stored=kept,            refused=told.get("refused", {}), dropped=dropped, services=told.get("services", {}),
            sdks=tuple(told.get("sdks", ())), instrumentations=tuple(told.get("instrumentations", ())),
            pools=tuple(PoolSeen(**each) for each in told.get("pools", ())),
            other_metrics=told.get("other_metrics", 0), ahead_ns=told.get("ahead_ns", 0),
            ended_early="" if "ended" in told else self._ended(),
        )  # fmt: skip

    def _remark(self, received: Received) -> str:
        whose = ", ".join(received.services) or "nobody"
        said = f"{received.stored:,} spans of {whose} ({', '.join(received.sdks) or 'no SDK said'})"
        if received.ended_early:
            said += ", all that came before, are kept"
        for reason, count in received.dropped.items():
            said += f"; {count:,} spans lost: {reason}"
        return said + self._hints()

    def _hints(self) -> str:
        refused = dict(self._told.get("refused", {}))
        said = ""
        if refused.pop("gRPC", 0):
            said += "; something spoke gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        return said + "".join(f"; {count:,} requests refused: {reason}" for reason, count in refused.items())


def _listening(wanted: TraceIntake) -> socket.socket:
    """
    A socket that listens there.

    Raises:
        SourceRefused: the port is taken, or this machine has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(BACKLOG)
        except OSError:
            found.close()
            raise
    except OSError as exc:
        place = f"{wanted.host}:{wanted.port}"
        raise SourceRefused(
            f"traces cannot be received at {place}: {exc.strerror or exc}",
            next_act="end what listens there (a Collector?), or name another port with --traces-at and to the service",
        ) from exc
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
