"""The pages that describe the API come from the own host, and run no script but ours and theirs."""

from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

pytestmark = pytest.mark.django_db


def test_only_style_attributes_are_let_through_and_only_on_this_page(client: Client) -> None:
    policy = client.get("/api/v1/docs/").headers["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src" not in policy
    assert policy.count("unsafe") == 1
    assert "unsafe" not in client.get("/").headers["Content-Security-Policy"]


def test_all_its_files_are_on_the_own_host(client: Client) -> None:
    page = client.get("/api/v1/docs/").text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 6
    for file in files:
        assert file == "/api/v1/schema/" or finders.find(file.removeprefix("/static/")), file


def test_the_description_is_for_everybody_and_names_nobody(client: Client) -> None:
    described = client.get("/api/v1/schema/")
    assert described.status_code == 200
    assert described.json()["openapi"].startswith("3.")
