"""Eileen has an account and has agreed; her registration can be in any state."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from recognition.models import FaceRegistration
from recognition.registration import add_photo, submit_registration
from recognition.selectors import open_registration
from roster.models import Student
from tests.support import pictures
from tests.support.school import a_consent, an_account_of


@pytest.fixture
def eileens_account(eileen: Student) -> User:
    return an_account_of(eileen)


@pytest.fixture
def as_eileen(client: Client, eileens_account: User) -> Client:
    client.force_login(eileens_account)
    return client


@pytest.fixture
def willing(eileen: Student, eileens_account: User) -> Student:
    a_consent(eileen)
    eileen.refresh_from_db()
    return eileen


@pytest.fixture
def draft(willing: Student) -> FaceRegistration:
    """With one usable picture."""
    assert add_photo(student=willing, content=pictures.portrait(), added_by=willing.user).accepted
    registration = open_registration(willing)
    assert registration is not None
    return registration


@pytest.fixture
def pending(draft: FaceRegistration) -> FaceRegistration:
    submit_registration(draft)
    draft.refresh_from_db()
    return draft
