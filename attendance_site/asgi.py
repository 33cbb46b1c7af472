"""The ASGI application: HTTP to Django, websockets to the consumers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "attendance_site.settings")
http_application = get_asgi_application()

# What follows imports models, which needs the apps that get_asgi_application() has loaded.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from accounts.language import in_language_of_browser  # noqa: E402
from attendance_site.background import start_background_work  # noqa: E402
from attendance_site.request_bodies import leave_forms_to_django  # noqa: E402
from checkin.routing import websocket_urlpatterns  # noqa: E402
from recognition.workers import start_workers  # noqa: E402

leave_forms_to_django()
start_workers()
start_background_work()

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": in_language_of_browser(URLRouter(websocket_urlpatterns)),
    }
)
