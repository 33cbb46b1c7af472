"""What the pages of a failed browser test show and what went wrong in them, for its report."""

from __future__ import annotations

from collections.abc import Iterable

from playwright.sync_api import Browser, Page, Request
from playwright.sync_api import Error as PlaywrightError

LONGEST_TEXT = 2_000
READING_MS = 3_000


def evidence_of(browsers: Iterable[Browser]) -> str:
    """One paragraph per page that is still open."""
    pages = [page for one in browsers for context in one.contexts for page in context.pages]
    return "\n\n".join(map(_shown_by, pages)) or "no page is open"


def _shown_by(page: Page) -> str:
    lines = [page.url, *_troubles_of(page)]
    try:
        state = page.evaluate("document.readyState")
        text = page.locator("body").inner_text(timeout=READING_MS)
        lines.append(f"document is {state}; it says:\n{text[:LONGEST_TEXT]}")
    except PlaywrightError as error:
        lines.append(f"its text could not be read: {error}")
    return "\n".join(lines)


def _troubles_of(page: Page) -> list[str]:
    try:
        said = [f"console {one.type}: {one.text}" for one in page.console_messages()]
        raised = [f"uncaught: {error}" for error in page.page_errors()]
        return said + raised + [line for one in page.requests() if (line := _trouble_of(one))]
    except PlaywrightError as error:
        return [f"what went wrong in it could not be read: {error}"]


def _trouble_of(request: Request) -> str | None:
    """None for a request that was answered well."""
    response = request.existing_response
    if request.failure:
        why = request.failure
    elif response is None:
        why = "no answer yet"
    elif response.status >= 400:
        why = f"answered {response.status}"
    else:
        return None
    return f"{request.method} {request.url}: {why}"
