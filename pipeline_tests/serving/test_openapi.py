"""Whatever is sent, an answer is what the OpenAPI description says, and none is an error of the service."""

from typing import Any

import pytest
import schemathesis
from effort import tries
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from served import Served

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
TAKING = ["/compare", "/search", "/add", "/remove"]
PATHS = [*TAKING, "/health", "/metrics"]
VALID, INVALID = [schemathesis.GenerationMode.POSITIVE], [schemathesis.GenerationMode.NEGATIVE]


def test_every_path_is_described(asked: Served) -> None:
    assert sorted(asked.get("/openapi.json")["paths"]) == sorted(PATHS)


@pytest.mark.parametrize(
    ("path", "mode"),
    # Nothing can be wrong with a request that has neither body nor parameters.
    [(path, mode) for path in PATHS for mode in VALID + (INVALID if path in TAKING else [])],
)
def test_fuzzed_requests_get_what_is_described(asked: Served, path: str, mode: schemathesis.GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{asked.address}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    (operation,) = [found for found in operations if found.path == path]

    @settings(
        max_examples=tries(40),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        response = case.call_and_validate(checks=CHECKS)
        if mode in VALID:
            # A precision that no threshold has, or more questions than this service takes at once.
            assert response.status_code in (200, 400, 413), response.text

    fuzz()
