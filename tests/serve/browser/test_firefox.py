"""The page in a browser of another make: what a visit needs of the browser works there too."""

import asyncio
from pathlib import Path

import pytest

from tests.serve.browser.test_page import ARTIST, OTHER
from tests.support.firefox import needs_firefox, opened_firefox
from tests.support.serving import Service, wait_for_map

pytestmark = [needs_firefox, pytest.mark.slow(reason="a real browser")]

DOWN, ENTER = "\ue015", "\ue007"
PLAYED = "import('./player.js').then(({ element }) => element.currentTime > 0.2)"
DROP = """(async () => {
  const { clips } = await (await fetch("api/v1/artists/%s")).json();
  const blob = await (await fetch(clips[0].audio)).blob();
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([blob], "mine", { type: blob.type }));
  const event = { bubbles: true, cancelable: true, dataTransfer };
  for (const type of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(type, event));
})()"""


def test_search_playback_reasons_map_path_and_a_dropped_clip(
    service: Service, tmp_path: Path
) -> None:
    wait_for_map(service)

    async def visit() -> None:
        async with opened_firefox(tmp_path) as firefox:
            await firefox.visit(service.address)
            await firefox.press("/the mandr")
            assert (
                await firefox.until("document.querySelector('[role=option] span')?.innerText")
                == ARTIST
            )
            await firefox.press(DOWN + ENTER)
            await firefox.until(f"document.title.includes('{ARTIST}')")
            await firefox.evaluate("document.querySelector('.row [data-play]').click()")
            await firefox.until(PLAYED)
            await firefox.evaluate("document.querySelector('.why-button').click()")
            await firefox.until("document.querySelector('.row')?.innerText.includes('Hubness')")
            assert "why=" in await firefox.evaluate("location.search")

            await firefox.visit(f"{service.address}/?view=map")
            drawn = (
                "document.querySelector('canvas')?.getContext('2d').getImageData(0, 0, 600, 500)"
            )
            await firefox.until(f"({drawn})?.data.some((value) => value)")

            await firefox.visit(f"{service.address}/?from={ARTIST}&to={OTHER}&length=5")
            await firefox.until("document.querySelectorAll('.path .row').length === 5")

            await firefox.evaluate(DROP % ARTIST)
            await firefox.until("document.querySelectorAll('.row .score').length === 10")
            assert await firefox.evaluate("document.querySelector('h1').innerText") == "mine"

            await firefox.visit(f"{service.address}/docs/")
            await firefox.until("document.querySelectorAll('details').length > 20")
            assert firefox.requests
            home = (f"{service.address}/", f"blob:{service.address}/", "data:")
            assert not [url for url in firefox.requests if not url.startswith(home)]
            assert firefox.complaints == []

    asyncio.run(visit())
