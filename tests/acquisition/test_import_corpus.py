"""Listens and clips of any origin become one data folder, whole or not at all."""

import csv
from pathlib import Path

import numpy as np
import pytest

from twinear.acquisition import import_corpus as corpus
from twinear.acquisition.import_corpus import CorpusReport, import_corpus
from twinear.artists.clip_table import read_clip_table
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.listens.readers.formats import BESIDE, PLAYS
from twinear.listens.readers.recognition import find_listens
from twinear.spectrograms.embedding_table import EmbeddingTable

A = "aaaaaaaa-0000-4000-8000-000000000000"


@pytest.fixture
def listens(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in (PLAYS["hetrec"], BESIDE["hetrec"], "readme.txt"):
        (folder / name).write_text(f"{name}\n")
    return folder


def audio(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or path.as_posix())
    return path


def library(folder: Path) -> Path:
    audio(folder / "Air" / "Moon Safari" / "CD 1" / "La femme d'argent.MP3", "femme")
    audio(folder / "Air" / "Sexy Boy.flac", "boy")
    audio(folder / "Beyonce\N{COMBINING ACUTE ACCENT}" / "Halo.ogg", "halo")
    audio(folder / "Air" / "cover.jpg")
    audio(folder / "Air" / "._Sexy Boy.flac")
    audio(folder / "nobody's.mp3")
    return folder


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_folders_of_artists_become_a_corpus(tmp_path: Path, listens: Path) -> None:
    into = tmp_path / "data"
    report = import_corpus(listens, library(tmp_path / "music"), into)
    assert report == CorpusReport(
        listens=["user_artists.dat", "artists.dat"], clips=3, artists=2, duplicates=0
    )
    rows = table_of(into)
    assert [(row["artist"], row["title"], row["source"]) for row in rows] == [
        ("Air", "La femme d'argent", "Air/Moon Safari/CD 1/La femme d'argent.MP3"),
        ("Air", "Sexy Boy", "Air/Sexy Boy.flac"),
        ("Beyoncé", "Halo", "Beyonce\N{COMBINING ACUTE ACCENT}/Halo.ogg"),
    ]
    assert [Path(row["file"]).suffix for row in rows] == [".mp3", ".flac", ".ogg"]
    for row in rows:
        assert Path(row["file"]).stem == sha256(into / row["file"])[:16]
    assert {path.name for path in into.iterdir()} == {"listens", "clips", "clips.csv"}


def test_what_is_written_is_what_the_stages_read(tmp_path: Path, listens: Path) -> None:
    into = tmp_path / "data"
    import_corpus(listens, library(tmp_path / "music"), into)
    assert find_listens(into / "listens").format == "hetrec"
    assert list(read_clip_table(into / "clips.csv")["id"]) == ["air", "air", "beyonce"]


def test_a_table_keeps_its_other_columns(tmp_path: Path, listens: Path) -> None:
    audio(tmp_path / "in" / "a  b.mp3", "x")
    audio(tmp_path / "in" / "deep" / "c.wav", "y")
    table = tmp_path / "in" / "table.csv"
    rows = ['1970,a  b.mp3,"Crash\nTest, ""D""",SOS', f",deep/c.wav,Air,,{A}"]
    table.write_text("\n".join(["year,file,artist,title,mbid", *rows]), encoding="utf-8")
    report = import_corpus(listens, table, tmp_path / "data")
    assert (report.clips, report.artists) == (2, 2)
    first, second = table_of(tmp_path / "data")
    assert list(first) == ["file", "artist", "mbid", "title", "source", "year"]
    assert (first["artist"], first["title"], first["year"]) == ('Crash Test, "D"', "SOS", "1970")
    assert first["source"] == "a  b.mp3"
    assert (second["mbid"], second["title"], second["source"]) == (A, "", "deep/c.wav")
    assert (tmp_path / "data" / second["file"]).read_text() == "y"


def test_an_artist_has_each_recording_once(tmp_path: Path, listens: Path) -> None:
    music = tmp_path / "music"
    for name in ("Air/one.mp3", "Air/two.mp3", "The Air/three.mp3", "Blur/four.mp3"):
        audio(music / name, "the same")
    report = import_corpus(listens, music, tmp_path / "data")
    assert (report.clips, report.artists, report.duplicates) == (2, 2, 2)
    rows = table_of(tmp_path / "data")
    assert [row["title"] for row in rows] == ["one", "four"]
    assert rows[0]["file"] == rows[1]["file"]


def test_a_corpus_is_replaced_only_if_asked(tmp_path: Path, listens: Path) -> None:
    music, into = library(tmp_path / "music"), tmp_path / "data"
    into.mkdir()
    import_corpus(listens, music, into)
    (music / "Air" / "Sexy Boy.flac").unlink()
    with pytest.raises(DataError, match=r"data: holds a corpus; replace it with --replace"):
        import_corpus(listens, music, into)
    assert len(table_of(into)) == 3
    assert import_corpus(listens, music, into, replace=True).clips == 2
    assert len(list((into / "clips").iterdir())) == 2


def test_a_corpus_can_be_made_of_itself(tmp_path: Path, listens: Path) -> None:
    into = tmp_path / "data"
    first = import_corpus(listens, library(tmp_path / "music"), into)
    files = [row["file"] for row in table_of(into)]
    assert import_corpus(into / "listens", into / "clips.csv", into, replace=True) == first
    assert [row["file"] for row in table_of(into)] == files


def test_what_is_no_corpus_is_never_replaced(tmp_path: Path, listens: Path) -> None:
    music = library(tmp_path / "music")
    for into in (music, music / "Air" / "Sexy Boy.flac"):
        with pytest.raises(DataError, match="not a corpus; name another folder"):
            import_corpus(listens, music, into, replace=True)
    assert (music / "Air" / "Sexy Boy.flac").read_text() == "boy"


def _table(path: Path, names: list[str]) -> Path:
    vector = np.arange(len(names) * 2, dtype=np.float32).reshape(-1, 2)
    EmbeddingTable(clips=names, vector=vector, extractor="e", licence="MIT").write(path)
    return path


def test_vectors_follow_their_clips(tmp_path: Path, listens: Path) -> None:
    into = tmp_path / "data"
    names = ["Other/x.mp3", "Air/Sexy Boy.flac", "Air/Moon Safari/CD 1/La femme d'argent.MP3"]
    table = _table(tmp_path / "table.npz", names)
    report = import_corpus(listens, library(tmp_path / "music"), into, embeddings=table)
    assert (report.clips, report.embeddings) == (3, 2)
    found = EmbeddingTable.read(into / "clips/embeddings.npz")
    femme, boy, halo = (row["file"] for row in table_of(into))
    np.testing.assert_array_equal(found.select([femme, boy], ["", ""], table), [[4, 5], [2, 3]])
    assert (found.extractor, found.licence) == ("e", "MIT")
    with pytest.raises(DataError, match=f"lacks 1 of 3 clips, the first {halo}"):
        found.select([femme, boy, halo], [""] * 3, table)


def test_a_corpus_made_of_itself_keeps_its_vectors(tmp_path: Path, listens: Path) -> None:
    into = tmp_path / "data"
    table = _table(tmp_path / "table.npz", ["Air/Sexy Boy.flac"])
    import_corpus(listens, library(tmp_path / "music"), into, embeddings=table)
    before = (into / "clips/embeddings.npz").read_bytes()
    own = into / "clips/embeddings.npz"
    import_corpus(into / "listens", into / "clips.csv", into, replace=True, embeddings=own)
    assert own.read_bytes() == before


def test_vectors_of_none_of_the_clips_are_refused(tmp_path: Path, listens: Path) -> None:
    music, into = library(tmp_path / "music"), tmp_path / "data"
    table = _table(tmp_path / "table.csv", ["Sexy Boy.flac"])
    with pytest.raises(
        DataError,
        match=r"table\.csv: .* Sexy Boy\.flac, expected names as Air/",
    ):
        import_corpus(listens, music, into, embeddings=table)
    with pytest.raises(DataError, match=r"nothing\.npz: is missing; make it with 'twinear embed'"):
        import_corpus(listens, music, into, embeddings=tmp_path / "nothing.npz")
    assert not into.exists()


def test_an_interrupted_import_leaves_what_was_there(
    tmp_path: Path, listens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music, into = library(tmp_path / "music"), tmp_path / "data"
    import_corpus(listens, music, into)
    before = {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "write_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_corpus(listens, music, into, replace=True)
    assert {path: path.read_bytes() for path in into.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "music", "raw"]


def test_a_full_disk_is_one_clear_error(
    tmp_path: Path, listens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, _: Path) -> None:
        raise OSError(28, "No space left on device", str(source))

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(DataError, match=r"data: could not be written \(No space left on device\)"):
        import_corpus(listens, library(tmp_path / "music"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_table_that_names_a_missing_clip_is_one_clear_error(
    tmp_path: Path, listens: Path
) -> None:
    audio(tmp_path / "a.mp3")
    table = tmp_path / "table.csv"
    table.write_text("file,artist\na.mp3,Air\nb.mp3,Air\n")
    with pytest.raises(DataError, match=r"table\.csv:3: no file .*b\.mp3; correct"):
        import_corpus(listens, table, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_what_is_missing_is_named(tmp_path: Path, listens: Path) -> None:
    music, into = library(tmp_path / "music"), tmp_path / "data"
    with pytest.raises(DataError, match="nowhere: is missing; bring listens in"):
        import_corpus(tmp_path / "nowhere", music, into)
    with pytest.raises(DataError, match="nowhere: is missing; give a table of clips"):
        import_corpus(listens, tmp_path / "nowhere", into)
    with pytest.raises(DataError, match=r"raw: holds no clips, expected Artist/… with \.mp3"):
        import_corpus(listens, listens, into)
    (listens / "artists.dat").unlink()
    with pytest.raises(DataError, match=r"artists\.dat: is missing; put it beside the listens"):
        import_corpus(listens, music, into)
    assert not into.exists()
