"""Dana is a student who signed up and confirmed her address; her password is below."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User

PASSWORD = "correct horse battery"


@pytest.fixture
def dana(db: None) -> User:
    user = User.objects.create_user("dana", "dana@example.edu", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def link_in(mail: EmailMessage) -> str:
    """The address in the mail, without the host."""
    found = re.search(r"https?://testserver(/\S+)", str(mail.body))
    assert found, mail.body
    return found[1]


def log_in(client: Client, login: str, password: str = PASSWORD):
    return client.post("/accounts/login/", {"login": login, "password": password})


def is_logged_in(client: Client) -> bool:
    return client.get("/me/").status_code == 200
