"""The page in a real browser, on the service of the finished sample."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

from tests.conftest import Project
from tests.support.audio import music, write_clip
from tests.support.browser import BROWSER, needs_browser
from tests.support.serving import Service, copy_served, running
from twinear.recommendation.additions import Additions
from twinear.recommendation.collection import Collection

pytestmark = [needs_browser, pytest.mark.slow(reason="a real browser")]

ARTIST, OTHER = "The Mandrouxs", "DJ Lunzal"
MARKUP = "<img src=x onerror=window.broken=1> & Sons"
TOKEN = "a secret of enough letters"  # noqa: S105
PATIENCE = 600_000  # ms: a busy machine is slow
SHOTS = os.environ.get("TWINEAR_SCREENSHOTS")  # a folder, where pictures are wanted

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def service(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(copy_served(finished, tmp_path_factory.mktemp("service"))) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"],
        )
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Open]:
    """Open the page at an address; at the end no request has left and no script has failed."""
    requests: list[Request] = []
    complaints: list[str] = []
    contexts = []

    def visit(address: str = "", width: int = 1280, height: int = 900, **settings: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **settings
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text))
        page.goto(f"{service.address}/{address}")
        return page

    expect.set_options(timeout=PATIENCE)
    yield visit
    for context in contexts:
        context.close()
    home = (f"{service.address}/", f"blob:{service.address}/")
    assert not [each.url for each in requests if not each.url.startswith(home)]
    # a status of the API that the page shows is also written into the console
    assert not [each for each in complaints if "Failed to load resource" not in each]


def picture(page: Page, name: str, part: Locator | None = None) -> None:
    """Keep a picture for the documentation, of 128 colours, where a folder for it is named."""
    if SHOTS:
        page.wait_for_timeout(300)
        taken = Image.open(BytesIO((part or page).screenshot()))
        taken.convert("RGB").quantize(128).save(Path(SHOTS) / f"{name}.png", optimize=True)


def box(page: Page) -> Locator:
    return page.get_by_label("Who sounds like")


def names(page: Page) -> list[str]:
    page.locator(".results:not([aria-busy]) .row").first.wait_for()
    return page.locator(".row .name").all_inner_texts()


def playing(page: Page, expression: str = "audio.currentTime") -> Any:
    """Evaluate an expression over the page's own audio element."""
    return page.evaluate(
        "async () => { const { element: audio } = await import('./player.js');"
        f" return {expression}; }}"
    )


def until(page: Page, expression: str) -> None:
    """Wait for the audio element; `wait_for_function` does not wait for what a module imports."""
    while not playing(page, expression):
        assert playing(page, "!audio.error")
        page.wait_for_timeout(20)


def plays(page: Page, after: float = 0.0) -> None:
    """Wait until the clip sounds, and its time moves."""
    until(page, f"!audio.paused && audio.currentTime > {after + 0.1}")


def test_typing_finds_an_artist_and_those_like_it_best_first(visit: Open, service: Service) -> None:
    page = visit()
    page.locator(".home .chips").wait_for()
    picture(page, "home")
    box(page).press_sequentially("the mandrou")
    expect(page.get_by_role("option")).to_have_text([re.compile(f"^{ARTIST}")])
    page.keyboard.press("ArrowDown")
    assert box(page).get_attribute("aria-activedescendant")
    page.keyboard.press("Enter")
    shown = names(page)
    answer = service.get("/api/v1/similar", artist=ARTIST)
    assert shown == [row["artist"]["name"] for row in answer["similar"]]
    assert page.get_by_role("heading", level=1).inner_text() == ARTIST
    first = page.locator(".row").first
    assert first.locator(".words").inner_text() == answer["similar"][0]["words"]
    page.get_by_role("button", name="More artists").click()
    page.locator(".row").nth(10).wait_for()
    assert names(page)[:10] == shown


def test_clips_play_on_every_row_and_the_space_bar_pauses(visit: Open, service: Service) -> None:
    page = visit("?artist=The+Mandrouxs")
    names(page)
    buttons = page.locator(".row .line [data-play]")
    answer = service.get("/api/v1/similar", artist=ARTIST)
    audible = [row["artist"]["name"] for row in answer["similar"] if row["clip"]["audio"]]
    labels = [button.get_attribute("data-label") for button in buttons.all()]
    assert labels == audible
    buttons.nth(2).click()
    plays(page)
    assert (buttons.nth(2).get_attribute("aria-label") or "").startswith("Pause")
    picture(page, "search")
    page.locator("body").press("Space")  # the button has the focus: it pauses
    until(page, "audio.paused")
    page.locator("h1").click()
    page.keyboard.press("Space")
    plays(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    until(page, "!audio.paused")
    assert page.locator("[data-play].on").count() == 1


def test_why_shows_the_exact_parts_and_plays_exactly_the_seconds_that_agree(
    visit: Open, service: Service
) -> None:
    page = visit("?artist=The+Mandrouxs")
    like = names(page)[0]
    page.get_by_role("button", name=f"Why {like}?").click()
    why = page.locator(".explanation")
    why.wait_for()
    answer = service.get("/api/v1/explanation", of=ARTIST, like=like)
    parts = why.locator("section", has_text="sound alike").locator(".bars li")
    values = [text.replace("−", "-") for text in parts.locator(".value").all_inner_texts()]
    assert [float(value) for value in values] == [
        pytest.approx(part["contribution"], abs=0.005) for part in answer["sound"]["parts"]
    ]
    for name in answer["reasons"]["shared_neighbours"]:
        assert why.get_by_role("link", name=name, exact=True).count() == 1
    picture(page, "why", page.locator(".row").first)
    window = answer["sound"]["windows"]["best"][0]["second"]
    play = why.locator(".windows [data-play]").nth(1)
    play.click()
    plays(page, after=window["start"])
    playing(page, f"audio.currentTime = {window['end'] - 0.2}")
    until(page, "audio.paused")
    stopped = playing(page)
    assert window["end"] - 0.2 <= stopped < window["end"] + 1.5
    play.click()  # again from where it begins
    until(page, f"!audio.paused && audio.currentTime < {window['end'] - 0.5}")
    assert playing(page) >= window["start"] - 0.05


def drop(page: Page, file: Path) -> None:
    """Drop a file on the page, as a browser does when it is dragged from the desktop."""
    page.evaluate(
        """({ bytes, name }) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(bytes)], name));
          for (const type of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(
              new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        {"bytes": list(file.read_bytes()), "name": file.name},
    )


def test_a_dropped_clip_is_compared_explained_and_played(
    visit: Open, service: Service, tmp_path: Path
) -> None:
    page = visit()
    page.locator(".home .chips").wait_for()
    source = min(service.options.data.glob("clips/*.mp3"), key=lambda path: path.stat().st_size)
    drop(page, Path(shutil.copy(source, tmp_path / "own <b>clip.mp3")))
    assert len(names(page)) == 10
    assert page.get_by_role("heading", level=1).inner_text() == "own <b>clip.mp3"
    page.locator(".head [data-play]").click()
    plays(page)
    page.locator(".why-button").first.click()
    window = page.locator(".explanation .windows [data-play]").first
    window.click()
    plays(page)
    assert "on" in (window.get_attribute("class") or "")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("The clip is no longer here")


def test_a_clip_that_cannot_be_decoded_is_refused_with_the_reason(
    visit: Open, tmp_path: Path
) -> None:
    page = visit()
    page.locator(".home .chips").wait_for()
    broken = tmp_path / "notes.mp3"
    broken.write_text("no music")
    page.locator("#files").set_input_files(broken)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "notes.mp3" in alert.inner_text()
    assert str(tmp_path) not in alert.inner_text()


def test_an_unknown_artist_is_answered_with_the_nearest_names(visit: Open) -> None:
    page = visit("?artist=The+Mandruxs")
    alert = page.get_by_role("alert")
    assert "The Mandruxs" in alert.inner_text()
    picture(page, "error")
    alert.get_by_role("link", name=ARTIST).click()
    assert len(names(page)) == 10
    box(page).fill("Mandruxs")
    page.locator(".none").get_by_role("button").first.wait_for()


def test_a_service_that_does_not_answer_is_said_and_asked_again(visit: Open) -> None:
    page = visit("?artist=The+Mandrouxs")
    names(page)
    page.context.set_offline(True)
    page.get_by_label("Varied").check()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "does not answer" in alert.inner_text()
    page.context.set_offline(False)
    alert.get_by_role("button", name="Try again").click()
    assert names(page)


def test_a_path_is_typed_played_and_saved_as_a_playlist(visit: Open, service: Service) -> None:
    page = visit()
    box(page).fill(f"{ARTIST} → {OTHER}")
    page.keyboard.press("Enter")
    shown = names(page)
    assert (shown[0], shown[-1], len(shown)) == (ARTIST, OTHER, 10)
    page.get_by_role("button", name="Play in order").click()
    plays(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as playlist").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#EXTM3U"
    titles = [line.partition(",")[2] for line in lines if line.startswith("#EXTINF:")]
    assert [title.partition(" - ")[0] for title in titles] == shown
    addresses = [line for line in lines if not line.startswith("#")]
    assert len(addresses) == 10
    assert service.client.get(addresses[3]).headers["content-type"].startswith("audio/")


def test_a_link_restores_the_view_and_the_back_button_the_one_before(visit: Open) -> None:
    page = visit("?artist=The+Mandrouxs")
    before = names(page)
    page.get_by_label("What counts").fill("0")
    expect(page).to_have_url(re.compile("balance=0"))
    page.get_by_label("How well known").fill("4")
    expect(page).to_have_url(re.compile("max_listeners=200"))
    page.get_by_label("Varied").check()
    expect(page).to_have_url(re.compile("diverse=true"))
    names(page)
    left_out = names(page)[0]
    page.get_by_role("button", name=f"Leave {left_out} out").click()
    expect(page).to_have_url(re.compile("without="))
    expect(page.locator(".row .name", has_text=left_out)).to_have_count(0)
    page.locator(".why-button").nth(1).click()
    page.locator(".explanation").wait_for()
    state = options_shown(page)
    assert state[:3] == ("0", "4", True)
    again = visit(page.url.split("/", 3)[3])
    assert names(again) == names(page) != before
    again.locator(".row").nth(1).locator(".explanation").wait_for()
    expect(again.locator(".options .chips li")).to_have_count(1)
    assert options_shown(again) == state
    for _ in range(4):
        page.go_back()
    expect(page).not_to_have_url(re.compile("balance"))
    expect(page.locator(".row .name")).to_have_text(before)


def options_shown(page: Page) -> tuple[str, str, bool, list[str]]:
    balance, fame = page.get_by_label("What counts"), page.get_by_label("How well known")
    chips = page.locator(".options .chips").inner_text().splitlines()
    return (
        balance.input_value(),
        fame.input_value(),
        page.get_by_label("Varied").is_checked(),
        chips,
    )


def test_several_artists_are_asked_about_together(visit: Open, service: Service) -> None:
    page = visit("?artist=The+Mandrouxs")
    names(page)
    page.get_by_role("button", name="Add an artist").click()
    page.keyboard.type("dj lunz")
    page.get_by_role("option", name=OTHER).click()
    expect(page.locator(".seed")).to_have_count(2)
    answer = service.get("/api/v1/similar", artist=[ARTIST, OTHER])
    expect(page.locator(".row .name")).to_have_text(
        [row["artist"]["name"] for row in answer["similar"]]
    )


def points(page: Page) -> dict[str, list[float]]:
    """Where each artist is on the screen."""
    page.locator(".sheet canvas").nth(1).wait_for()
    placed: dict[str, list[float]] = page.evaluate(
        """async () => {
          const { current } = await import("./map-view.js");
          const { map, over, names } = current();
          const { left, top } = over.getBoundingClientRect();
          return Object.fromEntries(names.map((name, i) => {
            const [x, y] = map.at(i);
            return [name, [x + left, y + top]];
          }));
        }"""
    )
    return placed


def lines(page: Page) -> int:
    """How many true neighbours are drawn."""
    drawn: int = page.evaluate(
        "async () => (await import('./map-view.js')).current().map.lines.length"
    )
    return drawn


def part_shown(page: Page) -> list[float]:
    """The centre of what the map shows, and the zoom."""
    part: list[float] = page.evaluate(
        "async () => { const { map } = (await import('./map-view.js')).current();"
        " return [...map.centre, map.zoom]; }"
    )
    return part


def test_the_map_shows_true_neighbours_and_a_click_plays(visit: Open, service: Service) -> None:
    page = visit("?view=map")
    page.locator(".trust").wait_for()
    assert re.search(r"trustworthiness 0\.\d\d", page.locator(".trust").inner_text())
    x, y = points(page)[ARTIST]
    page.mouse.move(x, y)
    while lines(page) != 10:
        page.wait_for_timeout(20)
    page.mouse.click(x, y)
    plays(page)
    expect(page.locator(".map aside h2")).to_have_text(ARTIST)
    answer = service.get("/api/v1/similar", artist=ARTIST)
    near = [row["artist"]["name"] for row in answer["similar"]]
    expect(page.locator(".neighbours a")).to_have_text(near)
    picture(page, "map", page.locator("main"))
    expect(page).to_have_url(re.compile("artist="))
    page.mouse.wheel(0, -300)
    expect(page).to_have_url(re.compile("at="))
    again = visit(page.url.split("/", 3)[3])
    expect(again.locator(".map aside h2")).to_have_text(ARTIST)
    assert part_shown(again) == pytest.approx(part_shown(page), abs=0.01)
    assert part_shown(page)[2] > 1  # nearer than all


def test_the_map_is_used_by_keyboard_and_as_a_list(visit: Open) -> None:
    page = visit("?view=map")
    placed = points(page)
    page.locator(".sheet canvas").nth(1).focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".tip").inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator(".tip").inner_text()
    assert placed[second][0] > placed[first][0]
    page.keyboard.press("Enter")
    plays(page)
    expect(page.locator(".map aside h2")).to_have_text(second)
    page.get_by_text("Artists in view, as a list").click()
    expect(page.locator(".in-view li")).to_have_count(50)
    page.locator(".in-view button").first.click()
    expect(page.locator(".map aside h2")).to_have_text(
        page.locator(".in-view button").first.inner_text()
    )
    page.get_by_role("combobox", name="Find an artist on the map").fill("lunz")
    page.get_by_role("option", name=OTHER).click()
    expect(page.locator(".map aside h2")).to_have_text(OTHER)


def test_a_hundred_thousand_points_are_drawn_moved_and_found(
    visit: Open, record_property: Callable[[str, object], None]
) -> None:
    page = visit("?view=figures")
    drawn = page.evaluate(
        """async () => {
          const { PointMap } = await import("./map.js");
          const n = 100_000;
          const sheet = document.createElement("div");
          sheet.className = "sheet";
          sheet.append(document.createElement("canvas"), document.createElement("canvas"));
          document.querySelector("main").prepend(sheet);
          const nothing = () => {};
          const events = { hover: nothing, choose: nothing, view: nothing };
          const map = new PointMap(...sheet.children, events);
          const column = (f) => Array.from({ length: n }, (_, i) => f(i));
          map.setPoints({ // a lattice of 400 columns
            x: column((i) => i % 400), y: column((i) => Math.floor(i / 400)),
            names: column((i) => `Artist ${i}`), listeners: column((i) => n - i),
          });
          const begun = performance.now();
          map.drawNow();
          for (let i = 0; i < 60; i++) { map.panBy(3, -2); map.zoomBy(1.01); map.drawNow(); }
          const frame = (performance.now() - begun) / 61;
          map.fit();
          map.drawNow();
          const { width, height } = map.base;
          const { data } = map.base.getContext("2d").getImageData(0, 0, width, height);
          const ink = data.filter((value, i) => i % 4 === 3 && value).length;
          const picked = [5, 777, 99_990].map((i) => map.pick(...map.at(i)));
          map.chosen = 777;
          map.zoomBy(400, ...map.at(777));
          map.drawNow();
          return { frame, share: ink / (width * height), picked, named: map.named.length,
            near: map.nearest(50_200, 4).sort(), few: map.inView };
        }"""
    )
    record_property("frames_a_second", round(1000 / drawn["frame"]))
    print(f"100,000 points: {1000 / drawn['frame']:.0f} frames a second")
    assert drawn["picked"] == [5, 777, 99_990]
    assert drawn["near"] == [49_800, 50_199, 50_201, 50_600]
    assert 0.2 < drawn["share"] < 0.4  # the lattice covers a quarter of the canvas
    assert drawn["few"] < 4000
    assert drawn["named"]


@pytest.mark.parametrize("n", [80, 5000])
def test_names_on_the_map_hide_no_point_and_no_other_name(visit: Open, n: int) -> None:
    page = visit("?view=figures")
    drawn = page.evaluate(
        """async (n) => {
          const { PointMap } = await import("./map.js");
          const sheet = document.createElement("div");
          sheet.className = "sheet";
          sheet.append(document.createElement("canvas"), document.createElement("canvas"));
          document.querySelector("main").prepend(sheet);
          const nothing = () => {};
          const events = { hover: nothing, choose: nothing, view: nothing };
          const map = new PointMap(...sheet.children, events);
          const column = (f) => Array.from({ length: n }, (_, i) => f(i));
          map.setPoints({ // a spiral of 40 clusters
            x: column((i) => (i % 40) * Math.cos(i % 40) + 2 * Math.sin(7 * i)),
            y: column((i) => (i % 40) * Math.sin(i % 40) + 2 * Math.cos(13 * i)),
            names: column((i) => `Artist of number ${i}`), listeners: column((i) => n - i),
          });
          map.drawNow();
          const points = column((i) => map.at(i));
          const { boxes } = map;
          const hidden = boxes.filter(([left, top, right, bottom]) =>
            points.some(([x, y]) => x > left && x < right && y > top && y < bottom));
          const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
          const crossed = boxes.filter((a, i) => boxes.some((b, j) => i < j && meet(a, b)));
          return { named: boxes.length, hidden: hidden.length, crossed: crossed.length };
        }""",
        n,
    )
    assert drawn["named"] > 8
    assert (drawn["hidden"], drawn["crossed"]) == (0, 0)


def test_the_figures_are_those_of_the_report(visit: Open, service: Service) -> None:
    page = visit("?view=figures")
    row = page.locator("tr.catalogue")
    row.wait_for()
    ranking = json.loads((service.options.reports / "ranking.json").read_text())
    figure = ranking["catalogue"]["ndcg@10"]
    shown = row.locator(".value").inner_text().split()
    assert shown == [
        f"{figure['value']:.2f}",
        f"{figure['low']:.2f}",
        "to",
        f"{figure['high']:.2f}",
    ]
    assert (
        f"{ranking['chance']['ndcg@10']['value']:.2f}" in page.locator(".lead").first.inner_text()
    )
    picture(page, "figures", page.locator("main"))


VIEWS = {
    "": ".home .chips",
    "?artist=The+Mandrouxs": ".row",
    "?artist=The+Mandrouxs&artist=DJ+Lunzal&without=Doundend&max_listeners=300": ".row",
    "?from=The+Mandrouxs&to=DJ+Lunzal": ".row",
    "?view=map&artist=The+Mandrouxs": ".neighbours li",
    "?view=figures": ".dots",
    "?artist=Nobody": ".failure",
}


def go(page: Page, address: str) -> None:
    """Go to a view of the open page, and wait for it."""
    page.evaluate(
        "address => { history.pushState(null, '', address || './');"
        " dispatchEvent(new Event('statechange')); }",
        address,
    )
    page.locator(VIEWS[address]).first.wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_is_accessible(visit: Open, theme: Any) -> None:
    page = visit(color_scheme=theme)
    for address in VIEWS:
        go(page, address)
        if address == "?artist=The+Mandrouxs":
            page.locator(".why-button").first.click()
            page.locator(".explanation").wait_for()
            page.locator(".row [data-play]").first.click()
            plays(page)
            if theme == "dark":
                picture(page, "dark")
        violations = Axe().run(page).response["violations"]
        assert not [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations]


def test_the_theme_is_chosen_and_kept(visit: Open) -> None:
    page = visit(color_scheme="dark")
    page.locator(".home .chips").wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.reload()
    page.locator(".home .chips").wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_phone_shows_every_view_without_sideways_scrolling(visit: Open) -> None:
    page = visit(width=360, height=740, has_touch=True)
    for address in VIEWS:
        go(page, address)
        if address == "?artist=The+Mandrouxs":
            page.locator(".row [data-play]").first.tap()
            plays(page)
            picture(page, "phone")
            page.locator(".why-button").first.tap()
            page.locator(".explanation").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


def test_a_token_is_asked_for_and_used(browser: Browser, service: Service) -> None:
    with running(replace(service.options, token=TOKEN)) as guarded:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{guarded.address}/?artist=The+Mandrouxs")
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        assert len(names(page)) == 10
        page.locator(".row [data-play]").first.click()
        plays(page)
        page.close()


def test_a_playlist_is_of_the_users_music_where_that_is_chosen(
    browser: Browser, service: Service, finished: Project, tmp_path: Path
) -> None:
    for file in sorted((finished.folder / "data/clips").iterdir())[:3]:
        mine = tmp_path / f"music/Artist {file.name}" / file.name
        mine.parent.mkdir(parents=True)
        shutil.copy(file, mine)
    table, cache = tmp_path / "items.csv", tmp_path / "cache.sqlite"
    made = ("--out", str(table), "--library", str(cache))
    catalogue = ("--catalogue", str(service.options.catalogue))
    finished.must("twinear", "library", "sync", str(tmp_path / "music"), *made, *catalogue)
    options = replace(service.options, music=tmp_path / "music", items=table, library=cache)
    with running(options) as mine_too:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{mine_too.address}/?from={ARTIST}&length=3")
        assert len(names(page)) == 3
        page.get_by_label("of", exact=True).select_option("your music")
        page.get_by_text(f"Your music holds nothing of {ARTIST}").wait_for()
        assert all(name.startswith("Artist ") for name in names(page))
        assert page.locator(".row a.name").count() == 0  # the catalogue cannot be asked about them
        page.locator(".row [data-play]").first.click()
        plays(page)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as playlist").click()
        lines = saved.value.path().read_text(encoding="utf-8").splitlines()
        addresses = [line for line in lines if not line.startswith("#")]
        assert len(addresses) == 3
        kind = mine_too.client.get(addresses[0]).headers["content-type"]
        assert kind.startswith("audio/")
        page.close()


def test_a_name_that_looks_like_markup_stays_a_name(
    visit: Open, service: Service, tmp_path: Path
) -> None:
    collection = Collection.open(service.options.catalogue)
    clip = write_clip(tmp_path / "clip.mp3", music(10))
    Additions.beside(collection.catalogue).add(MARKUP, [clip], collection.load_scorer())
    while not service.get("/api/v1/artists", q="<img")["total"]:  # a new catalogue is taken over
        time.sleep(0.05)
    page = visit()
    box(page).press_sequentially("<img")
    page.get_by_role("option", name=MARKUP).click()
    names(page)
    assert page.get_by_role("heading", level=1).inner_text() == MARKUP
    assert page.locator("img").count() == 0
    page.locator(".why-button").first.click()
    page.locator(".explanation, .failure").first.wait_for()
    page.goto(page.url + "&view=map")
    page.locator(".map aside h2").wait_for()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.broken") is None
