"""What a playlist begins and ends with: artists, clips, recordings, and files from elsewhere."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS
from tests.support.audio import music, tagged, write_clip
from tests.support.planted_catalogue import planted, unit_rows, written
from tests.support.scorers import small_scorer
from twinear.acquisition.music_folder import LeftOut
from twinear.base.errors import ClipError, DataError
from twinear.base.params import read_params
from twinear.catalogue.encoded import plain_artists
from twinear.catalogue.lookup import ArtistRecord, ClipRecord
from twinear.clips.clips import ClipsParams
from twinear.inference import embed
from twinear.model.scorer import Scorer
from twinear.recommendation.collection import Collection
from twinear.recommendation.library import MusicLibrary
from twinear.recommendation.playlist import PlaylistEntry, make_playlist
from twinear.recommendation.playlist_sources import (
    CatalogueClips,
    LibraryRecordings,
    encode_file,
    find_central,
)

USABLE = read_params("clips", ClipsParams, PARAMS)
N, UNITS = 60, 12  # artists, and units of the small scorer


@pytest.fixture(name="collection", scope="module")
def _collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    ids = [f"id-{row:03}" for row in range(N)]
    names = ["Sigur Rós", "Björk", "Bjork", *(f"Artist {row}" for row in range(3, N))]
    folder = tmp_path_factory.mktemp("asked") / "catalogue"
    return Collection.open(written(folder, pd.DataFrame({"artist": ids, "name": names}), planted()))


@pytest.fixture(name="clips")
def _clips(collection: Collection, tmp_path: Path) -> CatalogueClips:
    return CatalogueClips(collection=collection, data=tmp_path / "data", usable=USABLE)


@pytest.fixture(name="scorer", scope="module")
def _scorer() -> Scorer:
    return small_scorer()


def test_an_artist_of_a_catalogue_gives_its_most_central_clip(clips: CatalogueClips) -> None:
    catalogue = clips.collection.catalogue
    several = int(np.flatnonzero(catalogue.encoded.clip_counts == 3)[-1])
    record = catalogue.artists.record(several)
    embeddings = clips.collection.encoded([several]).embeddings
    central = int((embeddings @ embeddings.T).sum(axis=0).argmax())
    end = clips.find(record.name)
    clip = catalogue.artists.clips_of(several)[central]
    assert end.entry == PlaylistEntry(
        file=clips.data / clip.file,
        artist=record.artist,
        name=record.name,
        title="",
        seconds=30.0,
    )
    np.testing.assert_array_equal(end.embedding, embeddings[central])
    assert clips.find(record.artist).entry == end.entry


def test_a_clip_is_found_by_its_file_whether_it_is_there_or_not(
    clips: CatalogueClips, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = clips.data / "clips/id-005-0.mp3"
    assert clips.find("clips/id-005-0.mp3").entry.file == expected
    expected.parent.mkdir(parents=True)
    expected.write_text("sound, but nobody decodes it")
    monkeypatch.chdir(clips.data.parent)
    for name in ("clips/id-005-0.mp3", "data/clips/id-005-0.mp3", str(expected)):
        end = clips.find(name)
        assert end.entry.file == expected
        row = clips.collection.catalogue.artists.find_clip("clips/id-005-0.mp3").row
        np.testing.assert_array_equal(
            end.embedding, clips.collection.catalogue.encoded.embeddings[row]
        )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("Nobody At All", "no artist 'Nobody At All'"),
        ("björk", r"several artists 'björk'.*id-001.*id-002"),
        ("clips/other.mp3", r"no clip 'clips/other\.mp3'"),
        ("x" * 5000, "no artist"),
        ("\0", "no artist"),
    ],
)
def test_what_a_catalogue_does_not_have_is_one_line(
    clips: CatalogueClips, query: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        clips.find(query)


def test_a_playlist_over_a_catalogue_names_its_clips(clips: CatalogueClips) -> None:
    ends = clips.find("Sigur Rós"), clips.find("Artist 40")
    made = make_playlist(clips.source(), *ends, 10)
    assert [made.entries[at].artist for at in (0, -1)] == ["id-000", "id-040"]
    files = [each.file for each in made.entries]
    assert len(set(files)) == 10
    artists = clips.collection.catalogue.artists
    for each in made.entries:
        clip = artists.find_clip(os.path.relpath(each.file, clips.data))
        assert artists.record(clip.artist_row).artist == each.artist
    embeddings = [clips.find(str(file)).embedding for file in files]
    logit = clips.collection.catalogue.scoring.head.logit
    steps = np.diagonal(logit(np.stack(embeddings[:-1]), np.stack(embeddings[1:])))
    np.testing.assert_allclose(made.order.scores, 1 / (1 + np.exp(-steps)), rtol=1e-5)


def test_added_artists_are_in_the_playlists_too(clips: CatalogueClips) -> None:
    catalogue = clips.collection.catalogue
    first = catalogue.encoded.embeddings[:1]
    own = unit_rows(first + 0.01 * np.random.default_rng(0).normal(size=(2, UNITS)))
    n_clips = catalogue.artists.n_clips
    collection = Collection(
        catalogue=catalogue,
        added=(ArtistRecord(row=N, artist="new", name="New", clips=2),),
        added_clips=tuple(
            ClipRecord(row=n_clips + nth, file=f"/own/{nth}.mp3", artist_row=N) for nth in (0, 1)
        ),
        added_encoded=plain_artists(np.array([0, 2]), own),
    )
    both = CatalogueClips(collection=collection, data=clips.data, usable=USABLE)
    end = both.find("New")
    assert end.entry.name == "New"
    assert both.find("/own/1.mp3").entry.file == Path("/own/1.mp3")
    np.testing.assert_array_equal(both.find("/own/1.mp3").embedding, own[1])
    made = make_playlist(both.source(), both.find("clips/id-000-0.mp3"), None, 5)
    assert "New" in [each.name for each in made.entries]


def test_the_central_row_is_the_first_of_equals() -> None:
    assert find_central(np.eye(3, dtype=np.float32), lambda u, v: u @ v.T) == 0


# --- a folder of music ------------------------------------------------------------------------


def entry(file: Path, artist: str, name: str) -> PlaylistEntry:
    return PlaylistEntry(file=file, artist=artist, name=name, title=file.stem, seconds=200.0)


@pytest.fixture(name="library")
def _library(scorer: Scorer, tmp_path: Path) -> LibraryRecordings:
    """Nine recordings of five artists, two of which have the same name."""
    artists = [("air", "Air"), ("a-1", "Nirvana"), ("a-2", "Nirvana"), ("m", "Moby"), ("x", "XX")]
    entries = [entry(tmp_path / f"music/{at}.flac", *artists[at % 5]) for at in range(9)]
    embeddings = unit_rows(np.random.default_rng(0).normal(size=(9, scorer.units)))
    library = MusicLibrary(entries=entries, embeddings=embeddings, left_out=LeftOut(), n_decoded=0)
    return LibraryRecordings(
        folder=tmp_path / "music", library=library, scorer=scorer, usable=USABLE
    )


@pytest.mark.parametrize("query", ["Air", "AIR", "The Air", "air"])
def test_an_artist_of_the_folder_gives_one_of_its_recordings(
    library: LibraryRecordings, query: str
) -> None:
    end = library.find(query)
    assert end.entry.name == "Air"
    assert not end.instead_of
    row = library.library.entries.index(end.entry)
    np.testing.assert_array_equal(end.embedding, library.library.embeddings[row])


def test_a_file_of_the_folder_is_that_recording(
    library: LibraryRecordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.folder.mkdir()
    (library.folder / "3.flac").write_text("sound, but nobody decodes it")
    assert library.find(str(library.folder / "3.flac")).entry == library.library.entries[3]
    monkeypatch.chdir(library.folder)
    assert library.find("3.flac").entry == library.library.entries[3]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("nirvana", r"several artists 'nirvana': Nirvana \(a-1\), Nirvana \(a-2\); give the id"),
        ("Mobi", r"no artist 'Mobi' among 4; did you mean 'Moby'"),
        ("Zzzz", r"no artist 'Zzzz' among 4; check the spelling"),
    ],
)
def test_what_the_folder_does_not_have_is_one_line(
    library: LibraryRecordings, query: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        library.find(query)
    assert library.find("a-2").entry.artist == "a-2"


def test_what_only_the_catalogue_has_gives_the_nearest_recording(
    library: LibraryRecordings, clips: CatalogueClips
) -> None:
    both = LibraryRecordings(
        folder=library.folder,
        library=library.library,
        scorer=library.scorer,
        usable=USABLE,
        catalogue=clips,
    )
    for query in ("Sigur Rós", "clips/id-000-0.mp3"):
        end = both.find(query)
        nearest = int((library.library.embeddings @ clips.find(query).embedding).argmax())
        assert end.entry == library.library.entries[nearest]
        assert end.instead_of == query
    with pytest.raises(DataError, match=r"music: no artist 'Mobi'.*'Moby'"):
        both.find("Mobi")
    with pytest.raises(DataError, match="several artists 'björk'"):
        both.find("björk")


# --- a file from elsewhere --------------------------------------------------------------------


def test_a_file_from_elsewhere_is_encoded_and_named_by_its_tags(
    library: LibraryRecordings, scorer: Scorer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    file = tagged(
        tmp_path / "other/b.mp3", music(6, 48000), artist="AIR feat. Other", title="Sexy Boy"
    )
    end = library.find(str(file))
    assert (end.entry.artist, end.entry.name, end.entry.title) == ("air", "AIR", "Sexy Boy")
    assert end.entry.seconds == pytest.approx(6, abs=0.2)
    np.testing.assert_allclose(end.embedding, embed(scorer, [file])[0], atol=1e-5)
    unknown = shutil.copy(write_clip(tmp_path / "c.flac", music(6)), tmp_path / "other/d.flac")
    end = library.find(str(unknown))
    assert (end.entry.name, end.entry.title) == ("Unknown Artist", "d")


def text(path: Path) -> None:
    path.write_text("la la la")


def short(path: Path) -> None:
    write_clip(path, music(1))


def silent(path: Path) -> None:
    write_clip(path, np.zeros(6 * 44100))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (text, "holds no samples"),
        (short, r"is short \(1\.0 s.*at least 5 s"),
        (silent, r"is silent \(6\.0 s, -200 dBFS\).*-70 dBFS"),
    ],
)
def test_a_file_that_cannot_be_heard_is_one_line(
    scorer: Scorer, tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    file = tmp_path / "a.flac"
    make(file)
    with pytest.raises(ClipError, match=said):
        encode_file(file, scorer, USABLE, lambda mbid, name: name)
