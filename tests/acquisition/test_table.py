"""A table of files and addresses as a source of clips."""

from pathlib import Path

import pytest

from tests.support.audio import music, write_clip
from tests.support.fetching import find, hasty, requested
from tests.support.services import FakeArtist, FakeServices
from twinear.acquisition.network.client import Client, RequestPolicy
from twinear.acquisition.network.errors import InvalidContentError, NotFoundError, SourceError
from twinear.acquisition.previews.source import Preview, RequestedArtist
from twinear.acquisition.previews.table import TableSource
from twinear.base.errors import DataError
from twinear.clips.waveform import load_waveform

SR = 22050
A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"


def table(folder: Path, *rows: str, header: str = "file,artist,mbid,title,terms") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


def previews(source: TableSource, artist: RequestedArtist) -> list[Preview]:
    return source.previews(find(source, artist), 9)


def test_an_artist_is_found_by_id_then_by_name(tmp_path: Path) -> None:
    rows = [f"1.mp3,Nirvana,{A},,", "2.mp3,The Beatles,,,", f"3.mp3,Nirvana,{B},,"]
    source = TableSource(table(tmp_path, *rows))
    by_id = find(source, requested("Anybody", B))
    assert (by_id.confidence, len(source.previews(by_id, 9))) == (1.0, 1)
    merged = find(source, requested("Anybody", "c" * 36, musicbrainz=A))
    assert merged.artist_id == A
    by_name = find(source, requested("BEATLES"))
    assert by_name.confidence == 0.9
    guess = find(source, requested("Nirvana"))
    assert (guess.confidence, guess.why) == (0.5, "2 artists of that name")
    assert source.find(requested("Nobody")) is None
    assert source.find(requested("Nirvana", "c" * 36)) is None  # a namesake


def test_terms_are_the_rows_own_or_say_whose_it_is(tmp_path: Path) -> None:
    rows = ["1.mp3,Air,,One,CC BY 4.0", "2.mp3,Air,,Two,", "https://example.org/3.mp3,Air,,Three,"]
    client = Client("table", "http://127.0.0.1", "test (a@b.c)", RequestPolicy(n=9, seconds=1))
    found = previews(TableSource(table(tmp_path, *rows), client), requested("Air"))
    assert [preview.terms for preview in found] == ["CC BY 4.0", "own library", "not stated"]
    assert [preview.title for preview in found] == ["One", "Two", "Three"]


def test_files_and_long_recordings_are_put_on_disk(tmp_path: Path) -> None:
    write_clip(tmp_path / "in/a.mp3", music(3, SR), SR)
    write_clip(tmp_path / "in/b.wav", music(50, SR), SR)
    (tmp_path / "in/c.mp3").write_text("words")
    rows = [f"{name},Air,,," for name in ("a.mp3", "b.wav", "c.mp3", "d.mp3")]
    source = TableSource(table(tmp_path / "in", *rows))
    found = previews(source, requested("Air"))
    for preview, seconds in zip(found, (3, 30), strict=False):
        source.download(preview, tmp_path / "clip")
        assert load_waveform(tmp_path / "clip", SR).size / SR == pytest.approx(seconds, abs=0.1)
    with pytest.raises(InvalidContentError, match=r"c\.mp3: is not audio"):
        source.download(found[2], tmp_path / "none")
    with pytest.raises(NotFoundError, match=r"d\.mp3: is missing"):
        source.download(found[3], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_addresses_are_fetched_and_their_secrets_not_kept(tmp_path: Path) -> None:
    with FakeServices(FakeArtist(name="Air", itunes=7)) as services:
        url = f"{services.url_of('cdn')}/itunes/700.plus.aac.p.m4a"
        rows = [f"{url}?token=secret,Air,,,", f"{services.url}/nothing,Air,,,", f"{url},Air,,,"]
        policy = hasty(RequestPolicy(n=9, seconds=1), 0.01)
        with Client("table", services.url, "test (a@b.c)", policy) as client:
            source = TableSource(table(tmp_path, *rows), client)
            found = previews(source, requested("Air"))
            source.download(found[0], tmp_path / "clip")
            assert load_waveform(tmp_path / "clip", SR).size / SR == pytest.approx(2, abs=0.1)
            with pytest.raises(SourceError):
                source.download(found[1], tmp_path / "none")
            services.script("cdn", "not audio")
            with pytest.raises(InvalidContentError, match="is not audio"):
                source.download(found[2], tmp_path / "none")
    assert "secret" not in found[0].source_id
    assert len({preview.source_id for preview in found}) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "table.csv"]


def test_addresses_need_a_contact(tmp_path: Path) -> None:
    path = table(tmp_path, "a.mp3,Air,,,", "https://example.org/3.mp3,Air,,,")
    with pytest.raises(DataError, match=r"table\.csv:3: names a URL; .*give --contact"):
        TableSource(path)


def test_a_table_that_cannot_be_used_says_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"table\.csv:2: has no artist"):
        TableSource(table(tmp_path, "a.mp3,,,,"))
    assert TableSource(table(tmp_path, "a.mp3,Air", header="file,artist")).find(requested("Air"))
