"""
What a request costs the generator over anything but HTTP/1.1 in clear text on connections that are kept.

Each protocol against the peer that speaks it, on the same nginx, interleaved: wrk for HTTP/1.1, h2load for HTTP/2 (one
connection, as many streams as there are users, as Headway has it). Run it with nothing else going on:
`.venv/bin/python benchmarks/load/protocols.py`.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import trustme
from compare import PHASE, PLAIN, headway, machine, nginx, ratio, versions
from peers import PEERS, USERS, Bench, Measured, bare_wrk, run

from headway.model import Wire


@dataclass(frozen=True, kw_only=True)
class Way:
    """How requests travel: by TLS or not, and what each side is told."""

    secure: bool
    wire: Wire
    peer: Callable[[Bench], Measured]


def h2load(bench: Bench) -> Measured:
    """h2load, one connection."""
    text, cpu_s = run(bench, ["h2load", "-t1", "-c1", f"-m{USERS}", "-D", str(bench.seconds), f"{bench.url}/"])
    done = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text)
    if done is None or done[1] != done[2] or done[3] != "0" or done[4] != "0":
        raise SystemExit(f"h2load did not measure what it should:\n{text}")
    requests = int(done[2])
    return Measured(rate_per_s=requests / bench.seconds, cpu_s_per_million=cpu_s / requests * 1e6)


def ways(ca_file: Path) -> dict[str, Way]:
    """By name. wrk cannot be held to a name for connections that are not kept: it asks for `close` in a header."""
    kept, anew, two = Wire(ca_file=ca_file), Wire(ca_file=ca_file, keep_alive=False), Wire(ca_file=ca_file, http2=True)
    close = ("-H", "Connection: close")
    return {
        "HTTP/1.1": Way(secure=False, wire=kept, peer=bare_wrk),
        "HTTP/1.1, TLS": Way(secure=True, wire=kept, peer=bare_wrk),
        "HTTP/2, TLS": Way(secure=True, wire=two, peer=h2load),
        "HTTP/1.1, a connection a request": Way(secure=False, wire=anew, peer=lambda bench: bare_wrk(bench, *close)),
        "HTTP/1.1, TLS, a connection a request": Way(
            secure=True, wire=anew, peer=lambda bench: bare_wrk(bench, *close)
        ),
    }  # fmt: skip


def certified(folder: Path) -> tuple[Path, str]:
    """The authority's file, and nginx's words for a certificate of it."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for file in folder.glob("*.pem"):
        file.chmod(0o644)
    pem = folder / "server.pem"
    return folder / "ca.pem", f"http2 on; ssl_certificate {pem}; ssl_certificate_key {pem};"


def main() -> None:
    """Print each round as it ends, and then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--seconds", type=int, default=4, choices=range(2, 31), metavar="2..30", help="of each round")
    asked = parser.parse_args()
    every = sorted(os.sched_getaffinity(0))
    server_cores, generator_cores = ({every[0]}, {every[-1]})
    print(f"machine: {machine()}; load average before: {os.getloadavg()[0]:.1f}; server and generator a core each")
    found: dict[str, list[tuple[Measured, Measured]]] = {}
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        print(f"versions: {versions(folder, {each: PEERS[each] for each in ('wrk', 'h2load')})}", flush=True)
        ca_file, secure = certified(folder)
        with nginx(folder, server_cores, secure=secure) as url:
            port = int(url.rpartition(":")[2])
            for number in range(1, asked.rounds + 1):
                for way, how in ways(ca_file).items():
                    where = f"https://127.0.0.1:{port + 1}" if how.secure else url
                    bench = Bench(url=where, seconds=asked.seconds, generator_cores=generator_cores, folder=folder)
                    theirs = how.peer(bench)
                    ours, _ = headway(bench, PLAIN, replace(PHASE, duration_s=asked.seconds), wire=how.wire)
                    found.setdefault(way, []).append((ours, theirs))
                    print(
                        f"round {number}  {way:<38} headway {ours.rate_per_s:>8,.0f} req/s "
                        f"{ours.sending_cpu_s_per_million or 0:>6.1f} CPU-s per million while sending; "
                        f"peer {theirs.rate_per_s:>8,.0f} {theirs.cpu_s_per_million:>6.1f}",
                        flush=True,
                    )
    for way, pairs in found.items():
        print(ratio(f"{way}: headway / peer, req/s", [a.rate_per_s / b.rate_per_s for a, b in pairs]))
        per_cpu = [b.cpu_s_per_million / (a.sending_cpu_s_per_million or a.cpu_s_per_million) for a, b in pairs]
        print(ratio(f"{way}: headway / peer, requests per CPU-second, sending", per_cpu))
        first = found["HTTP/1.1"]
        cost = [
            (a.sending_cpu_s_per_million or 0) / (b.sending_cpu_s_per_million or 1)
            for (a, _), (b, _) in zip(pairs, first, strict=True)
        ]
        print(ratio(f"{way}: CPU of a request, times HTTP/1.1's", cost))


if __name__ == "__main__":
    main()
