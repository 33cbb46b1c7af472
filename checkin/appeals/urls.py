from django.urls import path

from checkin.appeals import views as appeal_views

urlpatterns = [
    path("<int:session_pk>/", appeal_views.own_record, name="own_record"),
    path("<int:session_pk>/appeal/", appeal_views.ask, name="appeal"),
    path("<int:session_pk>/appeal/withdraw/", appeal_views.withdraw, name="appeal_withdraw"),
    path("<int:session_pk>/not-me/", appeal_views.not_me, name="not_me"),
]
