"""Where clients look up the addresses of OAuth 2.0 (RFC 8414)."""

from django.urls import path
from oauth2_provider.views import OAuthServerMetadataView

urlpatterns = [
    path("oauth-authorization-server", OAuthServerMetadataView.as_view(), name="oauth-metadata"),
]
