"""Import a corpus: any listens and any clips -> the data folder that the pipeline starts from.

```
into/listens/     the files of listens, unchanged; without any, a file that says so
into/clips/       the audio, each file named by its content
into/clips.csv    file, artist, mbid, title, source (where the file was), then further columns
into/clips/embeddings.npz    the clips' embeddings, if a table of them is given
into/croissant.json    the description of all this, see `croissant`
```

Clips come with a table, or in a folder of music. Audio is not decoded and listens are not cleaned
here: the stages do that, and count it.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import pandas as pd

from twinear.acquisition import croissant
from twinear.acquisition.linking import link, may_link
from twinear.acquisition.music_folder import (
    DUPLICATE,
    MAX_EXAMPLES,
    UNREADABLE,
    LeftOut,
    Recording,
    read_music_folder,
)
from twinear.acquisition.previews.provenance import write_rows
from twinear.artists.clip_table import clip_path, identify_clips, read_clip_rows
from twinear.artists.identity import artist_id
from twinear.artists.redirects import read_redirects
from twinear.base.errors import DataError
from twinear.base.files import replacing, require, sha256
from twinear.base.table import Row
from twinear.compute.pool import Progress
from twinear.listens.listens import ListensParams
from twinear.listens.readers.formats import REDIRECTS, ListensFiles
from twinear.listens.readers.recognition import find_listens
from twinear.listens.without_listens import mark_without_listens
from twinear.spectrograms.embedding_table import TABLE, EmbeddingTable

CORPUS_NAMES = {"listens", "clips", "clips.csv", "truth.csv", "README.md", croissant.FILE}
NO_FILES = ListensFiles(place="", files=(), left_out={}, redirects=None, copies={})
COLUMNS = ("file", "artist", "mbid", "title", "source")

ListedClip = tuple[Path, dict[str, str]]  # a clip and its row for `clips.csv`


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """What is to be imported: found and recognised, not yet copied.

    Parameters
    ----------
    left_out
        Files of a music folder that are no clips.
    embeddings
        The table of the clips' embeddings, and the file it is from.
    """

    listens: ListensFiles
    clips: list[ListedClip]
    clips_from: Path
    left_out: LeftOut
    embeddings: tuple[Path, EmbeddingTable] | None

    def clip_table(self) -> pd.DataFrame:
        """Return the clips as `read_clip_table` does, with merged ids replaced."""
        rows = [
            Row(line=line, values={"file": values["source"]} | values)
            for line, (_, values) in enumerate(self.clips, 2)
        ]
        return identify_clips(rows, read_redirects(self.listens.copies.get(PurePath(REDIRECTS))))


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """What was imported.

    Parameters
    ----------
    listens
        Names of the files.
    duplicates
        Clips left out because their artist has the same recording already.
    embeddings
        Clips that have an embedding.
    linked
        Clips that share their bytes with the originals.
    left_out
        Reason -> number of files of the music folder.
    examples
        Reason -> the first of them.
    """

    listens: list[str]
    clips: int
    artists: int
    duplicates: int
    embeddings: int = 0
    linked: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)


def import_corpus(
    listens: Path | Sequence[Path] | None,
    clips: Path,
    into: Path,
    replace: bool = False,
    embeddings: Path | None = None,
    link_files: bool = False,
) -> CorpusReport:
    """Copy listens, if any, and clips into a data folder: `plan_import`, then `write_corpus`."""
    require_free(into, replace)
    return write_corpus(plan_import(listens, clips, embeddings), into, link_files=link_files)


def plan_import(
    listens: Path | Sequence[Path] | None,
    clips: Path,
    embeddings: Path | None = None,
    params: ListensParams | None = None,
) -> ImportPlan:
    """Find what is to be imported and recognise the listens; nothing is written.

    Parameters
    ----------
    listens
        Files, archives or folders of listens; None or an empty sequence: there are none.
    clips
        A table (CSV: file, relative to the table's folder or absolute; artist; optionally mbid and
        title), or a folder of music, see `music_folder`.
    embeddings
        A table of embeddings that names the clips as `clips` does: `file` of the table, or the
        path under the folder. It may lack some of the clips, and hold others.
    params
        Format and columns of the listens, if they are not the usual ones.

    Raises
    ------
    DataError
        Listens not recognised, a clip of a table that is missing, no clips, embeddings that cannot
        be read.
    """
    known = (params.format, params.columns) if params else ()
    files = find_listens(listens, *known) if listens else NO_FILES
    require(clips, "give a table of clips (CSV) or a folder Artist/… of audio")
    left_out = LeftOut()
    if clips.is_dir():
        music = read_music_folder(clips)
        left_out, listed = music.left_out, [_listed(each) for each in music.recordings]
    else:
        listed = _clips_in_table(clips)
    return ImportPlan(
        listens=files,
        clips=listed,
        clips_from=clips,
        left_out=left_out,
        embeddings=(embeddings, EmbeddingTable.read(embeddings)) if embeddings else None,
    )


def write_corpus(
    plan: ImportPlan, into: Path, *, link_files: bool = False, progress: Progress = iter
) -> CorpusReport:
    """Copy what is planned into a data folder, whole or not at all.

    Files that cannot be read are left out and counted.

    Parameters
    ----------
    into
        As `require_free` accepts it; what is there is replaced.
    link_files
        Do not copy audio where the file system can share it, see `linking`.

    Raises
    ------
    DataError
        No clip that can be read, embeddings of none of the clips, no room on the disk.
    """
    left_out = deepcopy(plan.left_out)
    with replacing(into) as temporary:
        if not plan.listens.files:
            mark_without_listens(temporary / "listens")
        for place, path in plan.listens.copies.items():
            _copy(path, temporary / "listens" / place)
        may_share = link_files and may_link(into)
        rows, n_linked = _copy_clips(progress(plan.clips), temporary, left_out, may_share)
        if not rows:
            found = "holds no clip that can be read"
            raise DataError(plan.clips_from, found, remedy="name another")
        write_rows(rows, temporary / "clips.csv", COLUMNS)
        n_embeddings = 0
        if plan.embeddings:
            file, table = plan.embeddings
            renamed = table.renamed({row["source"]: row["file"] for row in rows})
            if not renamed.clips:
                raise DataError(
                    file,
                    f"names none of the clips; it has {table.clips[0]}",
                    expected=f"names as {rows[0]['source']}",
                    remedy="name them as the clips are named",
                )
            renamed.write(temporary / TABLE)
            n_embeddings = len(renamed.clips)
        croissant.write_description(temporary)
    return CorpusReport(
        listens=plan.listens.names,
        clips=len(rows),
        artists=len({artist_id(row["mbid"], row["artist"]) for row in rows}),
        duplicates=left_out.counts.get(DUPLICATE, 0),
        embeddings=n_embeddings,
        linked=n_linked,
        left_out=left_out.counts,
        examples=left_out.examples,
    )


def format_plan(plan: ImportPlan) -> str:
    """Write for people what was found, what it was taken for, and what was left out."""
    lines = ["listens"]
    if not plan.listens.files:
        lines.append("  none: artists will be compared by sound alone, by an untrained scorer")
    for file in plan.listens.files:
        found = file.recognised
        lines.append(f"  {found.name}: {found.title}")
        lines += [f"    assumed: {found.assumed}"] if found.assumed else []
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for name, reason in plan.listens.left_out.items():
        by_reason[reason].append(name)
    counts = {reason: len(names) for reason, names in by_reason.items()}
    lines += _format_left_out(counts, by_reason)
    lines += ["clips", f"  {len(plan.clips):,} clips"]
    return "\n".join([*lines, *_format_left_out(plan.left_out.counts, plan.left_out.examples)])


def format_corpus(report: CorpusReport, into: Path) -> str:
    """Write for people what was imported."""
    lines = [
        f"imported into {into}",
        f"  {len(report.listens):,} files of listens" if report.listens else "  no listens",
        f"  {report.clips:,} clips of {report.artists:,} artists"
        + (f", {report.linked:,} of them linked" if report.linked else "")
        + (f", {report.embeddings:,} with an embedding" if report.embeddings else ""),
    ]
    return "\n".join([*lines, *_format_left_out(report.left_out, report.examples)])


def _format_left_out(counts: Mapping[str, int], examples: Mapping[str, list[str]]) -> list[str]:
    lines = []
    for reason, n in counts.items():
        shown = ", ".join(examples.get(reason, [])[:MAX_EXAMPLES])
        lines.append(f"  left out: {n:,} {reason} ({shown}{', …' * (n > MAX_EXAMPLES)})")
    return lines


def require_free(into: Path, replace: bool) -> None:
    """Raise `DataError` unless a corpus may be written: nothing is there, or one to replace."""
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
