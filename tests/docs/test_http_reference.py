"""The reference of the HTTP API is current: each endpoint is there, and each example fits it."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from docs.generate import FORM, HTTP_EXAMPLES, http_page

from twinear.serve.app import create_app
from twinear.serve.options import ServeOptions

EXAMPLES = json.loads(HTTP_EXAMPLES.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def api() -> Any:
    return create_app(ServeOptions()).openapi()


@pytest.fixture(scope="module")
def operations(api: Any) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, operations in api["paths"].items()
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


def test_every_endpoint_has_its_section_and_its_example_and_no_other_has(
    api: Any, operations: dict[str, Any]
) -> None:
    assert set(EXAMPLES) == set(operations)
    page = http_page()
    for name, operation in operations.items():
        section = page.split(f"\n### `{name}`\n")[1].split("\n### ")[0]
        assert EXAMPLES[name]["command"] in section
        for parameter in operation.get("parameters", ()):
            assert f"\n| `{parameter['name']}` |" in section
    for schema in api["components"]["schemas"]:
        assert page.count(f"{{#schema-{schema}}}") == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_as_described(api: Any, operations: dict[str, Any], name: str) -> None:
    from jsonschema import Draft202012Validator  # takes seconds to import

    operation, example = operations[name], EXAMPLES[name]
    (address,) = (word for word in example["command"].split() if "http://" in word)
    asked = set(parse_qs(urlsplit(address.strip("'")).query))
    assert asked <= {parameter["name"] for parameter in operation.get("parameters", ())}
    content = operation["responses"]["200"].get("content", {}).get("application/json")
    if content and not isinstance(example["answer"], str):
        schema = {**closed(content["schema"]), "components": closed(api["components"])}
        Draft202012Validator(schema).validate(example["answer"])
