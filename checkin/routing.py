from django.urls import path

from checkin.consumers import KioskConsumer
from checkin.live.consumer import LiveConsumer
from checkin.own_device.consumer import OwnDeviceConsumer

websocket_urlpatterns = [
    path("ws/kiosk/", KioskConsumer.as_asgi()),
    path("ws/live/<int:session_pk>/", LiveConsumer.as_asgi()),
    path("ws/check-in/<int:session_pk>/", OwnDeviceConsumer.as_asgi()),
]
