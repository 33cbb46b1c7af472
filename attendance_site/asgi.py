"""The ASGI application: HTTP to Django, websockets to the consumers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "attendance_site.settings")
http_application = get_asgi_application()

# What follows imports models, which needs the apps that get_asgi_application() has loaded.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from accounts.mail_delivery import start_mail_delivery  # noqa: E402
from attendance_site.request_bodies import leave_forms_to_django  # noqa: E402
from checkin.routing import websocket_urlpatterns  # noqa: E402
from checkin.sessions.clock import start_session_clock  # noqa: E402
from integrations.payroll.clock import start_export_clock  # noqa: E402
from integrations.work import start_outbox  # noqa: E402
from recognition.cohort.work import start_photo_imports  # noqa: E402
from recognition.evaluation.work import start_measurements  # noqa: E402
from recognition.workers import start_workers  # noqa: E402

leave_forms_to_django()
start_workers()
start_mail_delivery()
start_photo_imports()
start_measurements()
start_session_clock()
start_outbox()
start_export_clock()

application = ProtocolTypeRouter(
    {"http": http_application, "websocket": URLRouter(websocket_urlpatterns)}
)
