"""One account for one e-mail address."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from accounts.models import User

pytestmark = pytest.mark.django_db


def test_an_email_address_is_used_once_whatever_its_case():
    User.objects.create_user("alice", "alice@example.edu")
    with pytest.raises(IntegrityError):
        User.objects.create_user("alice2", "Alice@Example.edu")


def test_many_accounts_have_no_email_address():
    User.objects.create_user("alice")
    User.objects.create_user("charlie")
    assert User.objects.filter(email="").count() == 2


def test_forms_tell_that_the_address_is_taken():
    User.objects.create_user("alice", "alice@example.edu")
    with pytest.raises(ValidationError, match="Another account uses this e-mail address"):
        User(username="alice2", email="ALICE@example.edu", password="pw").full_clean()
