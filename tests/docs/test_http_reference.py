"""The reference of the HTTP API is current: each endpoint is there, and each example fits it."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from docs.generate import FORM, HTTP_EXAMPLES, http_page
from jsonschema import Draft202012Validator

from twinear.serve.app import create_app
from twinear.serve.options import ServeOptions

API = create_app(ServeOptions()).openapi()
EXAMPLES = json.loads(HTTP_EXAMPLES.read_text(encoding="utf-8"))
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in API["paths"].items()
    for method, operation in operations.items()
    if FORM not in operation.get("requestBody", {}).get("content", {})
}


def closed(schema: Any) -> Any:
    """Let no object have a field that is not described, so that examples hold no old ones."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **made} if "properties" in made else made


SCHEMAS = closed(API["components"])


def test_every_endpoint_has_its_section_and_its_example_and_no_other_has() -> None:
    assert set(EXAMPLES) == set(OPERATIONS)
    page = http_page()
    for name, operation in OPERATIONS.items():
        section = page.split(f"\n### `{name}`\n")[1].split("\n### ")[0]
        assert EXAMPLES[name]["command"] in section
        for parameter in operation.get("parameters", ()):
            assert f"\n| `{parameter['name']}` |" in section
    for schema in SCHEMAS["schemas"]:
        assert page.count(f"{{#schema-{schema}}}") == 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_example_is_as_described(name: str) -> None:
    operation, example = OPERATIONS[name], EXAMPLES[name]
    (address,) = (word for word in example["command"].split() if "http://" in word)
    asked = set(parse_qs(urlsplit(address.strip("'")).query))
    assert asked <= {parameter["name"] for parameter in operation.get("parameters", ())}
    content = operation["responses"]["200"].get("content", {}).get("application/json")
    if content and not isinstance(example["answer"], str):
        schema = {**closed(content["schema"]), "components": SCHEMAS}
        Draft202012Validator(schema).validate(example["answer"])
