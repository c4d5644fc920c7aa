"""Schemas of well-known files, as check-jsonschema ships them."""

import json
from importlib.resources import files
from typing import Any


def validate(value: Any, schema: str) -> None:
    """Check a value against a schema, named as check-jsonschema names it: `compose-spec`."""
    import jsonschema  # takes two seconds to import

    place = files("check_jsonschema") / "builtin_schemas/vendor" / f"{schema}.json"
    jsonschema.validate(value, json.loads(place.read_text(encoding="utf-8")))
