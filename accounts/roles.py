"""Which role may do what. Objects are checked besides: the role opens no foreign course.

A student needs no permission: the link from the roster to the account is the role. A kiosk is no
account at all. `docs/security.md` has the whole as a table, and a test walks it.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_noop

from accounts.models import User

# Names of groups in the database; pages translate them.
ADMINISTRATOR = gettext_noop("Administrator")
LECTURER = gettext_noop("Lecturer")
REGISTRAR = gettext_noop("Registrar")

ROLE_PERMISSIONS: dict[str, tuple[str, ...]] = {
    ADMINISTRATOR: (
        "accounts.view_user",
        "accounts.add_user",
        "accounts.change_user",
        "accounts.delete_user",
        "mfa.view_authenticator",
        "mfa.delete_authenticator",
        "roster.see_every_course",
        "roster.view_student",
        "roster.add_student",
        "roster.change_student",
        "roster.delete_student",
        "roster.view_rosterclaim",
        "roster.change_rosterclaim",
        "roster.view_course",
        "roster.add_course",
        "roster.change_course",
        "roster.delete_course",
        "roster.view_courseenrolment",
        "roster.add_courseenrolment",
        "roster.change_courseenrolment",
        "roster.delete_courseenrolment",
        "roster.view_room",
        "roster.add_room",
        "roster.change_room",
        "roster.delete_room",
        "roster.view_classsession",
        "roster.add_classsession",
        "roster.change_classsession",
        "roster.delete_classsession",
        "roster.view_sessionseries",
        "roster.add_sessionseries",
        "roster.change_sessionseries",
        "roster.delete_sessionseries",
        "roster.view_holiday",
        "roster.add_holiday",
        "roster.change_holiday",
        "roster.delete_holiday",
        "roster.view_periodlock",
        "roster.add_periodlock",
        "roster.change_periodlock",
        "recognition.view_studentface",
        "recognition.change_studentface",
        "recognition.view_faceregistration",
        "recognition.change_faceregistration",
        "recognition.view_registrationphoto",
        "recognition.view_photoimport",
        "recognition.add_photoimport",
        "recognition.view_facetemplate",
        "recognition.change_facetemplate",
        "recognition.view_consent",
        "recognition.view_identificationsetting",
        "recognition.add_identificationsetting",
        "recognition.view_galleryevaluation",
        "recognition.add_galleryevaluation",
        "checkin.view_kiosk",
        "checkin.add_kiosk",
        "checkin.change_kiosk",
        "checkin.delete_kiosk",
        "checkin.view_attendance",
        "checkin.change_attendance",
        "checkin.view_attendancechange",
        "checkin.view_checkinattempt",
        "checkin.view_entrypass",
        "checkin.add_entrypass",
        "checkin.change_entrypass",
        "checkin.view_passuse",
        "checkin.view_alert",
        "checkin.change_alert",
        "checkin.add_attendancewarning",
        "checkin.view_appeal",
        "checkin.change_appeal",
        "checkin.add_recognitioninvitation",
        "integrations.view_exportprofile",
        "integrations.add_exportprofile",
        "integrations.change_exportprofile",
        "integrations.delete_exportprofile",
        "integrations.share_exportprofile",
        "integrations.view_exportschedule",
        "integrations.add_exportschedule",
        "integrations.change_exportschedule",
        "integrations.delete_exportschedule",
        "integrations.view_exportrun",
        "integrations.change_exportrun",
        "integrations.view_webhookendpoint",
        "integrations.add_webhookendpoint",
        "integrations.change_webhookendpoint",
        "integrations.delete_webhookendpoint",
        "integrations.view_webhookdelivery",
        "integrations.view_notificationchannel",
        "integrations.add_notificationchannel",
        "integrations.change_notificationchannel",
        "integrations.delete_notificationchannel",
        "integrations.view_apiclient",
        "integrations.add_apiclient",
        "integrations.change_apiclient",
        "integrations.delete_apiclient",
        "integrations.view_applogin",
        "integrations.change_applogin",
        "oauth2_provider.view_accesstoken",
        "oauth2_provider.change_accesstoken",
    ),
    LECTURER: (
        "roster.view_student",
        "roster.view_rosterclaim",
        "roster.change_rosterclaim",
        "roster.view_course",
        "roster.view_courseenrolment",
        "roster.add_courseenrolment",
        "roster.change_courseenrolment",
        "roster.view_room",
        "roster.view_classsession",
        "roster.add_classsession",
        "roster.change_classsession",
        "roster.view_sessionseries",
        "roster.add_sessionseries",
        "roster.change_sessionseries",
        "roster.delete_sessionseries",
        "roster.view_holiday",
        "roster.add_holiday",
        "roster.change_holiday",
        "roster.delete_holiday",
        "roster.view_periodlock",
        "recognition.view_studentface",
        "recognition.change_studentface",
        "recognition.view_faceregistration",
        "recognition.change_faceregistration",
        "recognition.view_registrationphoto",
        "recognition.view_photoimport",
        "recognition.add_photoimport",
        "checkin.view_attendance",
        "checkin.change_attendance",
        "checkin.view_attendancechange",
        "checkin.view_checkinattempt",
        "checkin.view_entrypass",
        "checkin.add_entrypass",
        "checkin.change_entrypass",
        "checkin.view_passuse",
        "checkin.view_alert",
        "checkin.change_alert",
        "checkin.add_attendancewarning",
        "checkin.view_appeal",
        "checkin.change_appeal",
        "checkin.add_recognitioninvitation",
        "integrations.view_exportprofile",
        "integrations.add_exportprofile",
        "integrations.change_exportprofile",
        "integrations.delete_exportprofile",
    ),
    # Reads, exports, and locks what was paid or reported. Of a face only where its registration
    # stands: no template, no photo.
    REGISTRAR: (
        "roster.see_every_course",
        "roster.view_student",
        "roster.view_course",
        "roster.view_courseenrolment",
        "roster.view_room",
        "roster.view_classsession",
        "roster.view_sessionseries",
        "roster.view_holiday",
        "roster.view_periodlock",
        "roster.add_periodlock",
        "recognition.view_studentface",
        "recognition.view_faceregistration",
        "recognition.view_identificationsetting",
        "recognition.view_galleryevaluation",
        "checkin.view_attendance",
        "integrations.view_exportprofile",
        "integrations.add_exportprofile",
        "integrations.change_exportprofile",
        "integrations.delete_exportprofile",
        "integrations.view_exportschedule",
        "integrations.view_exportrun",
        "integrations.change_exportrun",
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


def grantable_groups(user: User) -> QuerySet[Group]:
    """The groups that give nothing that this user has not got."""
    if user.is_superuser:
        return Group.objects.all()
    beyond = Permission.objects.exclude(pk__in=_held_by(user))
    return Group.objects.exclude(permissions__in=beyond)


def may_manage(user: User, account: User) -> bool:
    """Whether an account may do no more than this user, who could take it over otherwise."""
    if user.is_superuser:
        return True
    if account.is_superuser:
        return False
    return not _held_by(account).exclude(pk__in=_held_by(user)).exists()


def _held_by(account: User) -> QuerySet[Permission]:
    """Also of an account that is switched off: it can be switched on again."""
    held = Permission.objects.filter(Q(user=account) | Q(group__user=account))
    return Permission.objects.filter(pk__in=held.values("pk"))
