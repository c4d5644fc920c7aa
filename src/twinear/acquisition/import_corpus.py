"""Import a corpus: any listens and any clips -> the data folder that the pipeline starts from.

```
into/listens/     the files of listens, unchanged
into/clips/       the audio, each file named by its content
into/clips.csv    file, artist, mbid, title, source (where the file was), then further columns
into/clips/embeddings.npz    the clips' embeddings, if a table of them is given
```

Clips come with a table, or in folders named by their artists. Audio is not decoded and listens are
not cleaned here: the stages do that, and count it.
"""

import csv
import os
import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinear.acquisition.previews.provenance import write_rows
from twinear.artists.clip_table import read_clip_table
from twinear.artists.identity import artist_id
from twinear.base.errors import DataError
from twinear.base.files import replacing, require, sha256
from twinear.listens.readers.recognition import find_listens
from twinear.spectrograms.embedding_table import TABLE, EmbeddingTable

AUDIO = (".mp3", ".m4a", ".aac", ".mp4", ".ogg", ".oga", ".opus", ".flac", ".wav")
CORPUS_NAMES = {"listens", "clips", "clips.csv", "truth.csv", "README.md"}
COLUMNS = ("file", "artist", "mbid", "title", "source")

ListedClip = tuple[Path, dict[str, str]]  # a clip and its row for `clips.csv`


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """What was imported."""

    listens: list[str]  # names of the files
    clips: int
    artists: int
    duplicates: int  # clips left out because their artist has the same recording already
    embeddings: int = 0  # clips that have an embedding


def import_corpus(
    listens: Path, clips: Path, into: Path, replace: bool = False, embeddings: Path | None = None
) -> CorpusReport:
    """Copy listens and clips into a data folder, whole or not at all.

    Parameters
    ----------
    listens
        A file of listens, or the folder that holds it.
    clips
        A table (CSV: file, under the table's folder; artist; optionally mbid and title), or a
        folder `Artist/…` with audio at any depth; the title is then the file's name.
    embeddings
        A table of embeddings that names the clips as `clips` does: `file` of the table, or the
        path under the folder. It may lack some of the clips, and hold others.

    Raises
    ------
    DataError
        Listens not recognised, a clip that is missing or unreadable, no clips, embeddings that
        cannot be read or are of none of the clips, or an `into` that holds something else than a
        corpus to replace.
    """
    _require_free(into, replace)
    files = find_listens(listens)
    require(clips, "give a table of clips (CSV) or a folder Artist/… of audio")
    listed = _clips_in_folders(clips) if clips.is_dir() else _clips_in_table(clips)
    table = EmbeddingTable.read(embeddings) if embeddings else None
    with replacing(into) as temporary:
        for place, path in files.copies.items():
            _copy(path, temporary / "listens" / place)
        rows = _copy_clips(listed, temporary)
        write_rows(rows, temporary / "clips.csv", COLUMNS)
        n_embeddings = 0
        if table is not None and embeddings is not None:
            renamed = table.renamed({row["source"]: row["file"] for row in rows})
            if not renamed.clips:
                raise DataError(
                    embeddings,
                    f"names none of the clips; it has {table.clips[0]}",
                    expected=f"names as {rows[0]['source']}",
                    remedy="name them as the clips are named",
                )
            renamed.write(temporary / TABLE)
            n_embeddings = len(renamed.clips)
    return CorpusReport(
        listens=files.names,
        clips=len(rows),
        artists=len({artist_id(row["mbid"], row["artist"]) for row in rows}),
        duplicates=len(listed) - len(rows),
        embeddings=n_embeddings,
    )


def _require_free(into: Path, replace: bool) -> None:
    if not into.exists() or (into.is_dir() and not any(into.iterdir())):
        return
    if not (into / "clips.csv").is_file() or not (into / "listens").is_dir():
        raise DataError(into, "exists and is not a corpus", remedy="name another folder")
    if not replace:
        raise DataError(into, "holds a corpus", remedy="replace it with --replace")
    others = sorted(path.name for path in into.iterdir() if path.name not in CORPUS_NAMES)
    if others:
        found = f"also holds {', '.join(others)}, which would be lost"
        raise DataError(into, found, remedy="move that away, or name another folder")


def _clips_in_table(table: Path) -> list[ListedClip]:
    checked = read_clip_table(table)
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    clips = []
    for row, file, line in zip(rows, checked["file"], checked["line"], strict=True):
        path = table.parent / file
        if not path.is_file():
            raise DataError(f"{table}:{line}", f"no file {path}", remedy="correct the path")
        values = {column: one_line(value) for column, value in row.items() if column}
        clips.append((path, values | {"source": file}))
    return clips


def _clips_in_folders(folder: Path) -> list[ListedClip]:
    clips = []
    for path in find_audio(folder, "*/**/*"):
        source = path.relative_to(folder)
        row = {"artist": one_line(source.parts[0]), "title": one_line(path.stem)}
        clips.append((path, row | {"source": source.as_posix()}))
    if not clips:
        expected = f"Artist/… with {', '.join(AUDIO)}"
        raise DataError(folder, "holds no clips", expected=expected, remedy="name another folder")
    return clips


def find_audio(folder: Path, pattern: str) -> list[Path]:
    """The files of audio in a folder that match a pattern, sorted, without hidden ones."""
    return [
        path
        for path in sorted(folder.glob(pattern))
        if path.suffix.lower() in AUDIO and not path.name.startswith(".") and path.is_file()
    ]


def one_line(text: str | list[str] | None) -> str:
    r"""A text on one line, in composed Unicode; file systems may store accents separately.

    Examples
    --------
    >>> one_line("Sigur  Ro\N{COMBINING ACUTE ACCENT}s\n(live)")
    'Sigur Rós (live)'
    """
    if not isinstance(text, str):
        return ""
    return unicodedata.normalize("NFC", " ".join(text.replace("\0", " ").split()))


def _copy_clips(listed: Iterable[ListedClip], folder: Path) -> list[dict[str, str]]:
    """Copy each recording of each artist once; give their rows."""
    seen = set()
    rows = []
    for path, values in listed:
        row = dict.fromkeys(COLUMNS, "") | values
        try:
            content = sha256(path)
        except OSError as error:
            found = f"cannot be read ({error.strerror})"
            raise DataError(path, found, remedy="make it readable") from error
        recording = content, artist_id(row["mbid"], row["artist"])
        if recording in seen:
            continue
        seen.add(recording)
        row["file"] = f"clips/{content[:16]}{path.suffix.lower()}"
        if not (folder / row["file"]).exists():
            _copy(path, folder / row["file"])
        rows.append(row)
    return rows


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except OSError as error:  # it names the source, even when the target's disk is full
        raise OSError(error.errno, os.strerror(error.errno or 0), str(target)) from error
