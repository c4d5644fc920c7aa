"""A real browser for tests of pages: the system's Chromium, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
NONE_FOUND = f"no browser: install one of {', '.join(NAMES)}"
needs_browser = pytest.mark.skipif(BROWSER is None, reason=NONE_FOUND)


@contextmanager
def opened_page(width: int = 1500, height: int = 900) -> Iterator[Page]:
    """A page of a new browser; the test is skipped where none is installed."""
    if BROWSER is None:
        pytest.skip(NONE_FOUND)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(600_000)  # a busy machine is slow
            yield page
        finally:
            browser.close()
