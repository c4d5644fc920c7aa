"""The data folder described in Croissant 1.0 of MLCommons: `croissant.json`.

Programs that know the format read the table of clips from it, find the audio, and see the terms. It
lies in the data folder, so that DVC pins it with the data, and a copy of the folder is described
too. Everything that writes a data folder writes it. It holds no dates: equal folders have equal
bytes. Files of listens and clips are described as sets: there may be thousands, and DVC has their
hashes.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

from twinear.artists.clip_table import read_clip_rows
from twinear.artists.identity import artist_id
from twinear.base.errors import DataError
from twinear.base.files import is_system_file, sha256, write_json
from twinear.listens.readers.formats import SOURCE

FILE = "croissant.json"
CLIPS = "clips.csv"
MIT = "https://spdx.org/licenses/MIT.html"
DESCRIPTION = "Clips of artists, and who listened to whom, for twinear."
CONTEXT = {  # the standard one, whole: without it readers warn
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
# columns of clips.csv that are described; others are kept there
COLUMNS = {
    "file": "The audio file, relative to this folder.",
    "artist": "The artist's name.",
    "mbid": "The artist's MusicBrainz id, where one is known.",
    "title": "The recording's title.",
    "source": "Where the clip comes from.",
    "terms": "What may be done with the clip.",
    "url": "Where it was fetched.",
    "sha256": "The SHA-256 of the audio file.",
}
# not those of the standard library, which are other ones in each version of Python
MIME_TYPES = {
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".parquet": "application/vnd.apache.parquet",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".zip": "application/zip",
}
OTHER_TYPE = "application/octet-stream"


def write_description(
    folder: Path,
    *,
    name: str = "twinear-corpus",
    description: str = DESCRIPTION,
    licences: Sequence[str] = (),
) -> None:
    """Describe a data folder in its `croissant.json`.

    Parameters
    ----------
    licences
        Of the data, beside those that the folder itself names: the description that was there,
        `source.json` of fetched listens, and the column `terms` of the clips.

    Raises
    ------
    DataError
        `clips.csv` cannot be read, or the description that was there.
    """
    table = folder / CLIPS
    rows = [row.values for row in read_clip_rows(table).rows] if table.is_file() else []
    stated = {*licences, *read_licences(folder), *(row.get("terms", "") for row in rows)}
    source = folder / "listens" / SOURCE
    if source.is_file():
        stated.add(str(_read_json(source).get("licence", "")))
    distribution, record_sets = [], []
    if rows:
        distribution += [_describe_table(table), _file_set("clips", (row["file"] for row in rows))]
        record_sets.append(_describe_rows(rows[0]))
        n_artists = len({artist_id(row.get("mbid", ""), row["artist"]) for row in rows})
        description += f" {len(rows):,} clips of {n_artists:,} artists."
    listens = [path.relative_to(folder) for path in (folder / "listens").rglob("*")]
    if files := [
        path for path in listens if (folder / path).is_file() and not is_system_file(path)
    ]:
        distribution.append(_file_set("listens", map(PurePath.as_posix, files)))
    content = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": sorted(filter(None, stated)),
        "distribution": distribution,
        "recordSet": record_sets,
    }
    write_json(folder / FILE, {key: value for key, value in content.items() if value})


def read_licences(folder: Path) -> tuple[str, ...]:
    """Read the licences that a data folder's description states; none where it has none.

    Raises
    ------
    DataError
        The description cannot be read.
    """
    path = folder / FILE
    stated = _read_json(path).get("license", []) if path.is_file() else []
    return (stated,) if isinstance(stated, str) else tuple(map(str, stated))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        remedy = "remove it, or restore it with 'dvc checkout'"
        raise DataError(path, f"is not JSON ({error})", remedy=remedy) from error
    if not isinstance(content, dict):
        raise DataError(path, f"holds a {type(content).__name__}", expected="an object")
    return content


def _describe_table(table: Path) -> dict[str, str]:
    return {
        "@type": "cr:FileObject",
        "@id": CLIPS,
        "name": CLIPS,
        "description": "A row for each clip: whose it is.",
        "contentUrl": CLIPS,
        "contentSize": f"{table.stat().st_size} B",
        "encodingFormat": "text/csv",
        "sha256": sha256(table),
    }


def _file_set(name: str, files: Iterable[str]) -> dict[str, Any]:
    """Describe the files below a folder, by their suffixes."""
    suffixes = sorted({PurePath(file).suffix.lower() for file in files})
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        "description": {"clips": "The audio.", "listens": "Who listened to whom."}[name],
        "encodingFormat": sorted({MIME_TYPES.get(suffix, OTHER_TYPE) for suffix in suffixes}),
        "includes": [f"{name}/*{suffix}" for suffix in suffixes],
    }


def _describe_rows(row: dict[str, str]) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"clips/{column}",
            "name": column,
            "description": meaning,
            "dataType": "sc:Text",
            "source": {"fileObject": {"@id": CLIPS}, "extract": {"column": column}},
        }
        for column, meaning in COLUMNS.items()
        if column in row
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "clips",
        "name": "clips",
        "description": "The clips.",
        "field": fields,
    }
