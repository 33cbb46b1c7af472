# Tasks belong to this app, whichever process sends them.
from attendance_site.celery import app as celery_app

__all__ = ["celery_app"]
