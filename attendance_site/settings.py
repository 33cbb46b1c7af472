"""Settings. Everything that differs between machines comes from the environment.

A file `.env` beside manage.py is read first, if it is there; real variables win over it.
`docs/deploy.md` lists every variable.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from environs import Env

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(BASE_DIR / ".env", recurse=False)


def required(name: str, how: str) -> str:
    """The value of an environment variable that has no safe default."""
    value = env.str(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {how}")
    return value


def flag(name: str, *, default: bool) -> bool:
    """An environment variable that is `True` or `False`, and nothing else."""
    value = env.str(name, str(default))
    if value not in ("True", "False"):
        raise ImproperlyConfigured(f"Unexpected value {name}={value}, use 'True' or 'False'.")
    return value == "True"


def at_least(name: str, default: int, minimum: int) -> int:
    """A whole number from the environment, not below ``minimum``."""
    value = env.str(name, str(default))
    if not value.isdecimal() or int(value) < minimum:
        raise ImproperlyConfigured(
            f"Unexpected value {name}={value}, use a whole number of at least {minimum}."
        )
    return int(value)


# Secrets and hosts

DEBUG = flag("DEBUG", default=False)
SECRET_KEY = required("SECRET_KEY", "Run `make setup`, which writes a new one to .env.")
TEMPLATE_KEYS = [
    key.strip()
    for key in required("TEMPLATE_KEYS", "Run `make setup`, which writes a new one to .env.").split(
        ","
    )
    if key.strip()
]
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"] if DEBUG else []
)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)

# Applications

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "import_export",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "accounts",
    "roster",
    "recognition",
    "checkin",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "attendance_site.middleware.permissions_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.second_factor_for_staff",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "attendance_site.urls"
ASGI_APPLICATION = "attendance_site.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Storage: SQLite until DATABASE_URL, memory until REDIS_URL

DATABASES: dict[str, Any] = {
    "default": env.dj_db_url(
        "DATABASE_URL", f"sqlite:///{DATA_DIR / 'rollcall.sqlite3'}", conn_health_checks=True
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # IMMEDIATE takes the write lock at BEGIN, where the busy timeout still helps; a lock
        # that is upgraded in the middle of a transaction fails at once.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL;"
            "PRAGMA synchronous=NORMAL;"
            "PRAGMA foreign_keys=ON;"
            "PRAGMA busy_timeout=20000;"
        ),
    }
    # Consumers use the database from several threads, which a test database in memory cannot.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "")
CACHES: dict[str, Any]
if REDIS_URL:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # Waiting for a message takes up to 5 s, and redis-py would give up after 5 s: a quiet
            # connection would be taken for a dead one.
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 20}]},
        }
    }
else:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            # The default of 300 would let a flood of user names push out the rate limits.
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "attendance_site" / "static"]
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(DATA_DIR / "media")},
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "attendance_site.storage.HashedStaticFiles"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# People

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "me"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.forms.LogInForm",
    "signup": "accounts.forms.SignUpForm",
    "reset_password": "accounts.forms.AskForResetForm",
    "reset_password_from_key": "accounts.forms.NewPasswordForm",
    "change_password": "accounts.forms.PasswordChangeForm",
}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Rollcall] "
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "http" if DEBUG else "https"
ACCOUNT_RATE_LIMITS = {
    # A whole lecture hall comes from one address, so what counts per address is wide; what
    # counts per account (key) is narrow.
    "login": "300/m/ip",
    "login_failed": "60/m/ip,5/5m/key",
    "signup": "120/m/ip",
    "reset_password": "60/m/ip,5/h/key",
    "reset_password_from_key": "60/m/ip",
}
MFA_ADAPTER = "accounts.adapters.SecondFactorAdapter"
MFA_TOTP_ISSUER = "Rollcall"
MFA_TOTP_TOLERANCE = 1  # telephones whose clocks are half a minute off
STAFF_SECOND_FACTOR = not DEBUG

LANGUAGE_CODE = env.str("LANGUAGE_CODE", "en")
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True

vars().update(env.dj_email_url("EMAIL_URL", "console:"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "rollcall@localhost")

# Security

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "media-src": [SELF, "blob:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = flag("SECURE_SSL_REDIRECT", default=not DEBUG)
SECURE_HSTS_SECONDS = 0 if DEBUG else at_least("SECURE_HSTS_SECONDS", 31_536_000, 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEBUG
SECURE_HSTS_PRELOAD = not DEBUG
if flag("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FILES = 20

# Rosters by file

IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
IMPORT_EXPORT_IMPORT_PERMISSION_CODE = "add"
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "view"
IMPORT_EXPORT_SKIP_ADMIN_EXPORT_UI = True
# A file waits for its confirmation in the cache, which forgets it, and not in a folder.
IMPORT_EXPORT_TMP_STORAGE_CLASS = "import_export.tmp_storages.CacheStorage"

# Recognition

RECOGNITION_MODEL = env.str("RECOGNITION_MODEL", "dlib-resnet-v1")
RECOGNITION_WORKERS = at_least("RECOGNITION_WORKERS", os.cpu_count() or 1, 1)
MODEL_CACHE_DIR = DATA_DIR / "models"
CONSENT_POLICY_VERSION = env.str("CONSENT_POLICY_VERSION", "2026-11")

# Retention, see checkin.retention

ATTEMPT_RETENTION_DAYS = at_least("ATTEMPT_RETENTION_DAYS", 90, 1)
TEMPLATE_RETENTION_DAYS = at_least("TEMPLATE_RETENTION_DAYS", 30, 1)
RECORD_RETENTION_DAYS = at_least("RECORD_RETENTION_DAYS", 1826, 1)

# Logs carry ids, never names, numbers of students or pictures.

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.channels.server": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
    },
}
