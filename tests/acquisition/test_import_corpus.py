"""Listens and clips of any origin become one data folder, whole or not at all."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio import music, tagged
from tests.support.dvc import run_dvc
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
        listens=["user_artists.dat", "artists.dat"],
        clips=3,
        artists=2,
        duplicates=0,
        left_out={"not audio": 1, "system file": 1, "no artist": 1},
        examples={
            "not audio": ["Air/cover.jpg"],
            "system file": ["Air/._Sexy Boy.flac"],
            "no artist": ["nobody's.mp3"],
        },
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
    names = {path.name for path in into.iterdir()}
    assert names == {"listens", "clips", "clips.csv", "croissant.json"}


def test_what_is_written_is_what_the_stages_read(tmp_path: Path, listens: Path) -> None:
    into = tmp_path / "data"
    import_corpus(listens, library(tmp_path / "music"), into)
    assert find_listens(into / "listens").format == "hetrec"
    assert list(read_clip_table(into / "clips.csv")["id"]) == ["air", "air", "beyonce"]


def test_a_table_keeps_its_other_columns(tmp_path: Path, listens: Path) -> None:
    audio(tmp_path / "in" / "a  b.mp3", "x")
    audio(tmp_path / "in" / "deep" / "c.wav", "y")
    table = tmp_path / "in" / "table.csv"
    rows = ['1970,a  b.mp3,"Crash Test, ""D""",SOS', f",deep/c.wav,Air,,{A}"]
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


def test_tags_say_whose_a_clip_is_before_the_folder(tmp_path: Path, listens: Path) -> None:
    (tmp_path / "music/Nirvana").mkdir(parents=True)
    y = np.stack([music(1, 48000)] * 2)
    for name, mbid in (("a", A), ("b", A.replace("a", "b"))):
        path = tmp_path / f"music/Nirvana/{name}.flac"
        tagged(path, y, artist="Nirvana feat. X", title=name.upper(), MUSICBRAINZ_ARTISTID=mbid)
    report = import_corpus(listens, tmp_path / "music", tmp_path / "data")
    assert (report.clips, report.artists) == (2, 2)  # two bands of one name
    rows = [(row["artist"], row["mbid"], row["title"]) for row in table_of(tmp_path / "data")]
    assert rows == [("Nirvana", A, "A"), ("Nirvana", A.replace("a", "b"), "B")]


def test_names_that_are_not_utf_8_are_imported_as_their_text(tmp_path: Path, listens: Path) -> None:
    music_folder = tmp_path / os.fsdecode(b"m\xfasic [1]*")
    audio(music_folder / os.fsdecode(b"Bj\xf6rk/J\xf3ga.mp3"), "x")
    audio(music_folder / "Air/a.mp3", "y")
    into = tmp_path / os.fsdecode(b"d\xe4ta [2]?")
    assert import_corpus(listens, music_folder, into).clips == 2
    (into / "clips.csv").read_bytes().decode()  # UTF-8
    found = [(row["artist"], row["title"], row["source"]) for row in table_of(into)]
    assert found == [("Air", "a", "Air/a.mp3"), ("Björk", "Jóga", "Björk/Jóga.mp3")]
    assert len(read_clip_table(into / "clips.csv")) == 2


def test_a_table_may_name_files_anywhere(
    tmp_path: Path, listens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    audio(tmp_path / "home/a.mp3", "a"), audio(tmp_path / "far/b.mp3", "b")
    audio(tmp_path / "in/deep/c.mp3", "c")
    table = tmp_path / "in/table.csv"
    rows = ["~/a.mp3;NA", f"{tmp_path}/far/b.mp3;null", r"deep\c.mp3;None", "~no one/x;nan"]
    table.write_text("\r\n".join(["File;Artist", *rows]))
    with pytest.raises(DataError, match=r"table\.csv:5: no file .*~no one/x"):
        import_corpus(listens, table, tmp_path / "data")
    audio(tmp_path / "in/~no one/x", "x")
    assert import_corpus(listens, table, tmp_path / "data").clips == 4
    assert [row["artist"] for row in table_of(tmp_path / "data")] == ["NA", "null", "None", "nan"]
    texts = [(tmp_path / "data" / row["file"]).read_text() for row in table_of(tmp_path / "data")]
    assert texts == ["a", "b", "c", "x"]


def test_a_table_finds_names_however_they_are_stored(tmp_path: Path, listens: Path) -> None:
    audio(tmp_path / os.fsdecode(b"in/Bj\xf6rk/J\xf3ga.mp3"), "latin")
    audio(tmp_path / "in/Beyonce\N{COMBINING ACUTE ACCENT}/Halo.mp3", "apart")
    table = tmp_path / "in/table.csv"
    table.write_text("file,artist\nBjörk/Jóga.mp3,Björk\nBeyoncé/Halo.mp3,Beyoncé\n")
    assert import_corpus(listens, table, tmp_path / "data").clips == 2


def test_what_is_left_out_of_a_folder_is_counted(tmp_path: Path, listens: Path) -> None:
    folder = library(tmp_path / "music")
    audio(folder / "Air/again.flac", "boy"), audio(folder / "Air/x.ape", "no MAC")
    (folder / "Air/gone.mp3").symlink_to("nowhere")
    report = import_corpus(listens, folder, tmp_path / "data")
    assert (report.clips, report.duplicates) == (3, 1)
    assert report.left_out == {
        "not audio": 1,
        "system file": 1,
        "no artist": 1,
        "duplicate": 1,
        "cannot be decoded": 1,
        "unreadable": 1,
    }


def test_linked_clips_leave_the_originals_as_they_are(tmp_path: Path, listens: Path) -> None:
    """DVC takes what it adds into its cache and makes it read-only there, never the original."""
    folder = library(tmp_path / "music")
    project = tmp_path / "project"
    project.mkdir()
    run_dvc(project, "init", "--no-scm", "-q")
    originals = sorted(folder.rglob("*.*"))
    before = [(path.read_bytes(), path.stat().st_mode, path.stat().st_ino) for path in originals]
    report = import_corpus(listens, folder, project / "data", link_files=True)
    assert report.linked == 3
    run_dvc(project, "add", "-q", "data")
    for row in table_of(project / "data"):
        (project / "data" / row["file"]).write_text("changed")
    after = [(path.read_bytes(), path.stat().st_mode, path.stat().st_ino) for path in originals]
    assert after == before


def test_files_are_copied_where_dvc_would_take_the_originals(tmp_path: Path, listens: Path) -> None:
    folder = library(tmp_path / "music")
    run_dvc(tmp_path, "init", "--no-scm", "-q")
    run_dvc(tmp_path, "config", "cache.type", "hardlink,copy")
    originals = sorted(folder.rglob("*.*"))
    before = [path.stat().st_mode for path in originals]
    report = import_corpus(listens, folder, tmp_path / "data", link_files=True)
    run_dvc(tmp_path, "add", "-q", "data")
    assert [path.stat().st_mode for path in originals] == before
    assert {path.stat().st_nlink for path in originals if path.is_file()} == {1}
    assert report.clips == 3


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
    second = import_corpus(into / "listens", into / "clips.csv", into, replace=True)
    assert (second.clips, second.artists, second.left_out) == (first.clips, first.artists, {})
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
    selected = found.select([femme, boy], ["", ""], table)
    np.testing.assert_array_equal(selected.vector, [[4, 5], [2, 3]])
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
    with pytest.raises(DataError, match=r"raw: holds no music .*expected Artist/… with audio"):
        import_corpus(listens, listens, into)
    (listens / "artists.dat").unlink()
    with pytest.raises(DataError, match=r"artists\.dat: is missing; put it beside the listens"):
        import_corpus(listens, music, into)
    assert not into.exists()
