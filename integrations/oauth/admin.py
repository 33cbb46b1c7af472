"""Clients of the API and their tokens."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import ForeignKey, QuerySet
from django.forms import ModelChoiceField, ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import (
    AccessToken,
    Application,
    Grant,
    IDToken,
    RefreshToken,
)

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from accounts.roles import may_manage
from integrations.oauth.forms import ClientForm
from integrations.oauth.models import ApiClient
from integrations.oauth.services import (
    NewSecret,
    change_client,
    register_client,
    renew_secret,
    revoke_token,
    revoke_tokens_of,
)

admin.site.unregister([Application, AccessToken, Grant, IDToken, RefreshToken])


@admin.register(ApiClient)
class ApiClientAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    form = ClientForm
    list_display = ["name", "kind", "service_account", "last_used_at", "in_use"]
    list_filter = ["kind"]
    list_select_related = ["service_account"]
    search_fields = ["name"]
    readonly_fields = ["client_id", "made_at", "last_used_at", "disabled_at"]
    actions = ["disable", "enable", "new_secret", "revoke_tokens"]

    def get_fields(self, request: HttpRequest, obj: ApiClient | None = None) -> Any:
        asked = ["name", "kind", "scopes", "service_account", "redirect_uris"]
        return asked if obj is None else [*asked, *self.readonly_fields]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"user": request.user})

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        if db_field.name == "service_account":
            kwargs["queryset"] = User.objects.filter(
                is_active=True, is_staff=True, is_superuser=False
            ).order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiClient]:
        return super().get_queryset(request).select_related("application", "service_account")

    def has_change_permission(self, request: HttpRequest, obj: ApiClient | None = None) -> bool:
        """Who could change a client could act as its account."""
        return super().has_change_permission(request, obj) and _may_manage(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ApiClient | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_manage(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its tokens go with it."""
        to_delete, counts, _perms_needed, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: ApiClient) -> None:
        obj.application.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiClient]) -> None:
        Application.objects.filter(client__in=queryset).delete()

    @admin.display(description=_("client id"))
    def client_id(self, client: ApiClient) -> str:
        return client.application.client_id

    @admin.display(description=_("in use"), boolean=True)
    def in_use(self, client: ApiClient) -> bool:
        return client.is_in_use

    def save_model(
        self, request: HttpRequest, obj: ApiClient, form: ModelForm, change: bool
    ) -> None:
        addresses = form.cleaned_data["redirect_uris"]
        if change:
            change_client(obj, redirect_uris=addresses)
        else:
            request.new_secret = register_client(  # type: ignore[attr-defined]
                obj, redirect_uris=addresses
            )

    def response_add(
        self, request: HttpRequest, obj: ApiClient, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show(request, obj, request.new_secret)  # type: ignore[attr-defined]

    @admin.action(description=_("Switch off"), permissions=["change"])
    def disable(self, request: HttpRequest, clients: QuerySet[ApiClient]) -> None:
        count = self._own(request, clients).update(disabled_at=timezone.now())
        self.message_user(request, _("%(count)d were switched off.") % {"count": count})

    @admin.action(description=_("Switch on"), permissions=["change"])
    def enable(self, request: HttpRequest, clients: QuerySet[ApiClient]) -> None:
        count = self._own(request, clients).update(disabled_at=None)
        self.message_user(request, _("%(count)d were switched on.") % {"count": count})

    @admin.action(description=_("New secret"), permissions=["change"])
    def new_secret(self, request: HttpRequest, clients: QuerySet[ApiClient]) -> HttpResponse | None:
        chosen = list(self._own(request, clients))
        if len(chosen) != 1:
            self.message_user(request, _("Choose one client."), messages.ERROR)
            return None
        return self._show(request, chosen[0], renew_secret(chosen[0]))

    @admin.action(description=_("Revoke all tokens"), permissions=["change"])
    def revoke_tokens(self, request: HttpRequest, clients: QuerySet[ApiClient]) -> None:
        own = self._own(request, clients)
        for client in own:
            revoke_tokens_of(client)
        self.message_user(request, _("The tokens of %(count)d were revoked.") % {"count": len(own)})

    def _own(self, request: HttpRequest, clients: QuerySet[ApiClient]) -> QuerySet[ApiClient]:
        allowed = [client.pk for client in clients if _may_manage(request, client)]
        return self.get_queryset(request).filter(pk__in=allowed)

    def _show(self, request: HttpRequest, client: ApiClient, secret: NewSecret) -> HttpResponse:
        """In the answer itself: a redirect would have to keep it somewhere."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Secret of the client"),
            "client": client,
            "secret": secret,
        }
        response = render(request, "integrations/oauth/secret.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response


@admin.register(AccessToken)
class AccessTokenAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    """What is out. The token itself is stored as a hash and shown to nobody."""

    list_display = ["application", "acts_as", "scope", "created", "expires", "last_used"]
    list_filter = [("application", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["application__client__service_account", "user", "use"]
    fields = ["application", "acts_as", "scope", "created", "expires", "last_used"]
    readonly_fields = ["application", "acts_as", "scope", "created", "expires", "last_used"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are revoked, which ends the refresh token too."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("oauth2_provider.change_accesstoken")

    @admin.display(description=_("acts as"), ordering="user__username")
    def acts_as(self, token: AccessToken) -> str:
        client = getattr(token.application, "client", None)
        return str(token.user or (client and client.service_account) or "–")

    @admin.display(description=_("last used"), ordering="use__last_used_at")
    def last_used(self, token: AccessToken) -> Any:
        return token.use.last_used_at if hasattr(token, "use") else None

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[AccessToken]) -> None:
        chosen = list(tokens)
        for token in chosen:
            revoke_token(token)
        self.message_user(request, _("%(count)d were revoked.") % {"count": len(chosen)})


def _may_manage(request: HttpRequest, client: ApiClient | None) -> bool:
    account = client.service_account if client else None
    return account is None or may_manage(cast(User, request.user), account)
