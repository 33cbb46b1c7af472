"""Other systems with tokens, and the students, courses and sessions that they ask for."""

from __future__ import annotations

import pytest

from accounts.models import User
from accounts.roles import ADMINISTRATOR, REGISTRAR
from tests.support.api import Api, api_of
from tests.support.school import a_member


@pytest.fixture
def registrar(db: None) -> User:
    return a_member(REGISTRAR, "registrar")


@pytest.fixture
def administrator(db: None) -> User:
    return a_member(ADMINISTRATOR, "administrator")


@pytest.fixture
def as_registrar_api(registrar: User) -> Api:
    return api_of(registrar)


@pytest.fixture
def as_administrator_api(administrator: User) -> Api:
    return api_of(administrator)


@pytest.fixture
def as_alice_api(alice: User) -> Api:
    return api_of(alice)
