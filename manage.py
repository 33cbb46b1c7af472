#!/usr/bin/env python
"""Rollcall's command line."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "attendance_site.settings")
    if sys.argv[1:2] == ["doctor"]:
        # Before Django: it must be able to say that Django, or a setting that it needs, is missing.
        from integrations.operations.first_look import main as doctor

        sys.exit(doctor(sys.argv[2:]))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
