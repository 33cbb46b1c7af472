from django.urls import path

from integrations.notifications import views

urlpatterns = [
    path("", views.own_channels, name="own_channels"),
    path("<int:pk>/test/", views.test_own_channel, name="test_own_channel"),
    path("<int:pk>/remove/", views.remove_own_channel, name="remove_own_channel"),
]
