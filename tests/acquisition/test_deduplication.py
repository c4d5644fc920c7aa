"""When two titles are one recording, and what a file of audio is by what it holds."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.audio import CODECS, music, write_clip
from twinear.acquisition.previews.deduplication import audio_suffix, plain_title, same_recording


@pytest.mark.parametrize(
    "title",
    [
        "Help!",
        "Help! - Remastered 2009",
        "Help! (2009 Remaster)",
        "HELP [Mono]",
        "Help! (Album Version) [Explicit]",
        "Help! (feat. Nobody)",
        "Help! feat. Nobody",
        "Help! - From the film",
        "Help! – Single Version",
    ],
)
def test_editions_share_a_title(title: str) -> None:
    assert plain_title(title) == "help"


@pytest.mark.parametrize(
    "title",
    [
        "Help! (Live)",
        "Help! - Live at the BBC / Remastered",
        "Help! (Acoustic Version)",
        "Help! [Stereo Remix]",
        "Help! - Demo",
        "Help! Part 2",
        "Help Me (Somebody)",
    ],
)
def test_other_recordings_do_not(title: str) -> None:
    assert plain_title(title) != "help"


@pytest.mark.parametrize("title", ["(Remastered)", "!!!", "ฮัลโหล", "Alive - Deluxe"])
def test_something_is_left_of_every_title(title: str) -> None:
    assert plain_title(title)


def test_the_length_has_to_agree_where_it_is_known() -> None:
    assert same_recording("One", 200, "One (Remastered)", 201.5)
    assert not same_recording("One", 200, "One (Remastered)", 203)
    assert same_recording("One", 0, "One", 203)
    assert not same_recording("One", 200, "Two", 200)
    assert not same_recording("", 200, " ", 200)


@pytest.mark.parametrize("suffix", CODECS)
def test_a_file_is_known_by_what_it_holds(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"a{suffix}", np.stack([music(1, 48000)] * 2), 48000)
    path.rename(tmp_path / "a")
    expected = ".ogg" if suffix == ".opus" else suffix
    assert audio_suffix(tmp_path / "a") == expected


def test_what_is_not_known_has_a_suffix_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert audio_suffix(tmp_path / "a") == ".audio"
