"""One account for one e-mail address, and who may give accounts what."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import ADMINISTRATOR, LECTURER
from roster.models import RosterClaim
from tests.support.school import a_member, an_account

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


# An administrator is no superuser


@pytest.fixture
def ruth() -> User:
    """An administrator."""
    return a_member(ADMINISTRATOR, "ruth")


@pytest.fixture
def as_ruth(client: Client, ruth: User) -> Client:
    client.force_login(ruth)
    return client


@pytest.fixture
def mighty_group() -> Group:
    """A group that may do what no role may."""
    group = Group.objects.create(name="Mighty")
    group.permissions.add(Permission.objects.get(codename="change_group"))
    return group


def page_of(account: User, page: str = "change") -> str:
    return reverse(f"admin:accounts_user_{page}", args=[account.pk])


def form_of(account: User, **changes: object) -> dict[str, object]:
    return {
        "username": account.username,
        "email": account.email,
        "is_active": "on",
        "groups": list(account.groups.values_list("pk", flat=True)),
    } | changes


def group(name: str) -> int:
    return Group.objects.get(name=name).pk


def test_an_administrator_makes_a_lecturer_in_one_form(as_ruth):
    as_ruth.post(
        reverse("admin:accounts_user_add"),
        {
            "username": "grace",
            "email": "grace@example.edu",
            "groups": [group(LECTURER)],
            "usable_password": "false",
        },
    )
    grace = User.objects.get(username="grace")
    assert grace.is_staff
    assert grace.has_perm("roster.add_classsession")
    as_ruth.force_login(grace)
    assert as_ruth.get("/admin/").status_code == 200


def test_who_loses_the_role_loses_the_desk(as_ruth, alice):
    as_ruth.post(page_of(alice), form_of(alice, groups=[]))
    alice.refresh_from_db()
    assert not alice.is_staff


def test_an_administrator_makes_no_superuser(as_ruth, alice, ruth):
    for account in (alice, ruth):
        as_ruth.post(page_of(account), form_of(account, first_name="Changed", is_superuser="on"))
        account.refresh_from_db()
        assert account.first_name == "Changed"
        assert not account.is_superuser


def test_the_desk_is_not_opened_without_a_role(as_ruth):
    dana = an_account("dana")
    as_ruth.post(page_of(dana), form_of(dana, is_staff="on"))
    dana.refresh_from_db()
    assert not dana.is_staff


def test_an_administrator_hands_out_no_single_permission(as_ruth, ruth, alice):
    wanted = Permission.objects.get(codename="change_group").pk
    for account in (alice, ruth):
        as_ruth.post(page_of(account), form_of(account, user_permissions=[wanted]))
    assert not User.objects.filter(user_permissions=wanted).exists()


def test_an_administrator_hands_out_no_group_beyond_the_own(as_ruth, ruth, alice, mighty_group):
    assert "Mighty" not in as_ruth.get(page_of(alice)).text
    for account in (alice, ruth):
        answer = as_ruth.post(page_of(account), form_of(account, groups=[mighty_group.pk]))
        assert "Select a valid choice" in answer.text
    assert not mighty_group.user_set.exists()


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("kind", ["superuser", "group", "permission"])
def test_nobody_who_can_do_more_is_changed_deleted_or_given_a_password(
    as_ruth, admin, mighty_group, kind, active
):
    target = admin if kind == "superuser" else User.objects.create_user("target", "t@example.edu")
    if kind == "group":
        target.groups.add(mighty_group)
    if kind == "permission":
        target.user_permissions.add(*mighty_group.permissions.all())
    target.is_active = active
    target.save()
    before = User.objects.filter(pk=target.pk).values().get()

    assert as_ruth.get(page_of(target)).status_code == 200
    changed = form_of(target, email="mine@example.edu")
    assert as_ruth.post(page_of(target), changed).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[target.pk])
    new = {"password1": "a new long password", "password2": "a new long password"}
    assert as_ruth.get(password).status_code == 403
    assert as_ruth.post(password, {**new, "usable_password": "true"}).status_code == 403
    assert as_ruth.post(page_of(target, "delete"), {"post": "yes"}).status_code == 403
    as_ruth.post(
        reverse("admin:accounts_user_changelist"),
        {"action": "delete_selected", "_selected_action": [target.pk], "post": "yes"},
    )
    assert User.objects.filter(pk=target.pk).values().get() == before


def test_an_administrator_gives_a_lecturer_a_new_password(as_ruth, alice):
    password = reverse("admin:auth_user_password_change", args=[alice.pk])
    new = {"password1": "a new long password", "password2": "a new long password"}
    as_ruth.post(password, {**new, "usable_password": "true"})
    alice.refresh_from_db()
    assert alice.check_password("a new long password")


def test_what_belongs_to_an_account_goes_with_it(as_ruth, eileen):
    dana = an_account("dana")
    RosterClaim.objects.create(user=dana, student=eileen)
    as_ruth.post(page_of(dana, "delete"), {"post": "yes"})
    assert not User.objects.filter(username="dana").exists()


def test_a_superuser_may_still_give_everything(as_admin, alice, mighty_group):
    as_admin.post(page_of(alice), form_of(alice, groups=[mighty_group.pk], is_superuser="on"))
    alice.refresh_from_db()
    assert alice.is_superuser
    assert list(alice.groups.all()) == [mighty_group]


# Lecturers do not get at accounts


@pytest.mark.parametrize("page", ["/admin/accounts/user/", "/admin/accounts/user/add/"])
def test_a_lecturer_has_no_list_of_accounts(as_alice, page):
    assert as_alice.get(page).status_code == 403


@pytest.mark.parametrize(
    "source", ["roster.student.user", "roster.course.lecturers", "roster.rosterclaim.user"]
)
def test_a_lecturer_is_suggested_no_account(as_alice, charlie, source):
    app_label, model_name, field_name = source.split(".")
    answer = as_alice.get(
        "/admin/autocomplete/",
        {"app_label": app_label, "model_name": model_name, "field_name": field_name},
    )
    assert answer.status_code == 403
