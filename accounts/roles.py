"""Which role may do what. Objects are checked besides: the role opens no foreign course."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

LECTURER = "Lecturer"

ROLE_PERMISSIONS: dict[str, tuple[str, ...]] = {
    LECTURER: (
        "roster.view_student",
        "roster.view_course",
        "roster.view_courseenrolment",
        "roster.add_courseenrolment",
        "roster.change_courseenrolment",
        "roster.view_room",
        "roster.view_classsession",
        "roster.add_classsession",
        "roster.change_classsession",
        "recognition.view_studentface",
        "recognition.change_studentface",
        "checkin.view_attendance",
        "checkin.view_checkinattempt",
    ),
}


@transaction.atomic
def sync_roles() -> None:
    """Make the groups equal to the table above, as far as their permissions exist yet."""
    for role, names in ROLE_PERMISSIONS.items():
        group, _created = Group.objects.get_or_create(name=role)
        wanted = Q(pk__in=[])
        for name in names:
            app_label, codename = name.split(".")
            wanted |= Q(content_type__app_label=app_label, codename=codename)
        group.permissions.set(Permission.objects.filter(wanted))
