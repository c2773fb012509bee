"""
k6's executors by their own names and keys, as the [load] table that means the same.

What k6 has and Headway does not do is refused with its reason; nothing is passed over.

Source: Grafana k6 documentation, "Executors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.load.durations import seconds_of
from headway.load.places import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.load.sheet import Sheet

ARRIVAL = ("timeUnit", "preAllocatedVUs", "maxVUs")
EXECUTORS = {
    "constant-arrival-rate": ("rate", "duration", *ARRIVAL),
    "ramping-arrival-rate": ("startRate", "stages", *ARRIVAL),
    "constant-vus": ("vus", "duration"),
    "ramping-vus": ("startVUs", "stages"),
    "shared-iterations": ("vus", "iterations", "maxDuration"),
    "per-vu-iterations": ("vus", "iterations", "maxDuration"),
    "externally-controlled": ("vus", "duration", "control_file"),
}
OURS = ("executor", "warmup_s", "timeout_s", "seed", "max_connections")
REFUSED = {
    "gracefulStop": "what is in flight at the end is waited for during timeout_s",
    "gracefulRampDown": "a user that leaves takes its answer first",
    "startTime": "a scenario has one load, which starts at once",
    "exec": "what is sent stands in routes and journeys",
    "env": "values from the environment are written ${NAME}",
    "tags": "every figure carries its route's name",
}


def translated(sheet: Sheet, table: Mapping[str, Any]) -> Table:
    """
    The [load] table without `executor`.

    Raises:
        BadInput: no such executor, a key it does not have, or one that Headway does not do.
    """
    name = sheet.choice(table, "executor", tuple(EXECUTORS), "")
    for key, why in REFUSED.items():
        if key in table:
            raise sheet.wrong(table, key, "is not done", next_act=f"leave it out: {why}")
    sheet.known(table, (*OURS, *EXECUTORS[name]), f"[load] with the executor {name}")
    found: dict[str, Any] = {key: table[key] for key in OURS if key in table and key != "executor"}
    places: dict[str, str] = {}

    def put(ours: str, theirs: str, value: Any = None) -> None:
        if theirs in table:
            found[ours] = table[theirs] if value is None else value
            places[ours] = theirs

    if name.endswith("arrival-rate"):
        found["model"], found["arrivals"] = "open", "constant"
        unit_s = _unit_s(sheet, table)
        theirs = "rate" if name.startswith("constant") else "startRate"
        put("rate_per_s", theirs, (sheet.number(table, theirs, 0.0, above=-1e-9) or 0.0) / unit_s)
        found.setdefault("rate_per_s", 0.0)
        sheet.whole(table, "preAllocatedVUs", None)  # it must mean something, also where maxVUs goes before it
        put("max_connections", "preAllocatedVUs")
        put("max_connections", "maxVUs")
        put("stages", "stages", _stages(sheet, table, "rate_per_s", unit_s))
    else:
        found["model"] = "closed"
        put("users", "startVUs" if name == "ramping-vus" else "vus")
        found.setdefault("users", 1)
        put("stages", "stages", _stages(sheet, table, "users", 1.0))
        if name.endswith("iterations"):
            found["iterations"], found["iterations_each"] = 1 if name.startswith("per") else found["users"], False
            put("iterations", "iterations")
            found["iterations_each"] = name.startswith("per")
            found["duration_s"] = "10m"
            put("duration_s", "maxDuration")
    put("duration_s", "duration")
    if name == "externally-controlled":
        put("control_file", "control_file")
        if "control_file" not in found:
            raise sheet.wrong(
                table, "executor", "is controlled by a file here", next_act='name it: control_file = "users.txt"'
            )
    if not isinstance(table, Table):
        return Table(found)
    at = {ours: table.keys_at[theirs] for ours, theirs in places.items() if theirs in table.keys_at}
    values = {ours: table.values_at[theirs] for ours, theirs in places.items() if theirs in table.values_at}
    return Table(found, table.at, {**table.keys_at, **at}, {**table.values_at, **values})


def _unit_s(sheet: Sheet, table: Mapping[str, Any]) -> float:
    text = sheet.text(table, "timeUnit", "1s")
    unit_s = seconds_of(text or "1s")
    if not unit_s:
        raise sheet.wrong(table, "timeUnit", "is not a time", next_act='say "1s" or "1m"')
    return unit_s


def _stages(sheet: Sheet, table: Mapping[str, Any], target: str, unit_s: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for row in sheet.rows(table, "stages", example='stages = [{ target = 100, duration = "30s" }]'):
        if not isinstance(row, dict) or set(row) != {"target", "duration"}:
            raise sheet.wrong(table, "stages", "has a stage without target and duration", next_act="give it both")
        to = sheet.number(row, "target", None, above=-1e-9) or 0.0
        found.append({"duration_s": row["duration"], target: to / unit_s if target == "rate_per_s" else row["target"]})
    return found
