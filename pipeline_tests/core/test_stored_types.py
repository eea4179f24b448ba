"""A stored type changes with its schema number and an upgrade, or not at all.

`stored_types.json` holds the fields of every stored type by its schema number. After a change that is meant::

    RENEW_SNAPSHOT=1 pytest pipeline_tests/core/test_stored_types.py
"""

import importlib
import json
import os
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.core.values import Stored, StoredValue

SNAPSHOT = Path(__file__).with_name("stored_types.json")


def stored_types(cls: type[Stored] = Stored) -> dict[str, type[Stored]]:
    """Every stored type of the package by its name."""
    found: dict[str, type[Stored]] = {}
    for kind in cls.__subclasses__():
        if kind.__module__.startswith("pipeline."):
            found |= {kind.__name__: kind, **stored_types(kind)}
    return found


for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if module.name not in ("pipeline.__main__", "pipeline.compute.modal_app", "pipeline.compute.modal.app"):
        importlib.import_module(module.name)
TYPES = {name: kind for name, kind in stored_types().items() if kind is not StoredValue}


def fields(kind: type[Stored]) -> Any:
    """The JSON schema of a type and of the plain values in it, without words for readers."""
    schema = kind.model_json_schema()
    nested = {name: part for name, part in schema.pop("$defs", {}).items() if name not in TYPES}
    return without_words({**schema, "$defs": nested} if nested else schema)


def without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: without_words(value) for key, value in schema.items() if key not in ("description", "title")}
    return [without_words(value) for value in schema] if isinstance(schema, list) else schema


def test_the_snapshot_knows_every_stored_type() -> None:
    if os.environ.get("RENEW_SNAPSHOT"):
        now = {name: {"schema": kind.schema_number, "fields": fields(kind)} for name, kind in sorted(TYPES.items())}
        SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    assert set(json.loads(SNAPSHOT.read_text())) == set(TYPES)
    assert {"Pointer", "Manifest", "CheckpointManifest", "Watch", "WorkRecord", "Outcome"} < set(TYPES)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_change_of_fields_comes_with_a_schema_number_and_an_upgrade(name: str) -> None:
    kind, known = TYPES[name], json.loads(SNAPSHOT.read_text())[name]
    if fields(kind) != known["fields"]:
        assert kind.schema_number > known["schema"], f"{name} has other fields: raise schema_number, write the upgrade"
    assert (kind.schema_number, fields(kind)) == (known["schema"], known["fields"]), "renew the snapshot (see above)"
    assert set(kind.upgrades) == set(range(1, kind.schema_number))
