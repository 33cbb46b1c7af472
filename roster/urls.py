from django.urls import path

from roster import views

urlpatterns = [path("student-number/", views.claim, name="roster_claim")]
