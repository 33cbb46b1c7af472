"""Settings that are wrong say so at the start."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from attendance_site import new_env
from attendance_site.settings import at_least, flag, one_of, required

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("value", ["yes", "true", "1", ""])
def test_a_flag_is_true_or_false_and_nothing_else(monkeypatch, value):
    monkeypatch.setenv("EXAMPLE", value)
    with pytest.raises(ImproperlyConfigured, match="use 'True' or 'False'"):
        flag("EXAMPLE", default=False)


def test_a_flag_that_is_not_set_has_its_default(monkeypatch):
    monkeypatch.delenv("EXAMPLE", raising=False)
    assert flag("EXAMPLE", default=True) is True
    monkeypatch.setenv("EXAMPLE", "False")
    assert flag("EXAMPLE", default=True) is False


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_a_number_below_its_least_is_refused(monkeypatch, value):
    monkeypatch.setenv("EXAMPLE", value)
    with pytest.raises(ImproperlyConfigured, match="a whole number of at least 1"):
        at_least("EXAMPLE", 4, 1)


@pytest.mark.parametrize("value", ["On", "yes", ""])
def test_one_of_a_few_words_is_that_and_nothing_else(monkeypatch, value):
    monkeypatch.setenv("EXAMPLE", value)
    with pytest.raises(ImproperlyConfigured, match="use one of off, on"):
        one_of("EXAMPLE", "off", ("off", "on"))
    monkeypatch.setenv("EXAMPLE", "on")
    assert one_of("EXAMPLE", "off", ("off", "on")) == "on"
    monkeypatch.delenv("EXAMPLE")
    assert one_of("EXAMPLE", "off", ("off", "on")) == "off"


def test_what_is_required_says_how_to_get_it(monkeypatch):
    monkeypatch.delenv("EXAMPLE", raising=False)
    with pytest.raises(ImproperlyConfigured, match=r"EXAMPLE is not set\. Run `make setup`\."):
        required("EXAMPLE", "Run `make setup`.")


def test_new_secrets_are_for_their_owner_only(monkeypatch, tmp_path):
    monkeypatch.setattr(new_env, "ENV_FILE", tmp_path / ".env")
    new_env.main()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_secrets_that_are_there_stay(monkeypatch, tmp_path):
    monkeypatch.setattr(new_env, "ENV_FILE", tmp_path / ".env")
    (tmp_path / ".env").write_text("DEBUG=False\n")
    new_env.main()
    assert (tmp_path / ".env").read_text() == "DEBUG=False\n"


def test_a_production_site_passes_djangos_deployment_check(tmp_path):
    done = _manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        DEBUG="False",
        SECRET_KEY="s" * 30 + "0123456789abcdefghijklmnopqrstuvwxyz",
        TEMPLATE_KEYS=Fernet.generate_key().decode(),
        ALLOWED_HOSTS="rollcall.example.edu",
        DATA_DIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def _manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
