"""
A first increment, proposed: a SpecWeave folder whose criteria a person has still to agree to.

The strict form, as SpecWeave's own validators take it: metadata.json, spec.md, plan.md, tasks.md; everything else goes
into scripts/.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.promises import criterion
from headway.promises.increment import INCREMENTS, SPECIFICATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

PROPOSED = "proposed"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One criterion to agree to: its text as criteria are written, and where its figure comes from."""

    text: str
    why: str
    priority: str = "P1"

    @property
    def understood(self) -> bool:
        """Whether Headway reads it as a promise; what it cannot read is not proposed."""
        return bool(criterion.read(self.text).clauses)


def folder(root: Path, slug: str) -> Path:
    """
    Where the increment goes: the one of that name when it is there, else the next free number.

    Looked for in `root` and above it, as `increment.find` does; made in `root` when there is none.
    """
    here = root.resolve()
    base = next(
        (each / INCREMENTS for each in (here, *here.parents) if (each / INCREMENTS).is_dir()), root / INCREMENTS
    )
    taken = [each.name for each in base.iterdir() if each.is_dir()] if base.is_dir() else []
    named = [name for name in taken if re.fullmatch(rf"\d{{4}}-{re.escape(slug)}", name)]
    if named:
        return base / named[0]
    numbers = [int(found[0]) for name in taken if (found := re.match(r"\d{4}", name))]
    return base / f"{max(numbers, default=0) + 1:04d}-{slug}"


def files(
    increment_id: str,
    proposals: Sequence[Proposal],
    *,
    service: str,
    found: str,
    baselines: Sequence[str],
    command: str,
    now: datetime,
) -> Mapping[str, str]:
    """
    The increment's files: name -> text.

    Args:
        increment_id: "0001-performance-of-shop".
        proposals: the criteria; each understood.
        service: what SpecWeave calls the project.
        found: what the proposals were made from, in a line.
        baselines: what the source measured, a line each; none: no section.
        command: what makes the load.
        now: when, UTC.
    """
    title = f"Performance of {service}"
    date = f"{now:%Y-%m-%d}"
    stamp = f"{now:%Y-%m-%dT%H:%M:%S}.000Z"
    metadata = {
        "id": increment_id, "status": "planning", "type": "feature", "priority": "P1", "created": stamp,
        "lastActivity": stamp, "testMode": "test-after", "coverageTarget": 0, "feature_id": None, "epic_id": None,
        "externalLinks": {}, "project": service,
    }  # fmt: skip
    ids = [f"AC-US1-{number:02d}" for number in range(1, len(proposals) + 1)]
    return {
        "metadata.json": json.dumps(metadata, indent=2) + "\n",
        SPECIFICATION: _spec(increment_id, title, date, service, proposals, found, baselines),
        "plan.md": _plan(title, command),
        "tasks.md": _tasks(title, ids),
    }


def _spec(
    increment_id: str,
    title: str,
    date: str,
    service: str,
    proposals: Sequence[Proposal],
    found: str,
    baselines: Sequence[str],
) -> str:
    criteria = "\n".join(
        f"- [ ] **AC-US1-{number:02d}**: {each.text} ({each.priority})\n"
        f"  - **Priority**: {each.priority}\n"
        f"  - **Note**: {PROPOSED}, not agreed. {each.why}"
        for number, each in enumerate(proposals, start=1)
    )
    measured = "\n".join(f"- {each}" for each in baselines)
    section = f"\n## Performance Baselines (Before)\n\n{measured}\n" if baselines else ""
    return f"""---
increment: {increment_id}
title: {json.dumps(title)}
type: feature
priority: P1
status: planning
created: {date}
structure: user-stories
test_mode: test-after
coverage_target: 0
---

# Increment {increment_id[:4]}: {title}

**Every criterion below is a proposal**, made by `headway init` from {found}.
None is agreed until somebody who knows what the service's users need has changed or kept it. Remove this paragraph and
the word "{PROPOSED}" then.

## User Stories

### US-001: A service that answers in time (P1)
**Project**: {service}

**As a** user
**I want** answers without waiting, also when many ask at once
**So that** I can do what I came for

**Priority**: P1

### Acceptance Criteria

{criteria}
{section}"""


def _plan(title: str, command: str) -> str:
    return f"""# Plan: {title}

## Implementation Plan

1. Agree on the criteria of `spec.md`: they are proposals.
2. Read `scripts/scenario.toml`: what its source could not say is marked there, and has to be filled in.
3. Measure: `{command}`
4. Mend what is found, and measure again.
"""


def _tasks(title: str, ids: Sequence[str]) -> str:
    named = ", ".join(ids)
    return f"""---
total_tasks: 2
completed: 0
by_user_story:
  US-001: 2
test_mode: test-after
coverage_target: 0
---

# Tasks: {title}

### T-001: Agree on the criteria and complete the scenario

**User Story**: US-001
**Satisfies ACs**: {named}
**AC-IDs**: {named}
**Status**: [ ] pending
**Priority**: P1 (Important)
**Estimated Effort**: 1 hour

**Implementation**:
- [ ] Change or keep each proposed criterion
- [ ] Fill in what the scenario marks as unknown

**Test Plan** (BDD):
- **Given** the scenario as completed
- **When** it is run for a few seconds
- **Then** no request fails for a reason of the scenario's own

### T-002: Measure the criteria

**User Story**: US-001
**Satisfies ACs**: {named}
**AC-IDs**: {named}
**Status**: [ ] pending
**Priority**: P1 (Important)
**Estimated Effort**: 1 hour

**Implementation**:
- [ ] Run the gate and read what breaks each promise

**Test Plan** (BDD):
- **Given** the service as it runs in production
- **When** the scenario's load arrives
- **Then** each criterion is kept
"""
