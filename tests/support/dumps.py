"""Files of listens in their original formats, dirt included, with the counts a reader must get."""

import io
import json
import lzma
import random
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from tests.conftest import PARAMS
from twinear.base.params import parse_params, read_params
from twinear.listens.listens import Listens, ListensParams, ListensReport
from twinear.listens.readers.formats import BESIDE, PLAYS

A, B, C = (f"{letter * 8}-0000-4000-8000-000000000000" for letter in "abc")
LASTFM = PLAYS["lastfm_360k"]

KINDS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}


def pack(content: bytes, suffix: str) -> bytes:
    """Compress bytes as the suffix says; "" leaves them as they are."""
    if not suffix:
        return content
    if suffix == ".xz":
        return lzma.compress(content)
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, KINDS[suffix]) as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def listens_params(**changes: object) -> ListensParams:
    """The project's params without the rules that drop good rows, then changed."""
    section = read_params("listens", ListensParams, PARAMS).model_dump(mode="json")
    tolerant = {"min_listeners": 1, "require_mbid": False, "require_profile": False}
    return parse_params("listens", ListensParams, section | tolerant | changes, PARAMS)


def write_lastfm(folder: Path, text: str | bytes, profiles: str | None = None) -> Path:
    """Write Last.fm-360K; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LASTFM).write_bytes(text.encode() if isinstance(text, str) else text)
    if profiles is not None:
        (folder / BESIDE["lastfm_360k"]).write_text(profiles)
    return folder


def write_hetrec(folder: Path, plays: str, artists: str | bytes) -> Path:
    """Write HetRec 2011; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / PLAYS["hetrec"]).write_text(plays, newline="")
    content = artists.encode() if isinstance(artists, str) else artists
    (folder / BESIDE["hetrec"]).write_bytes(content)
    return folder


def write_table(path: Path, table: pl.DataFrame) -> Path:
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator={".csv": ",", ".tsv": "\t"}[path.suffix])
    return path


def dense(listens: Listens) -> dict[str, list[int]]:
    """Artist -> plays by listener, listeners in the order of the file."""
    columns = listens.plays.toarray().T.tolist()
    return dict(zip(listens.artists["artist"], columns, strict=True))


def dropped(report: ListensReport) -> dict[str, int]:
    """The rules that dropped a row -> the number of rows."""
    return {rule: n for rule, n in report.dropped.items() if n}


def mbid(n: int) -> str:
    return f"{n:08x}-0000-4000-8000-{n:012x}"


@dataclass
class Dirty:
    """A Last.fm-360K file with every quirk of the real one, and what a reader must count."""

    lines: list[bytes] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    plays: Counter[tuple[str, str]] = field(default_factory=Counter)  # (listener, artist)
    n_good: int = 0

    @property
    def content(self) -> bytes:
        return b"\n".join(self.lines) + b"\n"


def dirty_360k(n: int, seed: int) -> Dirty:
    """Rows of 20 listeners with profiles u0 to u19, in random order."""
    chance = random.Random(seed)
    dirty = Dirty()
    for _ in range(n):
        who, artist, plays = (
            f"u{chance.randrange(20)}",
            chance.randrange(40),
            chance.randrange(1, 9),
        )
        name = chance.choice(['"Air', 'A\r"ir"', "Air", "Aïr", "AIR", "'; DROP", "\\N", "NA"])
        kind = chance.choice([*FAULTS, *["good"] * 12])
        if kind == "good":
            dirty.n_good += 1
            dirty.plays[who, mbid(artist)] += plays
        else:
            dirty.dropped[FAULTS[kind]] += 1
        dirty.lines.append(_row(kind, who, mbid(artist), name, str(plays)).encode())
    return dirty


FAULTS = {
    "short": "malformed",
    "long": "malformed",
    "blank": "malformed",
    "nobody": "without_listener",
    "words": "bad_plays",
    "half": "bad_plays",
    "none": "bad_plays",
    "negative": "bad_plays",
    "no mbid": "without_mbid",
    "unknown": "unwanted_name",
    "bogus": "without_profile",
}


def _row(kind: str, who: str, artist: str, name: str, plays: str) -> str:
    changed: Mapping[str, tuple[str, ...]] = {
        "short": (who, artist, name),
        "long": (who, artist, name, "", plays),
        "blank": ("",),
        "nobody": ("", artist, name, plays),
        "words": (who, artist, name, "many"),
        "half": (who, artist, name, "1.5"),
        "none": (who, artist, name, "0"),
        "negative": (who, artist, name, "-3"),
        "no mbid": (who, "", name, plays),
        "unknown": (who, artist, "[unknown]", plays),
        "bogus": ("sep 20, 2008", artist, name, plays),
    }
    return "\t".join(changed.get(kind, (who, artist, name, plays)))


def listen(
    who: int | str | None,
    at: int | str,
    name: str = "Air",
    mapped: Iterable[str] | None = None,
    sent: Iterable[object] | None = None,
    **more: Any,
) -> str:
    """A line of a ListenBrainz dump."""
    metadata: dict[str, Any] = {"artist_name": name, "track_name": "x", "additional_info": {}}
    if sent is not None:
        metadata["additional_info"] = {"artist_mbids": list(sent), "tags": [], "isrc": None}
    if mapped is not None:
        metadata["mbid_mapping"] = {"artist_mbids": list(mapped), "recording_mbid": mbid(9)}
    user = {"user_id": who} if isinstance(who, int) else {"user_name": who}
    return json.dumps({**user, "listened_at": at, "track_metadata": metadata, **more})


def write_dump(path: Path, months: Mapping[str, Iterable[str]], suffix: str = "") -> Path:
    """An archive of `listens/YYYY/M.listens` with these lines, beside what else is in a dump."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in {
            "COPYING": b"CC0",
            **{f"listens/{month}.listens": _lines(each) for month, each in months.items()},
        }.items():
            member = tarfile.TarInfo(f"listenbrainz-listens-dump-1-20200101/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(pack(buffer.getvalue(), suffix))
    return path


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
