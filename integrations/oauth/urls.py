"""Under the toolkit's own name, by which it finds its addresses."""

from django.urls import path
from oauth2_provider import views as toolkit

from integrations.oauth.views import Consent, Introspection, Token

app_name = "oauth2_provider"

urlpatterns = [
    path("authorize/", Consent.as_view(), name="authorize"),
    path("token/", Token.as_view(), name="token"),
    path("revoke/", toolkit.RevokeTokenView.as_view(), name="revoke-token"),
    path("introspect/", Introspection.as_view(), name="introspect"),
]
