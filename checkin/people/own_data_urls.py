from django.urls import path

from checkin.people import own_data_views as views

urlpatterns = [
    path("", views.own_data, name="own_data"),
    path("rollcall-data.zip", views.as_zip, name="own_data_zip"),
    path("rollcall-data.json", views.as_json, name="own_data_json"),
]
