"""Settings. Everything that differs between machines comes from the environment.

A file `.env` beside manage.py is read first, if it is there; real variables win over it.
`docs/deploy.md` lists every variable.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from environs import Env
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(BASE_DIR / ".env", recurse=False)


#: What Celery's broker may be.
BROKERS = ("redis://", "rediss://", "amqp://", "amqps://")


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


def one_of(name: str, default: str, values: Sequence[str]) -> str:
    """An environment variable that is one of a few words."""
    value = env.str(name, default)
    if value not in values:
        raise ImproperlyConfigured(
            f"Unexpected value {name}={value}, use one of {', '.join(values)}."
        )
    return value


def networks(name: str, default: list[str]) -> list[IPv4Network | IPv6Network]:
    """An environment variable with addresses of networks, separated by commas."""
    found = []
    for value in env.list(name, default):
        try:
            found.append(ip_network(value.strip()))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"Unexpected value {value} in {name}, use networks like 10.1.0.0/16, separated by "
                "commas."
            ) from error
    return found


def together(*names: str) -> list[str]:
    """Environment variables that belong together: all are set, or none, which gives no values."""
    values = [env.str(name, "") for name in names]
    missing = [name for name, value in zip(names, values, strict=True) if not value]
    if missing and any(values):
        raise ImproperlyConfigured(
            f"Not set: {', '.join(missing)}. Set all of {', '.join(names)}, or none of them."
        )
    return [] if missing else values


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

# What kiosks and backups say that they are of. A deployment may give its own, like a commit.
APP_VERSION = env.str(
    "APP_VERSION", tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
)

# Applications

INSTALLED_APPS = [
    "daphne",
    "attendance_site.apps.DeskConfig",  # django.contrib.admin
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
    "allauth.socialaccount",
    "rest_framework",
    "oauth2_provider",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "post_office",
    "django_prometheus",
    "roster",
    "recognition",
    "checkin",
    "integrations",
]

MIDDLEWARE = [
    "accounts.request_log.request_log",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "integrations.operations.probes.answer_probes",
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
    "accounts.middleware.leave_by_link",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
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
    # Opening the file costs more than what kiosks ask of it every two seconds.
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["OPTIONS"] = {
        # IMMEDIATE takes the write lock at BEGIN, where the busy timeout still helps; a lock
        # that is upgraded in the middle of a transaction fails at once.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL;"
            "PRAGMA synchronous=NORMAL;"
            "PRAGMA foreign_keys=ON;"
            # What is deleted of a face is overwritten too.
            "PRAGMA secure_delete=ON;"
            "PRAGMA busy_timeout=20000;"
        ),
    }
    # Consumers use the database from several threads, which a test database in memory cannot.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # Each request of an ASGI server runs in a thread of its own, which would connect anew: that
    # costs as much again as the request. While the database is away nobody waits for long, and
    # the first who asks afterwards connects at once.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 0,
        "max_size": 40,
        "timeout": 5.0,
        "reconnect_timeout": 1.0,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "")
#: Before a server that does not answer is given up: nobody at a kiosk waits for Redis.
REDIS_CONNECT_S = 2
CACHES: dict[str, Any]
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {
                "socket_connect_timeout": REDIS_CONNECT_S,
                "socket_timeout": REDIS_CONNECT_S,
                # Once more, as the connection that is kept may be one from before a restart; by
                # itself redis-py would try for many seconds.
                "retry": Retry(NoBackoff(), 1),
            },
        }
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "attendance_site.channel_layer.PatientRedisChannelLayer",
            "CONFIG": {
                "hosts": [
                    {
                        "address": REDIS_URL,
                        "socket_connect_timeout": REDIS_CONNECT_S,
                        # Waiting for a message takes up to 5 s, and redis-py would give up after
                        # 5 s: a quiet connection would be taken for a dead one.
                        "socket_timeout": 20,
                        "retry": AsyncRetry(NoBackoff(), 1),
                    }
                ]
            },
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

# Work beside the requests: in threads of the server until CELERY_BROKER_URL

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "")
if CELERY_BROKER_URL and not CELERY_BROKER_URL.startswith(BROKERS):
    raise ImproperlyConfigured(
        "Unexpected value of CELERY_BROKER_URL, use for example redis://host:6379/1 or "
        "amqp://user:password@host/vhost."
    )
if CELERY_BROKER_URL and DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    raise ImproperlyConfigured(
        "CELERY_BROKER_URL is set, but DATABASE_URL is not: workers on other machines need a "
        "database that they can reach, like postgres://user:password@host/rollcall."
    )
CELERY_TASK_IGNORE_RESULT = True
# A task is done again where its worker was killed, and no worker sits on tasks of others.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever
CELERY_BROKER_CONNECTION_TIMEOUT = 4
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_TIMEZONE = env.str("TIME_ZONE", "UTC")
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # Longer than the longest task, which would be given to a second worker otherwise.
        "visibility_timeout": 3 * 3600,
        "socket_connect_timeout": REDIS_CONNECT_S,
        "socket_timeout": 20,
    }

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
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    # Checks secrets of API clients; passwords are always made with the first.
    "integrations.oauth.hashers.RandomSecretHasher",
]
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
    "set_password": "accounts.forms.FirstPasswordForm",
    "add_email": "accounts.forms.NewEmailForm",
}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
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
    # Ours, see accounts.limits
    "roster_claim": "10/h/user",
    "face_photo": "60/10m/user",
    "own_data": "10/h/user",
    # Of one kiosk: pictures of a pass, and passes that did not open the record of a number.
    "look_up_frame": "600/m/key",
    "look_up_wrong": "5/10m/key",
    "entry_pass": "5/h/user",
    # A whole building may pair its kiosks from one address; 40 bits bear it.
    "kiosk_pairing": "30/5m/ip",
    "channel_test": "20/h/user",
    "oauth_token": "300/m/ip",
}
MFA_ADAPTER = "accounts.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "add_webauthn": "accounts.forms.AddPasskeyForm",
    "edit_webauthn": "accounts.forms.RenamePasskeyForm",
}
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG
MFA_RATE_LIMITS = {"webauthn_login": "300/m/ip"}
MFA_TOTP_ISSUER = "Rollcall"
MFA_TOTP_TOLERANCE = 1  # telephones whose clocks are half a minute off
# Nobody logs in before the address is confirmed, and a new one that waits for it is no obstacle.
MFA_ALLOW_UNVERIFIED_EMAIL = True
STAFF_SECOND_FACTOR = not DEBUG

# Sign-in through other accounts, off until it is configured

SOCIALACCOUNT_ADAPTER = "accounts.providers.ProviderAdapter"
SOCIALACCOUNT_FORMS = {"signup": "accounts.forms.ProviderSignUpForm"}
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}


def _offer(provider: str, app: dict[str, str], **options: str) -> None:
    with_pkce = {**app, "settings": {"oauth_pkce_enabled": True, **options}}
    SOCIALACCOUNT_PROVIDERS[provider] = {"APPS": [with_pkce]}
    INSTALLED_APPS.append(f"allauth.socialaccount.providers.{provider}")


if _oidc := together("OIDC_SERVER_URL", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"):
    if not DEBUG and not _oidc[0].startswith("https://"):
        raise ImproperlyConfigured(
            f"Unexpected value OIDC_SERVER_URL={_oidc[0]}, use an address with https://."
        )
    _offer(
        "openid_connect",
        {
            "provider_id": "university",
            "name": env.str("OIDC_NAME", "University account"),
            "client_id": _oidc[1],
            "secret": _oidc[2],
        },
        server_url=_oidc[0].rstrip("/"),
    )
if _google := together("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"):
    _offer("google", {"client_id": _google[0], "secret": _google[1]})
if _microsoft := together("MICROSOFT_CLIENT_ID", "MICROSOFT_CLIENT_SECRET", "MICROSOFT_TENANT"):
    _offer(
        "microsoft",
        {"client_id": _microsoft[0], "secret": _microsoft[1]},
        tenant=_microsoft[2],
    )

LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LANGUAGE_CODE = one_of("LANGUAGE_CODE", "en", [code for code, _name in LANGUAGES])
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = not DEBUG
LOCALE_PATHS = [BASE_DIR / "locale"]
# Weeks begin on Monday, whatever the language.
FORMAT_MODULE_PATH = ["attendance_site.formats"]
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True

# Mail is queued in the database and sent beside the requests, see accounts.mail

_mail: dict[str, Any] = env.dj_email_url("EMAIL_URL", "console:")
if "EMAIL_BACKEND" not in _mail:
    raise ImproperlyConfigured(
        "Unexpected value of EMAIL_URL, use for example submission://user:password@host:587 "
        "(with STARTTLS), smtp://user:password@host:465?ssl=True, or console:."
    )
MAIL_TRANSPORT: str = _mail.pop("EMAIL_BACKEND")
vars().update(_mail)
EMAIL_BACKEND = "accounts.mail.QueueBackend"
EMAIL_TIMEOUT = _mail["EMAIL_TIMEOUT"] or 30
MAIL_RETRY_SECONDS = at_least("MAIL_RETRY_SECONDS", 60, 1)
MAIL_RETENTION_DAYS = at_least("MAIL_RETENTION_DAYS", 7, 1)
# When daily notices of entry are sent, on the clocks of the course.
NOTICE_DIGEST_HOUR = at_least("NOTICE_DIGEST_HOUR", 18, 0)
if NOTICE_DIGEST_HOUR > 23:
    raise ImproperlyConfigured(
        f"Unexpected value NOTICE_DIGEST_HOUR={NOTICE_DIGEST_HOUR}, use an hour from 0 to 23."
    )
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "rollcall@localhost")
# Where links in mails lead that no page of ours asked for.
PUBLIC_URL = env.str(
    "PUBLIC_URL", "http://localhost:8000" if DEBUG else f"https://{(ALLOWED_HOSTS or [''])[0]}"
).rstrip("/")

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
# Who asks whether a process is well, asks it on its own port.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 0 if DEBUG else at_least("SECURE_HSTS_SECONDS", 31_536_000, 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEBUG
SECURE_HSTS_PRELOAD = not DEBUG
BEHIND_PROXY = flag("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FILES = 20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4000  # every face of the class photos that wait is one
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "recognition.uploads.NamelessFileUploadHandler",
]

# Rosters by file

IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
# A workbook cannot hold control characters, and would not be made at all.
IMPORT_EXPORT_ESCAPE_ILLEGAL_CHARS_ON_EXPORT = True
IMPORT_EXPORT_IMPORT_PERMISSION_CODE = "add"
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "view"
IMPORT_EXPORT_SKIP_ADMIN_EXPORT_UI = True
# A file waits for its confirmation in the cache, which forgets it, and not in a folder.
IMPORT_EXPORT_TMP_STORAGE_CLASS = "import_export.tmp_storages.CacheStorage"

# Webhooks, see integrations.targets: names and networks that are not public and still meant

WEBHOOK_ALLOWED_HOSTS: list[str] = env.list("WEBHOOK_ALLOWED_HOSTS", [])
WEBHOOK_RETRY_SECONDS = at_least("WEBHOOK_RETRY_SECONDS", 10, 1)

# The API, see docs/api.md

API_REQUESTS_PER_MINUTE = at_least("API_REQUESTS_PER_MINUTE", 1200, 1)
API_TOKEN_MINUTES = at_least("API_TOKEN_MINUTES", 60, 1)
API_LOGIN_DAYS = at_least("API_LOGIN_DAYS", 30, 1)
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["integrations.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["integrations.api.permissions.MayUseView"],
    "DEFAULT_THROTTLE_CLASSES": ["integrations.api.throttling.PerClient"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["integrations.api.parsers.BoundedJSONParser"],
    "EXCEPTION_HANDLER": "integrations.api.problems.problem_response",
    "DEFAULT_SCHEMA_CLASS": "integrations.api.schema.Schema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "COMPACT_JSON": True,
    "UNICODE_JSON": True,
    # `?format=` would be one more name in every address.
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Rollcall",
    "VERSION": "1",
    "DESCRIPTION": "Students, courses, sessions and attendance. The guide is `docs/api.md`.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": None,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "integrations.api.schema.add_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "AttendanceStatus": "checkin.models.Attendance.Status",
        "AttendanceMethod": "checkin.models.Attendance.Method",
        "RegistrationStatus": "recognition.models.FaceRegistration.Status",
    },
}
OAUTH2_PROVIDER: dict[str, Any] = {
    "OAUTH2_VALIDATOR_CLASS": "integrations.oauth.validator.Validator",
    "SCOPES_BACKEND_CLASS": "integrations.oauth.scopes.ScopesOfClient",
    "ACCESS_TOKEN_EXPIRE_SECONDS": API_TOKEN_MINUTES * 60,
    "REFRESH_TOKEN_EXPIRE_SECONDS": API_LOGIN_DAYS * 24 * 3600,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "PKCE_REQUIRED": True,
    "CLIENT_SECRET_HASHER": "sha256_of_random",
    "OAUTH2_RESPONSE_TYPES_SUPPORTED": ["code"],
    "OAUTH2_GRANT_TYPES_SUPPORTED": [
        "authorization_code",
        "client_credentials",
        "refresh_token",
    ],
    # Everything of RFC 9700, the best current practice.
    **{
        f"COMPLIANT_BCP_RFC9700_{gate}": True
        for gate in (
            "IMPLICIT_GRANT",
            "PASSWORD_GRANT",
            "PKCE_METHOD",
            "PKCE_REQUIRED",
            "ACCESS_TOKEN_TRANSPORT",
            "AUTHZ_RESPONSE_ISS",
            "TOKEN_STORAGE",
            "REFRESH_TOKEN",
            "REDIRECT_URI_MATCHING",
        )
    },
    # Our form allows http to the own machine only, which native apps listen on (RFC 8252).
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https", "http"],
}
# The toolkit's own tables; Django wants to read the names here.
OAUTH2_PROVIDER_APPLICATION_MODEL = "oauth2_provider.Application"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "oauth2_provider.AccessToken"  # noqa: S105
# W008 warns of http as a scheme at all.
SILENCED_SYSTEM_CHECKS = ["oauth2_provider.W008"]
SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=API_LOGIN_DAYS),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    # A key of its own: what signs sessions is not what opens the API.
    "SIGNING_KEY": salted_hmac("integrations.app_logins", "sign", secret=SECRET_KEY).hexdigest(),
}

# Recognition

# Names of models, which recognition.checks looks at: see docs/models.md.
RECOGNITION_DETECTOR = env.str("RECOGNITION_DETECTOR", "hog")
RECOGNITION_LANDMARKER = env.str("RECOGNITION_LANDMARKER", "dlib68")
RECOGNITION_MODEL = env.str("RECOGNITION_MODEL", "dlib-resnet-v1")
# Whose templates are searched as long as a student has none of RECOGNITION_MODEL.
RECOGNITION_PREVIOUS_MODEL = env.str("RECOGNITION_PREVIOUS_MODEL", "")
ANTI_SPOOFING = one_of("ANTI_SPOOFING", "off", ("off", "advisory", "required"))
RECOGNITION_WORKERS = at_least("RECOGNITION_WORKERS", os.cpu_count() or 1, 1)
MODEL_CACHE_DIR = DATA_DIR / "models"
# Templates learn from check-ins. Who agreed before that was so is not concerned: the text says it,
# so the version does too.
TEMPLATE_UPDATES = env.bool("TEMPLATE_UPDATES", False)
CONSENT_POLICY_VERSION = env.str("CONSENT_POLICY_VERSION", "2026-11") + (
    "+updates" if TEMPLATE_UPDATES else ""
)

# Passes, see checkin.passes.services

ENTRY_PASS_DAYS = at_least("ENTRY_PASS_DAYS", 8, 1)

# Kiosks, see checkin.services and checkin.kiosks

KIOSK_TOKEN_GRACE_HOURS = at_least("KIOSK_TOKEN_GRACE_HOURS", 24, 1)

# Scheduled exports, see integrations.payroll

# The one folder below which they may be written; empty: nowhere.
PAYROLL_EXPORT_DIR = env.str("PAYROLL_EXPORT_DIR", "")
# Keys are found as boto3 finds them: AWS_ACCESS_KEY_ID, a profile, or the machine's own role.
PAYROLL_S3_BUCKET = env.str("PAYROLL_S3_BUCKET", "")
PAYROLL_S3_ENDPOINT_URL = env.str("PAYROLL_S3_ENDPOINT_URL", "")
PAYROLL_S3_REGION = env.str("PAYROLL_S3_REGION", "")

# Retention, see checkin.retention

ATTEMPT_RETENTION_DAYS = at_least("ATTEMPT_RETENTION_DAYS", 90, 1)
TEMPLATE_RETENTION_DAYS = at_least("TEMPLATE_RETENTION_DAYS", 30, 1)
DRAFT_RETENTION_DAYS = at_least("DRAFT_RETENTION_DAYS", 14, 1)
REGISTRATION_RETENTION_DAYS = at_least("REGISTRATION_RETENTION_DAYS", 60, 1)
SIGN_UP_RETENTION_DAYS = at_least("SIGN_UP_RETENTION_DAYS", 30, 1)
PASS_RETENTION_DAYS = at_least("PASS_RETENTION_DAYS", 30, 1)
CLASS_PHOTO_RETENTION_DAYS = at_least("CLASS_PHOTO_RETENTION_DAYS", 2, 1)
ALERT_RETENTION_DAYS = at_least("ALERT_RETENTION_DAYS", 7, 1)
PHOTO_IMPORT_RETENTION_DAYS = at_least("PHOTO_IMPORT_RETENTION_DAYS", 7, 1)
RECORD_RETENTION_DAYS = at_least("RECORD_RETENTION_DAYS", 1826, 1)
EVENT_RETENTION_DAYS = at_least("EVENT_RETENTION_DAYS", 30, 1)
EXPORT_RETENTION_DAYS = at_least("EXPORT_RETENTION_DAYS", 7, 1)

# Operations, see integrations.operations

METRICS_TOKEN = env.str("METRICS_TOKEN", "")
if METRICS_TOKEN and len(METRICS_TOKEN) < 20:
    raise ImproperlyConfigured(
        f"METRICS_TOKEN has {len(METRICS_TOKEN)} signs, use at least 20, for example of "
        "`openssl rand -hex 20`."
    )
OPERATIONS_NETWORKS = networks("OPERATIONS_NETWORKS", ["127.0.0.0/8", "::1/128"])
DISK_FREE_MIN_MB = at_least("DISK_FREE_MIN_MB", 500, 1)
PROMETHEUS_EXPORT_MIGRATIONS = False  # it asks the database while the site starts

# Logs carry ids, never names, numbers of students or pictures.

LOG_FORMAT = one_of("LOG_FORMAT", "line", ("line", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "accounts.logs.LineFormatter", "show_errors": DEBUG},
        "json": {"()": "accounts.logs.JsonFormatter", "show_errors": DEBUG},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        # It writes addresses; accounts.mail_delivery says what is wrong with a mail.
        "post_office": {"handlers": ["console"], "level": "CRITICAL", "propagate": False},
        # It writes paths, which anybody may make up; accounts.request_log writes the route.
        "django.request": {"level": "ERROR"},
        "django.channels.server": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        # Each attempt of a database that is away, at several lines; checkin.outages tells it once.
        "psycopg.pool": {"level": "ERROR"},
        # Two lines for each look at what is due; what was done, the work itself says.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
