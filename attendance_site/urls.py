"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy as _
from django.views.generic import RedirectView, TemplateView

from accounts.views import me

admin.site.site_title = _("Rollcall")
admin.site.index_title = _("Lecturer’s desk")
# One login page for everybody, so that its rate limits and second factor hold for staff too.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler429 = "accounts.views.too_many_requests"

urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html"), name="home"),
    path("me/", me, name="me"),
    # The library has a page to change the e-mail address; ours do not offer that yet.
    path("accounts/email/", RedirectView.as_view(pattern_name="me")),
    path("accounts/", include("allauth.urls")),
    path("kiosk/", include("checkin.urls")),
    path(
        "admin/password_change/",
        RedirectView.as_view(pattern_name="account_change_password"),
    ),
    path("admin/", admin.site.urls),
]
