"""Writes a `.env` for this machine with fresh secrets: `python -m attendance_site.new_env`."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"

TEXT = f"""\
# Secrets of this machine: keep this file, and keep it out of version control.
# Without TEMPLATE_KEYS every enrolled face must be enrolled again.
DEBUG=True
SECRET_KEY={secrets.token_urlsafe(50)}
TEMPLATE_KEYS={Fernet.generate_key().decode()}
"""


def main() -> None:
    """Create the file, readable by its owner only; one that is there already stays as it is."""
    try:
        handle = os.open(ENV_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(TEXT)


if __name__ == "__main__":
    main()
