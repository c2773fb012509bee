"""The JSON Schema of a scenario file, for editors and for those who write scenarios by program."""

from __future__ import annotations

from importlib import resources

SCHEMA_FILE = "scenario.schema.json"


def schema() -> str:
    """
    The schema's text (JSON Schema, draft 2020-12).

    What the reader refuses for its form, the schema refuses. Only the reader knows names that nothing defines, files
    that are not there, expressions that mean nothing.
    """
    return resources.files("headway.load").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
