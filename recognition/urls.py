from django.urls import path

from recognition import views

urlpatterns = [
    path("", views.face, name="face"),
    path("consent/", views.consent, name="face_consent"),
    path("photos/", views.photos, name="face_photos"),
    path("photos/<int:pk>/", views.photo, name="face_photo"),
    path("photos/<int:pk>/remove/", views.remove, name="face_photo_remove"),
    path("submit/", views.submit, name="face_submit"),
    path("cancel/", views.cancel, name="face_cancel"),
    path("withdraw/", views.withdraw, name="face_withdraw"),
]
