"""From the sources named to the files written: the one way through the drafts."""

from __future__ import annotations

import json
import re
import shlex
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.load.drafts import from_har, from_log, from_openapi, openapi_document, writing
from headway.load.drafts.arrivals import Spool
from headway.load.drafts.draft import several

if TYPE_CHECKING:
    from headway.load.drafts.draft import Draft
    from headway.load.drafts.writing import Written

SOMEWHERE = "http://127.0.0.1:8000"
"""What the next command names where nobody said where the service is."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was written, and what to do next."""

    draft: Draft
    written: Written
    against: str
    root: Path

    @property
    def next_command(self) -> str:
        """What to type now."""
        if self.written.increment is None:
            return f"headway run {shlex.quote(_shown(self.written.scenario))} --against {shlex.quote(self.against)}"
        number = self.written.increment.name[:4]
        where = "" if self.root.resolve() == Path.cwd() else f" --root {shlex.quote(str(self.root))}"
        return f"headway validate {number} --performance --against {shlex.quote(self.against)}{where}"

    def as_text(self) -> str:
        """For people: what was found, what to know, where it is, what to type."""
        scenario = self.draft.scenario
        parts = [several(len(scenario.routes), "route")]
        parts += [several(len(scenario.journeys), "journey")] if scenario.journeys else []
        parts += [several(len(scenario.parameters), "parameter")] if scenario.parameters else []
        lines = [f"read {self.draft.found}: {', '.join(parts)}"]
        for note in self.draft.notes:
            lines += textwrap.wrap(note, 100, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
        if self.written.increment is not None:
            count = len(self.draft.proposals)
            lines.append(
                f"wrote {_shown(self.written.increment / 'spec.md')}: {count} criteria, all proposals to agree on"
            )
        lines.append(f"wrote {_shown(self.written.scenario)}")
        rest = [each for each in self.written.files if each.suffix in {".csv", ".jsonl"}]
        lines += [f"wrote {_shown(each)}" for each in rest[:4]]
        lines += [f"wrote {len(rest) - 4} more files of keys"] if len(rest) > 4 else []
        return "\n".join([*lines, f"next: {self.next_command}"])

    def as_json(self) -> str:
        """For programs."""
        return json.dumps(
            {
                "found": self.draft.found,
                "scenario": str(self.written.scenario),
                "increment": None if self.written.increment is None else str(self.written.increment),
                "files": [str(each) for each in self.written.files],
                "routes": [each.name for each in self.draft.scenario.routes],
                "not_asked": [each.name for each in self.draft.asleep],
                "proposals": [{"text": each.text, "why": each.why} for each in self.draft.proposals],
                "notes": list(self.draft.notes),
                "next": self.next_command,
            },
            indent=2,
        )


def write(
    *,
    openapi: str | None,
    har: Path | None,
    access_logs: tuple[Path, ...],
    name: str | None,
    scenario_file: Path | None,
    writes: bool,
    host: str | None,
    speed: float | None,
    stretch_s: float,
    against: str | None,
    force: bool,
    root: Path,
) -> Done:
    """
    Read the sources, and write what they give.

    Args:
        openapi: a document's file or URL; beside logs it only tells the routes' templates.
        har: a browser's archive.
        access_logs: one log's files.
        name: of the service; None takes the source's word.
        scenario_file: write the scenario there and no increment; None writes an increment below `root`.
        writes: whether what writes is asked as well.
        host: of the HAR's hosts, the one to load.
        speed: load with the log's own arrivals, this many times as fast.
        stretch_s: how much of the log to replay.
        against: the service's address, for the next command.
        force: replace files.
        root: the folder that has, or gets, .specweave.

    Raises:
        BadInput: no source, or two that don't go together; a source that cannot be read; a file that is there.
    """
    _refuse(openapi, har, access_logs, name=name, writes=writes, host=host, speed=speed)
    with Spool() as spool:
        draft = _draft(
            openapi,
            har,
            access_logs,
            spool,
            name,
            writes=writes,
            host=host,
            speed=speed,
            stretch_s=stretch_s,
            prefix="" if scenario_file is None else f"{scenario_file.stem}-",
        )
        aim = against or draft.target_url or SOMEWHERE
        if scenario_file is not None:
            written = writing.as_scenario(draft, scenario_file, force=force)
        else:
            service = _slug(draft.scenario.name)
            written = writing.into_increment(draft, root, service=service, against=aim, force=force)
    return Done(draft=draft, written=written, against=aim, root=root)


def _refuse(
    openapi: str | None,
    har: Path | None,
    access_logs: tuple[Path, ...],
    *,
    name: str | None,
    writes: bool,
    host: str | None,
    speed: float | None,
) -> None:
    if har is None and not access_logs and openapi is None:
        raise BadInput(
            "there is nothing to begin from", next_act="name one of --openapi FILE|URL, --har FILE, --access-log FILE"
        )
    if har is not None and (access_logs or openapi is not None):
        raise BadInput("--har goes with no other source", next_act="make two scenarios, each with its own --name")
    if access_logs and writes:
        raise BadInput("--writes means nothing for a log, which has no bodies", next_act="leave it out")
    if speed is not None and not access_logs:
        raise BadInput("--replay needs arrivals, and only a log has them", next_act="name one with --access-log")
    if host is not None and har is None:
        raise BadInput("--host chooses among a HAR's hosts", next_act="name the archive with --har")
    if name is not None and not re.search(r"[a-z0-9]", name.lower()):
        raise BadInput(f"--name {name!r} has neither a letter of a to z nor a digit", next_act="say --name shop")


def _draft(
    openapi: str | None,
    har: Path | None,
    access_logs: tuple[Path, ...],
    spool: Spool,
    name: str | None,
    *,
    writes: bool,
    host: str | None,
    speed: float | None,
    stretch_s: float,
    prefix: str,
) -> Draft:
    if har is not None:
        return from_har.draft(har, name=name, host=host, writes=writes)
    document = None if openapi is None else openapi_document.read(openapi)
    if access_logs:
        draft = from_log.draft(
            access_logs, spool, name=name or (document.title if document is not None else "service"),
            api_paths=None if document is None else document.paths, speed=speed, stretch_s=stretch_s,
            prefix=prefix, said=_say,
        )  # fmt: skip
        return draft if document is None else replace(draft, target_url=document.base[0])
    if document is None:
        raise BadInput("there is nothing to begin from", next_act="name a source")
    return from_openapi.draft(document, name=name, writes=writes)


def _say(lines: int) -> None:
    if sys.stderr.isatty():
        print(f"\rheadway: read {lines:,} lines", end="", file=sys.stderr, flush=True)


def _shown(file: Path) -> str:
    """The path from here where it is below."""
    whole = file.resolve()
    return str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else file)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50].strip("-") or "service"
