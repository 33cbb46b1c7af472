"""Pages whatever the moment at which a test looks: still on their way, there, or gone again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, Route

_NOTE = """
new MutationObserver(() => {
    const said = document.querySelector(%s)?.textContent.trim();
    if (said) sessionStorage.said = (sessionStorage.said ?? "") + said + "\\n";
}).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
"""


def noted(page: Page, selector: str) -> Callable[[], str]:
    """Note what this part says on every page opened from now on; call the answer to read it.

    Looking now and then would miss what is said for a moment only.
    """
    page.add_init_script(_NOTE % json.dumps(selector))
    return lambda: str(page.evaluate("sessionStorage.said ?? ''"))


def width_of(page: Page) -> int:
    """Of everything on the page, in pixels, once its styles have come."""
    page.wait_for_load_state()
    return int(page.evaluate("document.documentElement.scrollWidth"))


def follow(link: Locator) -> None:
    """Click what leads to another page, and go on once that page and its scripts have come."""
    with link.page.expect_navigation(wait_until="load"):
        link.click()


@contextmanager
def held_back(page: Page, *patterns: str) -> Iterator[None]:
    """What fits these patterns is asked for but does not arrive before the end, then it does."""
    held: list[Route] = []
    over = False

    def hold(route: Route) -> None:
        if over:
            route.continue_()
        else:
            held.append(route)

    for pattern in patterns:
        page.route(pattern, hold)
    yield
    assert held, f"nothing was asked for that fits {', '.join(patterns)}"
    over = True
    for route in held:
        route.continue_()
