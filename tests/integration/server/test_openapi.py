"""The description of the REST and the REST itself cannot part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings

import jupyter_alc
from jupyter_alc.server.routes import ROUTES

pytestmark = pytest.mark.integration

FILE = Path(jupyter_alc.__file__).parent / "server" / "openapi.yaml"
DESCRIPTION = yaml.safe_load(FILE.read_text())
VERBS = ("get", "head", "post", "put", "patch", "delete")


def test_every_address_and_verb_is_described_and_every_description_is_served() -> None:
    served = {path: {verb for verb in VERBS if verb in vars(handler)} for path, handler in ROUTES.items()}
    described = {path: set(told) & set(VERBS) for path, told in DESCRIPTION["paths"].items()}
    assert served == described


def test_every_verb_wants_a_login_and_a_right() -> None:
    for handler in ROUTES.values():
        assert handler.auth_resource == "jupyter_alc"
        for verb in set(VERBS) & set(vars(handler)):
            decorated = vars(handler)[verb]
            assert decorated.__wrapped__.__wrapped__.__qualname__ == f"{handler.__name__}.{verb}"


schema = schemathesis.openapi.from_dict(DESCRIPTION)


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_the_answer_is_as_described(case: Any, server: Any) -> None:
    response = case.call(
        base_url=f"{server.url}jupyter-alc/v1", headers={"Authorization": f"token {server.token}"}, timeout=30
    )
    assert response.status_code < 500 or response.status_code in {501, 503, 504}
    if response.status_code >= 400 and case.method != "HEAD" and "/ui" not in case.path:
        assert {"code", "message", "next_step"} <= set(response.json())
    case.validate_response(
        response,
        checks=(
            schemathesis.checks.not_a_server_error,
            schemathesis.checks.response_schema_conformance,
            schemathesis.checks.content_type_conformance,
        ),
    ) if response.status_code < 500 else None
