from django.urls import path

from integrations.connected_apps import views

urlpatterns = [
    path("", views.own_apps, name="own_apps"),
    path("<int:pk>/disconnect/", views.disconnect_own_app, name="disconnect_own_app"),
    path("log-ins/<int:pk>/end/", views.end_own_login, name="end_own_login"),
]
