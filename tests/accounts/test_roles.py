"""What the roles may do, kept equal to the table in the code."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from accounts.roles import LECTURER, ROLE_PERMISSIONS


def permissions_of(role: str) -> set[str]:
    granted = Group.objects.get(name=role).permissions.select_related("content_type")
    return {f"{permission.content_type.app_label}.{permission.codename}" for permission in granted}


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLE_PERMISSIONS)
def test_migrate_gives_each_role_its_permissions(role):
    assert permissions_of(role) == set(ROLE_PERMISSIONS[role])


@pytest.mark.django_db
def test_migrate_takes_back_what_was_added_by_hand():
    delete_users = Permission.objects.get(codename="delete_user")
    Group.objects.get(name=LECTURER).permissions.add(delete_users)
    call_command("migrate", verbosity=0)
    assert permissions_of(LECTURER) == set(ROLE_PERMISSIONS[LECTURER])


@pytest.mark.django_db(transaction=True)
def test_roles_are_there_again_after_a_flush():
    call_command("flush", interactive=False, verbosity=0)
    assert permissions_of(LECTURER) == set(ROLE_PERMISSIONS[LECTURER])


def test_a_lecturer_can_do_what_the_role_says_and_no_more(alice):
    assert alice.get_all_permissions() == set(ROLE_PERMISSIONS[LECTURER])
