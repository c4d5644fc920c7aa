"""Import a corpus: any listens and any clips -> the data folder that the pipeline starts from.

```
into/listens/     the files of listens, unchanged
into/clips/       the audio, each file named by its content
into/clips.csv    file, artist, mbid, title, source (where the file was), then further columns
into/clips/embeddings.npz    the clips' embeddings, if a table of them is given
```

Clips come with a table, or in a folder of music. Audio is not decoded and listens are not cleaned
here: the stages do that, and count it.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from twinear.acquisition.linking import link, may_link
from twinear.acquisition.music_folder import (
    DUPLICATE,
    UNREADABLE,
    LeftOut,
    Recording,
    read_music_folder,
)
from twinear.acquisition.previews.provenance import write_rows
from twinear.artists.clip_table import clip_path, read_clip_rows
from twinear.artists.identity import artist_id
from twinear.base.errors import DataError
from twinear.base.files import replacing, require, sha256
from twinear.listens.readers.recognition import find_listens
from twinear.spectrograms.embedding_table import TABLE, EmbeddingTable

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
    linked: int = 0  # clips that share their bytes with the originals
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> files of the music folder
    examples: dict[str, list[str]] = field(default_factory=dict)  # reason -> the first of them


def import_corpus(
    listens: Path,
    clips: Path,
    into: Path,
    replace: bool = False,
    embeddings: Path | None = None,
    link_files: bool = False,
) -> CorpusReport:
    """Copy listens and clips into a data folder, whole or not at all.

    Files that cannot be read, and those of a folder that are no audio, are left out and counted.

    Parameters
    ----------
    listens
        A file of listens, or the folder that holds it.
    clips
        A table (CSV: file, under the table's folder or an absolute path; artist; optionally mbid
        and title), or a folder of music, see `music_folder`.
    embeddings
        A table of embeddings that names the clips as `clips` does: `file` of the table, or the
        path under the folder. It may lack some of the clips, and hold others.
    link_files
        Do not copy audio where the file system can share it, see `linking`.

    Raises
    ------
    DataError
        Listens not recognised, a clip of a table that is missing, no clips, embeddings that
        cannot be read or are of none of the clips, or an `into` that holds something else than a
        corpus to replace.
    """
    _require_free(into, replace)
    files = find_listens(listens)
    require(clips, "give a table of clips (CSV) or a folder Artist/… of audio")
    left_out = LeftOut()
    if clips.is_dir():
        music = read_music_folder(clips)
        left_out, listed = music.left_out, [_listed(each) for each in music.recordings]
    else:
        listed = _clips_in_table(clips)
    table = EmbeddingTable.read(embeddings) if embeddings else None
    with replacing(into) as temporary:
        for place, path in files.copies.items():
            _copy(path, temporary / "listens" / place)
        rows, n_linked = _copy_clips(listed, temporary, left_out, link_files and may_link(into))
        if not rows:
            raise DataError(clips, "holds no clip that can be read", remedy="name another")
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
        duplicates=left_out.counts.get(DUPLICATE, 0),
        embeddings=n_embeddings,
        linked=n_linked,
        left_out=left_out.counts,
        examples=left_out.examples,
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
    clips = []
    for row in read_clip_rows(table, outside=True).rows:
        file = row.values["file"]
        path = clip_path(table, file)
        if not path.is_file():
            raise DataError(f"{table}:{row.line}", f"no file {path}", remedy="correct the path")
        clips.append((path, row.values | {"source": file}))
    return clips


def _listed(recording: Recording) -> ListedClip:
    known = {"artist": recording.artist, "mbid": recording.mbid, "title": recording.title}
    return recording.file, known | {"source": recording.name}


def _copy_clips(
    listed: Iterable[ListedClip], folder: Path, left_out: LeftOut, link_files: bool
) -> tuple[list[dict[str, str]], int]:
    """Copy each recording of each artist once; give their rows, and how many files are linked."""
    seen = set()
    rows, n_linked = [], 0
    for path, values in listed:
        row = dict.fromkeys(COLUMNS, "") | values
        try:
            content = sha256(path)
        except OSError:
            left_out.add(UNREADABLE, row["source"])
            continue
        recording = content, artist_id(row["mbid"], row["artist"])
        if recording in seen:
            left_out.add(DUPLICATE, row["source"])
            continue
        seen.add(recording)
        row["file"] = f"clips/{content[:16]}{path.suffix.lower()}"
        target = folder / row["file"]
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            if link_files and link(path, target):
                n_linked += 1
            else:
                _copy(path, target)
        rows.append(row)
    return rows, n_linked


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except OSError as error:  # it names the source, even when the target's disk is full
        raise OSError(error.errno, os.strerror(error.errno or 0), str(target)) from error
