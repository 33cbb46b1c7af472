from __future__ import annotations

from typing import Any, cast

from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import ManyToManyField
from django.forms import CheckboxSelectMultiple, ModelForm, ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from accounts.roles import grantable_groups, may_manage

admin.site.enable_nav_sidebar = False
admin.site.unregister(Authenticator)


class RolesField(ModelMultipleChoiceField):
    def label_from_instance(self, role: Group) -> str:
        return gettext(role.name)


@admin.register(User)
class AccountAdmin(OfferedLookupsOnly, UserAdmin):
    """Who signs in. A role opens the desk; nobody hands out more than they have themselves."""

    list_display = ["username", "email", "first_name", "last_name", "is_active", "is_staff"]
    list_filter = ["is_active", "is_staff", "is_superuser", "groups"]
    filter_horizontal = ["user_permissions"]
    readonly_fields = ["is_staff", "last_login", "date_joined"]
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Personal info"), {"fields": ("first_name", "last_name", "email", "language")}),
        (_("Role"), {"fields": ("groups", "is_active", "is_staff")}),
        (_("Important dates"), {"fields": ("last_login", "date_joined")}),
    )
    superusers_fieldset = (_("Beyond the roles"), {"fields": ("is_superuser", "user_permissions")})
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2")}),
        (_("Personal info"), {"fields": ("first_name", "last_name", "email", "language")}),
        (_("Role"), {"fields": ("groups",)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not _signed_in(request).is_superuser:
            return fieldsets
        return (*fieldsets, self.superusers_fieldset)

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any] | None:
        if db_field.name == "groups":
            kwargs |= {
                "queryset": grantable_groups(_signed_in(request)),
                "form_class": RolesField,
                "widget": CheckboxSelectMultiple,
                "label": _("Roles"),
                "help_text": _("Any of them opens the desk. Students need none."),
            }
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_manage(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_manage(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Addresses, second factors and claims go with their account, whoever may delete it."""
        to_delete, counts, perms_needed, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, perms_needed & {self.opts.verbose_name}, protected

    def save_related(
        self, request: HttpRequest, form: ModelForm, formsets: Any, change: bool
    ) -> None:
        super().save_related(request, form, formsets, change)
        account = cast(User, form.instance)
        account.is_staff = (
            account.is_superuser or account.groups.exists() or account.user_permissions.exists()
        )
        account.save(update_fields=["is_staff"])


@admin.register(Authenticator)
class SecondFactorAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    """For somebody who lost both telephone and recovery codes: delete, and they start again."""

    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    fields = ["user", "type", "created_at", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_manage(
            request, obj and obj.user
        )


def _signed_in(request: HttpRequest) -> User:
    return cast(User, request.user)


def _may_manage(request: HttpRequest, account: User | None) -> bool:
    return account is None or may_manage(_signed_in(request), account)
