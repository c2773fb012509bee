"""Two revisions of a real service, checked out, served, loaded in turns and ended, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.compare import revisions
from headway.errors import BadInput, HeadwayError, TargetUnreachable
from keyboard import HEADWAY

SERVICE = """
import http.server, pathlib, sys, time, os
pathlib.Path(os.environ["PIDS"]).open("a").write(f"{os.getpid()}\\n")
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(WAIT_S)
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
SCENARIO = """
name = "turns"
[load]
model = "open"
rate_per_s = 20
duration_s = 2
warmup_s = 0
[[routes]]
name = "GET /"
method = "GET"
path = "/"
"""
START = "python3 service.py {port}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A service with a fast revision, tagged so, and a slow one; the pids of what is started are in `pids`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    (tmp_path / "pids").touch()
    git(folder, "init", "-q")
    (folder / "scenario.toml").write_text(SCENARIO)
    for name, wait_s in (("fast", 0.005), ("slow", 0.08)):
        (folder / "service.py").write_text(SERVICE.replace("WAIT_S", str(wait_s)))
        git(folder, "add", ".")
        git(folder, "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-qm", name)
        git(folder, "tag", name)
    yield folder
    assert git(folder, "worktree", "list").count("\n") == 1
    for pid in (tmp_path / "pids").read_text().split():
        assert not Path(f"/proc/{pid}").exists(), "a service was left running"


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


def compare(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [*HEADWAY, "compare", "--interleave", "scenario.toml", "--no-calibration", "--start", START, *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy()
    )


def test_a_slower_revision_is_found_in_turns(repository: Path) -> None:
    """A B, B A, A B: the slow one is called slower; nothing is left running and nothing checked out."""
    process = compare(
        repository, "--a-rev", "fast", "--b-rev", "slow", "--rounds", "3", "--duration", "1", "--format", "json"
    )
    out, err = process.communicate(timeout=120)
    told = json.loads(out)
    assert "round 2: B, then A" in err
    folders = sorted((repository / ".headway/runs").iterdir())
    assert [json.loads((each / "turn.json").read_text())["side"] for each in folders[:6]] == list("ABBAAB")
    alone = subprocess.run(
        [*HEADWAY, "compare", "--trend"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert alone.returncode == 4
    assert "no two valid runs" in alone.stdout
    if process.returncode == 5:  # a machine too busy to time anything: said, not called slower
        assert any("generator" in each for each in told["not_comparable"]), told["not_comparable"]
        return
    assert process.returncode == 3, err
    assert len(told["a"]) == len(told["b"]) >= 3
    assert "rounds of A and B in turns" in told["phases"][0]["basis"]
    (middle,) = [each for each in told["phases"][0]["differences"] if each["figure"] == "p50"]
    assert middle["call"] == "slower"


def test_ctrl_c_ends_what_was_started(repository: Path) -> None:
    """In the midst of a round: the runs are kept, the services ended, the check-outs removed."""
    process = compare(repository, "--a-rev", "fast", "--b-rev", "slow", "--duration", "30")
    said: list[str] = []
    with process:
        reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
        reader.start()
        until = time.monotonic() + 60
        while not any("planned" in each for each in said) and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 5
        reader.join(10)
    assert any("interrupted in round 1" in each for each in said), said


@pytest.mark.parametrize(
    ("names", "start", "error", "said"),
    [
        (("fast", "none"), START, BadInput, "no revision 'none'"),
        (("fast", "--all"), START, BadInput, "no revision '--all'"),
        (("fast", "slow"), "python3 service.py 80", BadInput, "has no {port}"),
        (("fast", "slow"), "no-such-program {port}", BadInput, "cannot start 'no-such-program'"),
        (("fast", "slow"), 'python3 "service.py {port}', BadInput, "can't be read"),
        (("fast", "slow"), "python3 -c 'raise SystemExit(\"no database {port}\")'", TargetUnreachable, "no database"),
        (("fast", "slow"), "sleep 60{port}", TargetUnreachable, "did not answer on port"),
    ],
)
def test_what_cannot_be_served_is_said_and_cleaned_up(
    repository: Path, names: tuple[str, str], start: str, error: type[HeadwayError], said: str
) -> None:
    """A revision, a command or a service that isn't there: one clear error, with what the service itself said."""
    with pytest.raises(error) as refused, revisions.served(
        repository, names, start=start, prepare=None, patience_s=2
    ):  # fmt: skip
        pytest.fail("nothing was to be served")
    assert said in str(refused.value)


def test_preparing_that_fails_is_said(repository: Path) -> None:
    """A build that breaks at one revision is that revision's fault, and its words are shown."""
    with pytest.raises(BadInput, match="--prepare failed at fast with exit code 3; it said: broken"), revisions.served(
        repository, ("fast", "slow"), start=START, prepare="sh -c 'echo broken; exit 3'", patience_s=5
    ):  # fmt: skip
        pytest.fail("nothing was to be served")


def test_outside_a_repository_it_is_said(tmp_path: Path) -> None:
    """No git repository: the folder is named."""
    with pytest.raises(BadInput, match="no revision"), revisions.served(
        tmp_path, ("a", "b"), start=START, prepare=None, patience_s=1
    ):  # fmt: skip
        pytest.fail("nothing was to be served")
