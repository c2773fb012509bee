"""What runs the `headway` commands that README.md and docs/ show, as they stand, against a small lab."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dask_cluster import DaskCluster
from front import fronted
from headway.lab import Lab, shop_folder
from keyboard import HEADWAY, shown_commands

VERDICTS = {0, 3, 4, 5}
JUDGING = {"validate", "breakpoint", "compare", "prove"}
IMPORTED = {  # results of other tools that a page names, and the genuine files that stand for them
    "points.json": "k6.points.json",
    "results.bin": "vegeta.bin",
    "shop_stats.csv": "shop_stats.csv",
    "latencies.hlog": "java.hlog",
}
STAND_INS = {  # what a page names as the reader's own, and what this test has
    "--against": "app_url",
    "--a": "app_url",
    "--b": "app_url",
    "--database-url": "database_url",
    "--cache-url": "cache_url",
}


CLUSTERS: dict[Path, DaskCluster] = {}
"""By reader's folder: two workers that all its commands share, as they take longer to start than the commands."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A reader's folder: the increment, a scenario short enough for a test, and a lab."""
    root = tmp_path_factory.mktemp("reader")
    shutil.copytree(shop_folder() / ".specweave", root / ".specweave")
    (scenario,) = root.rglob("scenario.toml")
    text = scenario.read_text()
    for name, value in (("duration_s", "2"), ("warmup_s", "1"), ("timeout_s", "2"), ("rate_per_s", "50")):
        text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
    scenario.write_text(text)
    shutil.copy(scenario, root / "scenario.toml")
    for name, genuine in IMPORTED.items():
        shutil.copy(Path(__file__).parent / "made/interchange" / genuine, root / name)
    for name in ("visit.har", "access.log"):
        shutil.copy(Path(__file__).parent / "made/init" / name, root / name)
    lab = Lab(root / ".headway/lab")
    try:
        lab.up(stage=3, scale=0.02)
        first = run(root, "headway validate 0050 --performance --lab")
        assert first.returncode in VERDICTS, first.stderr
        yield root
    finally:
        lab.down(purge=True)
        if root in CLUSTERS:
            CLUSTERS.pop(root).close()


def cluster(root: Path) -> DaskCluster:
    """The reader's cluster."""
    if root not in CLUSTERS:
        CLUSTERS[root] = DaskCluster(root)
        CLUSTERS[root].add(2)
    return CLUSTERS[root]


def run(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    """The command as shown; the reader's own addresses and long durations stand for the lab's and a short one."""
    words = shlex.split(command.partition(" | ")[0])[1:]
    lab = Lab(root / ".headway/lab")
    status = lab.status()
    if not status.running and {"--lab", "--against", "--a", "--openapi"} & set(words):
        status = lab.up(stage=3, scale=0.02)
    for option, name in STAND_INS.items():
        if option in words:
            words[words.index(option) + 1] = getattr(status, name)
    words = [f"{status.app_url}/openapi.json" if word.endswith(":8000/openapi.json") else word for word in words]
    if words[0] == "breakpoint" and "--run" not in words:
        words += ["--to", "150"]  # the last one counts: a short search stands for a long one
    if "--growth" in words:
        words += ["--stage", "2", "--to", "20", "--scale", "0.02", "--duration", "2"]
    if "--duration" in words:
        words[words.index("--duration") + 1] = "2"
    if "--rounds" in words:
        words[words.index("--rounds") + 1] = "3"
    environment = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(root / "cache")}
    if {"--against", "--a"} & set(words):  # the scenario's parameters are read from a database
        environment["HEADWAY_DATABASE_URL"] = str(status.database_url)
    with ExitStack() as until_done:
        if "--on" in words:
            words[words.index("--on") + 1] = cluster(root).address
        if {"--ca", "--unix-socket"} & set(words):
            front = until_done.enter_context(fronted(str(status.app_url)))
            own = {"--ca": front.ca_file, "--unix-socket": front.socket, "--against": front.url}
            if "--unix-socket" in words:
                own["--against"] = "http://shop.example"
            words = [str(own.get(before, word)) for before, word in zip(["", *words[:-1]], words, strict=True)]
        return subprocess.run(
            [*HEADWAY, *words], cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False
        )


def part(number: int) -> list[tuple[str, str]]:
    """One third of all commands, each for a file of its own that runs beside the others; a page stays whole."""
    commands = shown_commands()
    pages = [place.partition(":")[0] for place, _ in commands]
    return [each for each, page in zip(commands, pages, strict=True) if 3 * pages.index(page) // len(pages) == number]


def holds(home: Path, place: str, command: str) -> None:
    """It runs: a gate ends in a verdict, anything else ends well; JSON is JSON, and files named are written."""
    words = shlex.split(command.partition(" | ")[0])
    result = run(home, command)
    for _ in range(3):  # a run whose generator was not well can't be pinned, and the next page asks for the pin
        if "--pin" not in words or result.returncode != 5:
            break
        run(home, "headway run scenario.toml --lab")
        result = run(home, command)
    assert result.returncode in (VERDICTS if JUDGING & set(words) else {0}), f"{place}: {result.stderr}"
    for option in ("-o", "--junit", "--markdown"):
        if option in words:
            assert (home / words[words.index(option) + 1]).stat().st_size > 0
    if "json" in words:
        text = (home / words[words.index("-o") + 1]).read_text() if "-o" in words else result.stdout
        json.loads(text)
