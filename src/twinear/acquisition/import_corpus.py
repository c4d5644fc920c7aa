"""A corpus brought in: any listens and any clips -> the folder that the pipeline starts from.

```
into/listens/     the files of listens, as they came
into/clips/       the audio, each file named by its content
into/clips.csv    file, artist, mbid, title, source (where the file was), then what else was known
into/clips/vectors.npz    the clips' vectors, where there is a table of them
```

Clips come with a table, or in folders named by their artists. Nothing is listened to or cleaned
here: the stages do that, and count it.
"""

import csv
import os
import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinear.artists.clip_table import read_clip_table
from twinear.artists.identity import artist_id
from twinear.base.errors import DataError
from twinear.base.files import replacing, require, sha256
from twinear.listens.readers.formats import SOURCE, find_listens
from twinear.spectrograms.embedding_table import TABLE, Vectors

AUDIO = (".mp3", ".m4a", ".aac", ".mp4", ".ogg", ".oga", ".opus", ".flac", ".wav")
OF_A_CORPUS = {"listens", "clips", "clips.csv", "truth.csv", "README.md"}
COLUMNS = ("file", "artist", "mbid", "title", "source")


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """What was brought in.

    Parameters
    ----------
    listens
        Names of the files of listens.
    duplicates
        Clips left out because their artist has the same recording already.
    vectors
        Clips that have a vector.
    """

    listens: list[str]
    clips: int
    artists: int
    duplicates: int
    vectors: int = 0


def import_corpus(
    listens: Path, clips: Path, into: Path, replace: bool = False, vectors: Path | None = None
) -> CorpusReport:
    """Copy listens and clips into a data folder, whole or not at all.

    Parameters
    ----------
    listens
        A file of listens, or the folder that holds it.
    clips
        A table (CSV: file, under the table's folder; artist; mbid and title if known), or a
        folder `Artist/…` with audio at any depth; the title is then the file's name.
    into
        The folder to write.
    replace
        Replace the corpus that is there.
    vectors
        A table of vectors that names the clips as `clips` does: `file` of the table, or the path
        under the folder. It may hold some of the clips, and others.

    Raises
    ------
    DataError
        Listens not recognised, a clip that is missing or unreadable, no clips, vectors that
        cannot be read or are of none of them, or an `into` that holds something else than a
        corpus to replace.
    """
    _require_free(into, replace)
    files = find_listens(listens)
    require(clips, "give a table of clips (CSV) or a folder Artist/… of audio")
    listed = _in_folders(clips) if clips.is_dir() else _in_table(clips)
    table = Vectors.read(vectors) if vectors else None
    with replacing(into) as temporary:
        for path, name in zip(files.paths, files.names, strict=True):
            _copy(path, temporary / "listens" / name)
        if (source := files.plays.with_name(SOURCE)).is_file():
            _copy(source, temporary / "listens" / SOURCE)
        kept = _copy_clips(listed, temporary)
        _write_table(kept, temporary / "clips.csv")
        n_vectors = 0
        if table is not None and vectors is not None:
            n_vectors = _put_vectors(table, vectors, kept, temporary)
    return CorpusReport(
        listens=files.names,
        clips=len(kept),
        artists=len({artist_id(row["mbid"], row["artist"]) for row in kept}),
        duplicates=len(listed) - len(kept),
        vectors=n_vectors,
    )


def _put_vectors(table: Vectors, path: Path, rows: list[dict[str, str]], folder: Path) -> int:
    """Write the vectors under the clips' new names; the number of clips that have one."""
    found = table.renamed({row["source"]: row["file"] for row in rows})
    if not found.clips:
        raise DataError(
            path,
            f"names none of the clips; it has {table.clips[0]}",
            expected=f"names as {rows[0]['source']}",
            remedy="name them as the clips are named",
        )
    found.write(folder / TABLE)
    return len(found.clips)


def _require_free(into: Path, replace: bool) -> None:
    if not into.exists() or (into.is_dir() and not any(into.iterdir())):
        return
    if not (into / "clips.csv").is_file() or not (into / "listens").is_dir():
        raise DataError(into, "is there and is no corpus", remedy="name another folder")
    if not replace:
        raise DataError(into, "holds a corpus", remedy="replace it with --replace")
    others = sorted(path.name for path in into.iterdir() if path.name not in OF_A_CORPUS)
    if others:
        found = f"also holds {', '.join(others)}, which would be lost"
        raise DataError(into, found, remedy="move that away, or name another folder")


def _in_table(table: Path) -> list[tuple[Path, dict[str, str]]]:
    """Every clip of a table with the row it gets."""
    checked = read_clip_table(table)
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    clips = []
    for row, file, line in zip(rows, checked["file"], checked["line"], strict=True):
        path = table.parent / file
        if not path.is_file():
            raise DataError(f"{table}:{line}", f"no file {path}", remedy="mend the path")
        values = {column: _plain(value) for column, value in row.items() if column}
        clips.append((path, values | {"source": file}))
    return clips


def _in_folders(folder: Path) -> list[tuple[Path, dict[str, str]]]:
    """Every clip under `Artist/…` with the row it gets."""
    clips = []
    for path in sorted(folder.glob("*/**/*")):
        if path.suffix.lower() in AUDIO and not path.name.startswith(".") and path.is_file():
            source = path.relative_to(folder)
            row = {"artist": _plain(source.parts[0]), "title": _plain(path.stem)}
            clips.append((path, row | {"source": source.as_posix()}))
    if not clips:
        expected = f"Artist/… with {', '.join(AUDIO)}"
        raise DataError(folder, "holds no clips", expected=expected, remedy="name another folder")
    return clips


def _plain(text: str | list[str] | None) -> str:
    """One line, composed as keyboards type it; file systems may hold accents apart."""
    return unicodedata.normalize("NFC", " ".join(text.split())) if isinstance(text, str) else ""


def _copy_clips(
    listed: Iterable[tuple[Path, dict[str, str]]], folder: Path
) -> list[dict[str, str]]:
    """Copy each recording of each artist once; give the rows of those kept."""
    seen = set()
    kept = []
    for path, values in listed:
        row = dict.fromkeys(COLUMNS, "") | values
        content = _content(path)
        recording = content, artist_id(row["mbid"], row["artist"])
        if recording in seen:
            continue
        seen.add(recording)
        row["file"] = f"clips/{content[:16]}{path.suffix.lower()}"
        if not (folder / row["file"]).exists():
            _copy(path, folder / row["file"])
        kept.append(row)
    return kept


def _content(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", remedy="mend it") from error


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except OSError as error:  # names the source, also when it is the target's disk that is full
        raise OSError(error.errno, os.strerror(error.errno or 0), str(target)) from error


def _write_table(rows: list[dict[str, str]], path: Path) -> None:
    columns = list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
