"""The API is as it is described, whatever is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import Group
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from accounts.models import User
from checkin.models import Kiosk
from integrations.api.problems import PROBLEMS
from roster.models import ClassSession
from tests.support.api import a_machine, a_token
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_course,
    a_registration,
    a_session,
    a_student,
    an_attendance,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_description_is_made_without_a_warning_and_is_valid() -> None:
    GENERATOR_STATS.reset()
    described = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache
    validate_schema(described)


def test_every_operation_says_what_it_does_and_for_which_scope(
    description: dict[str, Any],
) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            if "/schema/" in path:
                continue
            assert operation["description"], (path, method)
            assert "log-" in path or operation["security"][0].keys() == {"oauth2"}, (path, method)


def test_every_write_takes_an_idempotency_key(description: dict[str, Any]) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            named = {parameter["name"] for parameter in operation.get("parameters", [])}
            writes = method != "get" and "/log-" not in path
            assert ("Idempotency-Key" in named) == writes, (path, method)


def test_the_codes_of_problems_are_described(description: dict[str, Any]) -> None:
    schema = description["components"]["schemas"]["Problem"]
    assert schema["properties"]["code"]["enum"] == list(PROBLEMS)


# Anything that can be sent

CONFIG = SchemathesisConfig.from_dict(
    {
        # What is as described may still be impossible (409, 422), or not known here (404).
        "checks": {
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "401", "403", "404", "409", "412", "422"]
            },
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "403", "404", "405", "406", "409", "422"]
            },
        },
        "generation": {"allow-x00": False},
    }
)
schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", get_wsgi_application(), config=CONFIG)


@pytest.fixture
def token(db: None) -> str:
    """Of a system that may do everything, in a school with one of each."""
    account = User.objects.create_user("everything", is_staff=True)
    account.groups.set(Group.objects.all())
    course = a_course("MATH", account)
    student = a_student("S-1", "Eileen Collins", course)
    session = a_session(course)
    an_attendance(session, student)
    a_registration(student, an_embedding(1))
    Kiosk.objects.create(name="Door").courses.add(course)
    ClassSession.objects.update(ends_at=timezone.now() + timedelta(days=1))
    machine, _secret = a_machine(account)
    return a_token(machine)


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """A server closes its connection after each request, and this is the test's own."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_what_is_answered_is_as_described(case: Any, token: str) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {token}"})
