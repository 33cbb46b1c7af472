from django.urls import path

from checkin import views

urlpatterns = [
    path("", views.kiosk, name="kiosk"),
    path("pair/", views.pair, name="kiosk-pair"),
]
