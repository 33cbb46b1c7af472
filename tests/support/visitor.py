"""Somebody at a running server: keeps cookies, sends forms with their token."""

from __future__ import annotations

import requests


class Visitor:
    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def get(self, path: str, **options: object) -> requests.Response:
        return self.session.get(self._address(path), timeout=30, **options)  # type: ignore[arg-type]

    def submit(self, path: str, **fields: str) -> requests.Response:
        """Open the page, send its form."""
        self.get(path)
        token = self.session.cookies["csrftoken"]
        return self.session.post(
            self._address(path),
            data={**fields, "csrfmiddlewaretoken": token},
            headers={"Referer": self._address(path)},
            timeout=30,
        )

    def _address(self, path: str) -> str:
        return path if path.startswith("http") else self.url + path
