from django.contrib.admin.apps import AdminConfig


class DeskConfig(AdminConfig):
    """Django's admin, with our desk as its site."""

    default = False
    default_site = "attendance_site.desk.Desk"
