"""headway init: a first increment and scenario, from what a service leaves lying about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import HERE, Format

EXAMPLES = options.examples(
    "headway init --openapi http://127.0.0.1:8000/openapi.json",
    "headway init --har visit.har",
    "headway init --access-log access.log --openapi openapi.yaml",
    "headway init --access-log access.log.1.gz --access-log access.log --replay 2",
    "headway init --openapi openapi.yaml --scenario load.toml",
)


OpenapiOption = Annotated[
    str | None, typer.Option("--openapi", metavar="FILE|URL", help="OpenAPI 3 document, JSON or YAML.")
]
HarOption = Annotated[Path | None, typer.Option("--har", metavar="FILE", help="HTTP archive saved by a browser.")]
AccessLogOption = Annotated[
    list[Path] | None,
    typer.Option("--access-log", metavar="FILE", help="nginx log, combined or JSON, also .gz; may be repeated."),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="What the service is called; default: its source's word for it.")
]
ScenarioOption = Annotated[
    Path | None, typer.Option("--scenario", metavar="FILE", help="Write the scenario there, and no increment.")
]
WritesOption = Annotated[
    bool, typer.Option("--writes", help="Include what writes: POST, PUT, PATCH, DELETE. OpenAPI and HAR.")
]
HostOption = Annotated[
    str | None, typer.Option("--host", help="HAR: the host to load; default: that of the first page.")
]
ReplayOption = Annotated[
    float | None,
    typer.Option("--replay", metavar="SPEED", min=0.001, max=1000, help="Log: send its arrivals, N times as fast."),
]
MinutesOption = Annotated[
    float, typer.Option("--minutes", min=0.1, help="Log: how much of it to replay: its busiest stretch.")
]
AgainstOption = Annotated[
    str | None, typer.Option("--against", metavar="URL", help="The service's address, for the next command.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
SchemaOption = Annotated[
    bool, typer.Option("--schema", help="Print the scenario file's JSON Schema, and write nothing.")
]


def init(
    *,
    openapi: OpenapiOption = None,
    har: HarOption = None,
    access_log: AccessLogOption = None,
    name: NameOption = None,
    scenario: ScenarioOption = None,
    writes: WritesOption = False,
    host: HostOption = None,
    replay: ReplayOption = None,
    minutes: MinutesOption = 15.0,
    against: AgainstOption = None,
    force: ForceOption = False,
    schema: SchemaOption = False,
    root: options.RootOption = HERE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Write a first increment and scenario from an OpenAPI document, a HAR or an access log.

    Criteria are proposals. Nothing is sent to the service; --openapi with a URL fetches that one document.
    """
    if schema:
        from headway.load.schema import schema as scenario_schema

        options.deliver(scenario_schema(), output)
        return
    from headway.load.drafts import first

    done = first.write(
        openapi=openapi,
        har=har,
        access_logs=tuple(access_log or ()),
        name=name,
        scenario_file=scenario,
        writes=writes,
        host=host,
        speed=replay,
        stretch_s=minutes * 60,
        against=against,
        force=force,
        root=root,
    )
    options.deliver(done.as_json() if format is Format.JSON else done.as_text(), output)
