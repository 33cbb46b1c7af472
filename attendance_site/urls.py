"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

admin.site.site_title = _("Rollcall")
admin.site.index_title = _("Lecturer’s desk")

urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html"), name="home"),
    path("kiosk/", include("checkin.urls")),
    path("admin/", admin.site.urls),
]
