"""Requests of every kind, made from the API's own description: none makes the service fail."""

import os
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from tests.support.serving import Service, wait_for_map

EXAMPLES = 6 if os.environ.get("CI") else 2  # of each operation and mode


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_no_request_makes_it_fail_and_every_answer_is_as_described(
    service: Service, mode: str
) -> None:
    import schemathesis  # takes seconds to import, as do its checks
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    wait_for_map(service)  # until then it answers 503
    schema = schemathesis.openapi.from_dict(service.get("/openapi.json"))
    schema.config.update(base_url=service.address)
    n_asked = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def ask(case: Any) -> None:
            nonlocal n_asked
            n_asked += 1
            case.call_and_validate(checks=checks)

        with suppress(Unsatisfiable):  # nothing can be wrong where there are no parameters
            ask()
    assert n_asked > 50
