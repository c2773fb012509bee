"""What `headway compare` does in each of its forms: read the runs, compare, print, and hand back the exit code."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from headway import turns
from headway.cli import options
from headway.compare import baseline, comparison, revisions, sample, trend
from headway.compare.differences import Asked as Figures
from headway.compare.margin import Margin
from headway.conventions import COMPARISON_FILE, RUN_FILE, RUNS_FOLDER, STATE_FOLDER, TURN_FILE
from headway.errors import BadInput
from headway.evidence import bundle, reading, runfile
from headway.load import scenario as scenarios
from headway.model import ExitCode
from headway.report import differences as shown
from headway.report import trends as shown_trends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.compare.comparison import Comparison
    from headway.compare.sample import Run
    from headway.model import Sources

LAST_RUNS = 30
ONE_AT_A_TIME = "ask one at a time"


def check_asked(
    modes: Mapping[str, object], *, sides: Mapping[str, str | None], start: str | None, runs: tuple[str | None, ...]
) -> None:
    """
    Whether the options belong together.

    Raises:
        BadInput: they don't; says what is missing or too much.
    """
    chosen = [name for name, given in modes.items() if given]
    if len(chosen) > 1:
        raise BadInput(f"{' and '.join(chosen)} are different things to ask", next_act=ONE_AT_A_TIME)
    named = [name for name, given in sides.items() if given is not None]
    if chosen == ["--interleave"]:
        if sorted(named) not in (["--a", "--b"], ["--a-rev", "--b-rev"]):
            raise BadInput(
                f"--interleave with {' and '.join(named) or 'nothing to load'}",
                next_act="name two services (--a URL --b URL) or revisions (--a-rev REV --b-rev REV --start COMMAND)",
            )
        if ("--a-rev" in named) != (start is not None):
            raise BadInput(
                "--start says how a revision is served, and belongs to --a-rev and --b-rev",
                next_act='say, for example, --start "uvicorn app:app --port {port}"',
            )
    elif named:
        raise BadInput(f"{named[0]} belongs to --interleave", next_act="say --interleave SCENARIO")
    given = [each for each in runs if each is not None]
    wanted = {"--pin": (0,), "--interleave": (0,), "--trend": (0, 1), "--baseline": (0, 1)}
    allowed = wanted[chosen[0]] if chosen else (2,)
    if len(given) not in allowed:
        what = f"{chosen[0]} and the runs {' '.join(given)}" if chosen else f"{len(given) or 'no'} run to compare"
        raise BadInput(what, next_act="name two runs: headway compare latest~1 latest; see headway compare --help")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was asked besides the runs: what matters, which percentiles, and where the answer goes."""

    asked: options.Asked
    same_runner: bool
    ratio: float
    latency_ns: float
    errors_ratio: float
    quantiles: tuple[float, ...]
    html: Path | None
    as_json: bool
    output: Path | None

    @property
    def margin(self) -> Margin:
        """What matters."""
        return Margin(ratio=self.ratio, latency_ns=self.latency_ns, errors_ratio=self.errors_ratio)

    @property
    def figures(self) -> Figures:
        """The usual ones, or those asked for."""
        if not self.quantiles:
            return Figures()
        return Figures(quantiles=self.quantiles, route_quantiles=self.quantiles, required=self.quantiles)

    def runs(self, a: str, b: str) -> ExitCode:
        """Run B against run A, or rounds of each with commas between."""
        sides = [[self._run(each) for each in side.split(",")] for side in (a, b)]
        found = comparison.compare(
            *sides, margin=self.margin, asked=self.figures, same_runner=self.same_runner
        )  # fmt: skip
        return self._deliver(found)

    def pin(self, file: Path, reference: str) -> ExitCode:
        """Make a run the baseline."""
        run = self._run(reference)
        before = baseline.pin(file, run)
        kept = f"; the figures of {before} pin(s) before are kept beside it" if before else ""
        said = f"pinned run {run.id} in {file}{kept}; commit the file"
        content = {"pinned": run.id, "file": str(file), "fingerprint": run.fingerprint, "earlier": before}
        options.deliver(json.dumps(content, indent=2) if self.as_json else said, self.output)
        return ExitCode.KEPT

    def pinned(self, file: Path, reference: str | None) -> ExitCode:
        """A run against the pinned one."""
        run = self._run(reference)
        pin = baseline.pinned(file, run)
        found = comparison.compare(
            [pin.run], [run], margin=self.margin, asked=self.figures, same_runner=self.same_runner
        )
        drift = baseline.drift(pin, run, self.margin)
        return self._deliver(replace(found, warnings=(*drift, *found.warnings)))

    def trend(self, reference: str | None) -> ExitCode:
        """How the runs like this one have gone, the latest LAST_RUNS of them."""
        run = self._run(reference)
        like, left_out = self._like(run)
        found = trend.trends(like, self.margin)
        for each in left_out:
            typer.echo(f"headway: left out: {each}", err=True)
        options.deliver(shown_trends.as_json(found) if self.as_json else shown_trends.as_text(found), self.output)
        return trend.exit_code(found)

    def turns(self, scenario: Path, urls: tuple[str, str], rounds: int) -> ExitCode:
        """Two services in turns."""
        if urls[0] == urls[1]:
            typer.echo("headway: A and B are the same service: what differs is what differs by chance", err=True)
        sources: list[Sources] = [replace(self.asked, against=each, lab=False).sources() for each in urls]
        done = turns.compare(
            scenarios.read(scenario), sources[0], sources[1], root=self.asked.root, means=self.asked.means(),
            rounds=rounds, duration_s=self.asked.duration, margin=self.margin, asked=self.figures,
            say=lambda text: typer.echo(f"headway: {text}", err=True),
        )  # fmt: skip
        last = done.folders[-1][1]
        bundle.put(last / COMPARISON_FILE, shown.as_json(done.found).encode())
        typer.echo(f"comparison: {last / COMPARISON_FILE}", err=True)
        return self._deliver(done.found)

    def revisions(
        self, scenario: Path, names: tuple[str, str], rounds: int, start: str, prepare: str | None, patience_s: float
    ) -> ExitCode:
        """Two revisions of the repository of this folder in turns, both served meanwhile."""
        with revisions.served(Path(), names, start=start, prepare=prepare, patience_s=patience_s) as urls:
            for name, revision, url in zip("AB", names, urls, strict=True):
                typer.echo(f"headway: {name} is {revision}, at {url}", err=True)
            return self.turns(scenario, urls, rounds)

    def _run(self, reference: str | None) -> Run:
        return sample.of_evidence(reading.read(bundle.find(self.asked.root, reference)))

    def _like(self, run: Run) -> tuple[list[Run], list[str]]:
        """Runs of the same traffic and load up to this one, oldest first; why others of them were left out."""
        folder = self.asked.root / STATE_FOLDER / RUNS_FOLDER
        like: list[Run] = []
        left_out: list[str] = []
        for file in sorted(folder.glob(f"*/{RUN_FILE}"), reverse=True):
            name = file.parent.name
            if len(like) == LAST_RUNS:
                break
            in_turns = (file.parent / TURN_FILE).exists() and name != run.id  # short, and of two services at once
            if name > run.id or in_turns or not sample.like(runfile.read(file.parent), run):
                continue
            other = sample.of_evidence(reading.read(file.parent))
            if other.ailments:
                left_out.append(f"run {name}: {other.ailments[0]}")
            elif other.machine != run.machine:
                left_out.append(f"run {name} was made on another machine")
            else:
                like.append(other)
        return like[::-1], left_out

    def _deliver(self, found: Comparison) -> ExitCode:
        color = self.output is None and _colors()
        options.deliver(shown.as_json(found) if self.as_json else shown.as_text(found, color=color), self.output)
        if self.html is not None:
            from headway.report import differences_page

            differences_page.write(found, self.html)
            typer.echo(f"page: {self.html}", err=True)
        return found.exit_code


def _colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
