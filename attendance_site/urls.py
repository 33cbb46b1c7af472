"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy as _
from django.views.generic import RedirectView

from accounts.views import choose_language, me
from attendance_site import web_app
from attendance_site.views import get_app, home
from checkin.history_views import own_attendance
from checkin.notices.views import own_notices
from checkin.own_device.views import own_check_in, own_check_ins
from integrations.operations.probes import healthz, metrics, readyz

admin.site.site_title = _("Rollcall")
admin.site.index_title = _("Lecturer’s desk")
# One login page for everybody, so that its rate limits and second factor hold for staff too.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler429 = "accounts.views.too_many_requests"

handler500 = "attendance_site.views.server_error"

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("", home, name="home"),
    path("app/", get_app, name="get_app"),
    path("app.webmanifest", web_app.app_manifest, name="app-manifest"),
    path("kiosk.webmanifest", web_app.kiosk_manifest, name="kiosk-manifest"),
    path("sw.js", web_app.service_worker, name="service-worker"),
    path("offline/", web_app.offline, name="offline"),
    path("offline/kiosk/", web_app.offline_kiosk, name="offline-kiosk"),
    path("language/", choose_language, name="language"),
    path("me/", me, name="me"),
    path("me/data/", include("checkin.people.own_data_urls")),
    path("me/attendance/", own_attendance, name="own_attendance"),
    path("me/attendance/", include("checkin.appeals.urls")),
    path("me/check-in/", own_check_ins, name="own_check_ins"),
    path("me/check-in/<int:session_pk>/", own_check_in, name="own_check_in"),
    path("me/notices/", own_notices, name="own_notices"),
    path("me/notices/channels/", include("integrations.notifications.urls")),
    path("me/apps/", include("integrations.connected_apps.urls")),
    path("me/pass/", include("checkin.passes.urls")),
    path("me/", include("roster.urls")),
    path("face/", include("recognition.urls")),
    path("accounts/", include("allauth.urls")),
    path("kiosk/", include("checkin.urls")),
    path("api/v1/", include("integrations.api.urls")),
    path("oauth/", include("integrations.oauth.urls")),
    path(".well-known/", include("integrations.oauth.well_known")),
    path(
        "admin/password_change/",
        RedirectView.as_view(pattern_name="account_change_password"),
    ),
    path("admin/", admin.site.urls),
]
