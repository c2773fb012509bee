"""
How long a newcomer waits: set-up and demo from a fresh clone with an empty HOME, and the shop's loader.

The loader's rate is given against pgbench's own initialisation on the same server in the same run. Everything shares
this machine's cores. Run it with nothing else going on: `.venv/bin/python benchmarks/demo/times.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
SHOP_ROWS = 200_000 + 1_000_000 + 50_000 + 1_000_000
PGBENCH_SCALE = 20
PGBENCH_ROWS = PGBENCH_SCALE * (100_000 + 10 + 1)


def timed(words: list[str], *, folder: Path, environment: dict[str, str]) -> float:
    """Seconds the command took; its output goes to our stderr."""
    began = time.monotonic()
    subprocess.run(words, cwd=folder, env=environment, stdout=sys.stderr, check=True)
    return time.monotonic() - began


def newcomer(folder: Path) -> tuple[float, float]:
    """Seconds of `make setup` and then of `make demo` in a fresh clone with an empty HOME."""
    clone, home = folder / "headway", folder / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
    kept = ("PATH", "LANG", "SSL_CERT_FILE", "PIP_CERT")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(home)}
    setup = timed(["make", "setup"], folder=clone, environment=environment)
    return setup, timed(["make", "demo"], folder=clone, environment=environment)


def loaders(folder: Path) -> tuple[float, float]:
    """Seconds the shop's loader and pgbench -i took on one fresh server."""
    from headway.lab import Lab, shop_folder

    lab = Lab(folder / "lab")
    try:
        status = lab.up(stage=1, scale=1.0, data=False)
        environment = {**os.environ, "PGOPTIONS": ""}
        words = [sys.executable, "-m", "shop.data", "--database-url", str(status.database_url), "--scale", "1.0"]
        shop = timed(words, folder=shop_folder(), environment=environment)
        server = next(each.pid for each in status.services if each.name == "postgres" and each.pid)
        pgbench = Path(psutil.Process(server).exe()).with_name("pgbench")
        words = [str(pgbench), "--initialize", "--quiet", "--scale", str(PGBENCH_SCALE), str(status.database_url)]
        return shop, timed(words, folder=folder, environment=environment)
    finally:
        lab.down()


def main() -> None:
    """Print the figures, one a line."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        setup, demo = newcomer(folder)
        shop, pgbench = loaders(folder)
    print(f"fresh clone: set-up {setup:.0f} s, demo {demo:.0f} s, verdict after {setup + demo:.0f} s")
    ratio = (SHOP_ROWS / shop) / (PGBENCH_ROWS / pgbench)
    print(
        f"loader: {SHOP_ROWS:,} rows in {shop:.1f} s; pgbench -i: {PGBENCH_ROWS:,} rows in {pgbench:.1f} s;"
        f" rows per second {ratio:.2f}x pgbench's"
    )


if __name__ == "__main__":
    main()
