from django.urls import path

from checkin import views
from checkin.look_up import views as look_up_views

urlpatterns = [
    path("", views.kiosk, name="kiosk"),
    path("language/", views.choose_language, name="kiosk-language"),
    path("pair/", views.pair, name="kiosk-pair"),
    path("look-up/", look_up_views.look_up_page, name="kiosk-look-up"),
    path("look-up/read/", look_up_views.read_pass, name="kiosk-look-up-read"),
]
