"""The [load] table of a scenario to a Phase: how much load, in which model, in which shape, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.load import executors, replay
from headway.load.durations import seconds_of
from headway.load.places import value_at
from headway.model import Arrivals, LoadModel, Phase, Replay, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.load.sheet import Sheet

DEFAULT_RATE_PER_S = 50.0
DEFAULT_DURATION_S = 20.0
DEFAULT_WARMUP_S = 5.0
LONGEST_S = 7 * 24 * 3600.0
OPEN_KEYS = ("rate_per_s", "arrivals", "burst_size", "replay")
CLOSED_KEYS = ("users", "iterations", "iterations_each", "control_file")
LOAD_KEYS = (
    "model", "executor", *OPEN_KEYS, *CLOSED_KEYS, "duration_s", "warmup_s", "stages", "shape", "max_connections",
    "timeout_s", "seed",
)  # fmt: skip
STAGE_KEYS = ("duration_s", "rate_per_s", "users")
SHAPES = {
    "ramp": ("to", "over_s", "hold_s"),
    "steps": ("to", "count", "each_s"),
    "spike": ("to", "before_s", "over_s", "hold_s", "after_s"),
    "soak": ("for_s",),
}


def phase(sheet: Sheet, table: Mapping[str, Any], routes: Sequence[str]) -> Phase:
    """
    The load a scenario calls ordinary.

    Args:
        sheet: the file, for refusals.
        table: its [load].
        routes: names of its routes, which a replay refers to.

    Raises:
        BadInput: a key or a value means nothing, or contradicts another; with the line.
    """
    if "executor" in table:
        table = executors.translated(sheet, table)
    sheet.known(table, LOAD_KEYS, "[load]")
    model = LoadModel(sheet.choice(table, "model", [each.value for each in LoadModel], _implied(table)))
    opened = model is LoadModel.OPEN
    for key in CLOSED_KEYS if opened else OPEN_KEYS:
        if key in table:
            raise sheet.wrong(
                table, key, f"means nothing in {'an' if opened else 'a'} {model.value} model",
                next_act="an open model has rate_per_s and arrivals, a closed one has users",
            )  # fmt: skip
    arrivals = Arrivals(sheet.choice(table, "arrivals", [each.value for each in Arrivals], "poisson"))
    level = _level(sheet, table, opened=opened)
    stages = _stages(sheet, table, level, opened=opened)
    recorded = _replay(sheet, table, arrivals)
    # Only here does the recording's own length count: a duration that is named cuts it short.
    lasts_s = replay.read(recorded, routes).lasts_s if recorded is not None else DEFAULT_DURATION_S
    users = None if opened else round(level)
    return Phase(
        name="scenario",
        model=model,
        arrivals=arrivals,
        rate_per_s=level if opened and recorded is None else None,
        users=users,
        duration_s=_duration(sheet, table, stages, lasts_s),
        warmup_s=_seconds(sheet, table, "warmup_s", 0.0 if recorded else DEFAULT_WARMUP_S, above=-1e-9),
        max_connections=sheet.whole(table, "max_connections", users or 256) or 256,
        timeout_s=_seconds(sheet, table, "timeout_s", 10.0),
        seed=sheet.whole(table, "seed", 1) or 1,
        stages=stages,
        burst_size=_burst(sheet, table, arrivals),
        replay=recorded,
        iterations=sheet.whole(table, "iterations", None),
        iterations_each=sheet.truth(table, "iterations_each", default=False),
        control_file=_control(sheet, table),
    )


def _implied(table: Mapping[str, Any]) -> str:
    """The model that the other keys speak of."""
    return "closed" if "model" not in table and "users" in table and "rate_per_s" not in table else "open"


def _level(sheet: Sheet, table: Mapping[str, Any], *, opened: bool) -> float:
    """What the phase runs at, or starts from."""
    staged = "stages" in table or "shape" in table
    if opened:
        rate = sheet.number(table, "rate_per_s", DEFAULT_RATE_PER_S, above=-1e-9 if staged else 0)
        return DEFAULT_RATE_PER_S if rate is None else rate
    users = sheet.whole(table, "users", None, least=0 if staged else 1)
    if users is None:
        raise sheet.refuse(
            "a closed model needs users", next_act="say users = 50", near="model", at=value_at(table, "model")
        )
    return float(users)


def _stages(sheet: Sheet, table: Mapping[str, Any], level: float, *, opened: bool) -> tuple[Stage, ...]:
    if "stages" in table and "shape" in table:
        raise sheet.wrong(table, "shape", "stands beside stages", next_act="say one of them")
    if "shape" in table:
        return _shaped(sheet, table, level)
    target = "rate_per_s" if opened else "users"
    example = f"stages = [{{ duration_s = 30, {target} = 100 }}]"
    found = []
    for row in sheet.rows(table, "stages", example=example):
        if not isinstance(row, dict) or "duration_s" not in row or target not in row:
            raise sheet.wrong(
                table, "stages", f"has a stage without duration_s and {target}", next_act=f"say {example}"
            )
        sheet.known(row, ("duration_s", target), "a stage")
        to = sheet.number(row, target, None, above=-1e-9) if opened else sheet.whole(row, target, None, least=0)
        found.append(Stage(duration_s=_seconds(sheet, row, "duration_s", 0.0, above=-1e-9), target=float(to or 0)))
    if "stages" in table and not sum(each.duration_s for each in found):
        raise sheet.wrong(table, "stages", "take no time", next_act=f"say {example}")
    return tuple(found)


def _shaped(sheet: Sheet, table: Mapping[str, Any], level: float) -> tuple[Stage, ...]:
    """One of the shapes that have a name."""
    shape = sheet.table(table, "shape", example="shape = { ramp = { to = 500, over_s = 60 } }")
    if len(shape) != 1 or next(iter(shape)) not in SHAPES:
        raise sheet.wrong(table, "shape", "is not one shape", next_act=f"name one of {', '.join(SHAPES)}")
    name = next(iter(shape))
    keys = SHAPES[name]
    own = sheet.table(shape, name, example=f"{{ {name} = {{ {', '.join(f'{key} = ...' for key in keys)} }} }}")
    sheet.known(own, keys, f"the shape {name}")

    def seconds(key: str, default: float | None = None) -> float:
        if default is None and key not in own:
            raise sheet.wrong(table, "shape", f"has no {key}", next_act=f"{name} has {', '.join(keys)}")
        return _seconds(sheet, own, key, default or 0.0, above=-1e-9)

    if name == "soak":
        return (Stage(duration_s=seconds("for_s"), target=level),)
    to = sheet.number(own, "to", None, above=-1e-9)
    if to is None:
        raise sheet.wrong(table, "shape", "has no to", next_act=f"{name} has {', '.join(keys)}")
    if name == "ramp":
        return (Stage(duration_s=seconds("over_s"), target=to), Stage(duration_s=seconds("hold_s", 0.0), target=to))
    if name == "spike":
        return (
            Stage(duration_s=seconds("before_s", 10.0), target=level),
            Stage(duration_s=seconds("over_s", 0.0), target=to),
            Stage(duration_s=seconds("hold_s"), target=to),
            Stage(duration_s=seconds("over_s", 0.0), target=level),
            Stage(duration_s=seconds("after_s", 10.0), target=level),
        )  # fmt: skip
    count = sheet.whole(own, "count", 5) or 5
    steps = [level + (to - level) * number / count for number in range(count + 1)]
    each_s = seconds("each_s")
    return tuple(s for step in steps for s in (Stage(duration_s=0, target=step), Stage(duration_s=each_s, target=step)))


def _replay(sheet: Sheet, table: Mapping[str, Any], arrivals: Arrivals) -> Replay | None:
    if (arrivals is Arrivals.REPLAY) != ("replay" in table):
        raise sheet.refuse(
            'arrivals = "replay" and replay = { file = "..." } belong together', next_act="say both, or neither",
            near="replay", at=value_at(table, "replay" if "replay" in table else "arrivals"),
        )  # fmt: skip
    if arrivals is not Arrivals.REPLAY:
        return None
    for key in ("rate_per_s", "stages", "shape"):
        if key in table:
            raise sheet.wrong(table, key, "means nothing in a replay", next_act="its arrivals have their own times")
    own = sheet.table(table, "replay", example='replay = { file = "arrivals.jsonl", speed = 1 }')
    sheet.known(own, ("file", "speed"), "replay")
    file = sheet.text(own, "file")
    if file is None:
        raise sheet.wrong(table, "replay", "names no file", next_act='say replay = { file = "arrivals.jsonl" }')
    return Replay(file=sheet.file.parent / file, speed=sheet.number(own, "speed", 1.0) or 1.0)


def _duration(sheet: Sheet, table: Mapping[str, Any], stages: tuple[Stage, ...], lasts_s: float) -> float:
    if not stages:
        return _seconds(sheet, table, "duration_s", max(lasts_s, 1e-3))
    if "duration_s" in table:
        raise sheet.wrong(table, "duration_s", "stands beside stages", next_act="the stages have their own durations")
    return sum(each.duration_s for each in stages)


def _burst(sheet: Sheet, table: Mapping[str, Any], arrivals: Arrivals) -> int:
    if (arrivals is Arrivals.BURSTS) != ("burst_size" in table):
        raise sheet.refuse(
            'arrivals = "bursts" and burst_size belong together', next_act="say both, or neither", near="burst_size",
            at=value_at(table, "burst_size" if "burst_size" in table else "arrivals"),
        )  # fmt: skip
    return sheet.whole(table, "burst_size", 1) or 1


def _control(sheet: Sheet, table: Mapping[str, Any]) -> Any:
    file = sheet.text(table, "control_file")
    return None if file is None else sheet.file.parent / file


def _seconds(sheet: Sheet, table: Mapping[str, Any], key: str, default: float, *, above: float = 0) -> float:
    """A number of seconds, or a text such as "1m30s"."""
    value = table.get(key, default)
    if isinstance(value, str):
        value = seconds_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= LONGEST_S:
        raise sheet.wrong(
            table, key, f"is not a time above {max(above, 0):g} s and within a week", next_act='say 30, or "1m30s"'
        )
    return float(value)
