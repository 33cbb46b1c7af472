"""What every page tells the browser to refuse."""

from __future__ import annotations

import re

import pytest

PAGES = [
    "/",
    "/kiosk/",
    "/admin/login/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
]

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", PAGES)
def test_only_our_own_scripts_and_styles_run(client, address):
    policy = client.get(address).headers["Content-Security-Policy"]
    parts = [part.strip().partition(" ") for part in policy.split(";")]
    directives = {name: sources for name, _space, sources in parts}
    assert directives["default-src"] == "'self'"
    assert directives["object-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "script-src" not in directives
    assert "style-src" not in directives


@pytest.mark.parametrize("address", PAGES)
def test_pages_have_nothing_that_the_policy_would_block(client, address):
    page = client.get(address).text
    scripts = re.findall(r"<script\b([^>]*)>", page)
    assert all("src=" in script or "application/json" in script for script in scripts)
    assert not re.search(r"<style\b|\sstyle=|\son\w+=", page)


@pytest.mark.parametrize("address", PAGES)
def test_the_camera_is_for_our_own_pages_only(client, address):
    headers = client.get(address).headers
    assert headers["Permissions-Policy"] == (
        "camera=(self), microphone=(), geolocation=(), payment=()"
    )


@pytest.mark.parametrize("address", PAGES)
def test_pages_are_neither_framed_nor_guessed_nor_told_on(client, address):
    headers = client.get(address).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_refusals_carry_the_headers_too(client):
    headers = client.get("/nowhere/").headers
    assert "Content-Security-Policy" in headers
    assert "Permissions-Policy" in headers
