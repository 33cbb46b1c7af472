"""Where a request or a socket comes from, by the one rule of the site."""

from __future__ import annotations

import io
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

Address = IPv4Address | IPv6Address


def client_address(request: HttpRequest) -> Address | None:
    """The client's address as the limits on guessing count it; None where it cannot be told.

    Behind a proxy (`BEHIND_PROXY`) it is the last one in `X-Forwarded-For`, which the proxy itself
    wrote: whatever stands before it came from the client.
    """
    try:
        address = ip_address(get_adapter().get_client_ip(request))
    except (PermissionDenied, ValueError):
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def request_of_socket(scope: dict[str, Any]) -> HttpRequest:
    """The request that opened a websocket, for what reads cookies, headers and addresses."""
    return ASGIRequest({**scope, "method": "GET"}, io.BytesIO())
