"""The documentation as a site: strict, offline, readable on a phone."""

import logging
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

import twinear
from tests.conftest import ROOT
from tests.support.browser import opened_page

pytestmark = pytest.mark.slow(reason="builds the documentation, as make check and make docs do")

PAGES = (
    "index.html",
    "tutorial.html",
    "how-to/many-machines.html",
    "explanation/how-it-works.html",
    "reference/cli.html",
    "reference/params.html",
    "reference/files.html",
    "reference/api/metrics.html",
)


class Loads(HTMLParser):
    """What a page loads when it is opened: everything but what a reader may click."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.addresses += [values[name] for name in ("src", "srcset", "data") if name in values]
        if tag == "link":
            self.addresses.append(values.get("href", ""))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        loads = Loads(path.read_text(encoding="utf-8")).addresses
        assert loads
        assert not [each for each in loads if re.match(r"(https?:)?//", each)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", path.read_text(encoding="utf-8"))


def test_search_works_from_the_disk_and_the_browser_asks_no_other_place(site: Path) -> None:
    with opened_page() as page:
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("f")
        page.keyboard.type("hubness")
        page.wait_for_selector(".md-search-result__link")
        assert page.locator(".md-search-result__link[href*='hubness']").count()
    assert requests
    assert all(each.startswith(("file:", "data:", "about:", "blob:")) for each in requests)


def test_no_page_is_wider_than_a_phone_and_every_picture_is_there(site: Path) -> None:
    with opened_page(width=390) as page:
        for name in PAGES:
            page.goto((site / name).as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            broken = "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
            assert page.evaluate(broken) == [], name


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    html = (site / "explanation/how-it-works.html").read_text(encoding="utf-8")
    assert "<mfrac>" in html
    for path in (site / "explanation").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert text.count('class="arithmatex"') == text.count("<math"), path
        assert "\\frac" not in text


def test_every_exported_name_is_in_the_python_reference(site: Path) -> None:
    pages = [path.read_text(encoding="utf-8") for path in (site / "reference/api").glob("*.html")]
    guide = (ROOT / "docs/how-to/python.md").read_text(encoding="utf-8")
    for name in sorted(set(twinear.__all__) - {"__version__"}):
        assert f"twinear.{name}(" in guide or f"`twinear.{name}`" in guide, name
        described = re.compile(rf'id="twinear\.[\w.]+\.{name}"')
        assert any(described.search(page) for page in pages), name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a page](missing.md)", "missing.md"),
        ("[a part](#missing)", "#missing"),
        ("![a picture](missing.png)", "missing.png"),
    ],
)
def test_a_broken_link_fails_the_build_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, found: str
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    config = load_config(
        str(ROOT / "mkdocs.yml"),
        docs_dir=str(tmp_path / "docs"),
        site_dir=str(tmp_path / "site"),
        nav=[{"Home": "index.md"}],
        hooks=[],
        plugins=[],
        theme="mkdocs",
    )
    with caplog.at_level(logging.WARNING, "mkdocs"), pytest.raises(Abort):
        build(config)
    assert "index.md" in caplog.text
    assert found in caplog.text
