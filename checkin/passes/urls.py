from django.urls import path

from checkin.passes import views

urlpatterns = [
    path("", views.own_pass, name="own_pass"),
    path("<int:session_pk>/code/", views.own_pass_code, name="own_pass_code"),
    path("mail/", views.mail_own_pass, name="mail_own_pass"),
]
