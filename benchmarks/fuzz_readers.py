"""Fuzz every reader of foreign files for some minutes: rows, or an error that says what to do.

Valid files (listens in every format, exports, archives and compressed files, clip tables, lists of
artists, tables of embeddings and scores, redirects, music with tags) are mutated: bytes flipped,
spans cut out, doubled or replaced by those of another file, ends cut off, and tokens put in that
mean something to a reader. What is not read must be refused with a `TwinearError`. Anything else is
a finding, and its files are kept: another exception, a crash, a hang, more memory than the limit.

    python -m benchmarks.fuzz_readers [--minutes 3] [--seed 1] [--keep FOLDER] [--only NAME]
"""

import argparse
import io
import json
import lzma
import re
import shutil
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pandas as pd
import polars as pl
from tests.conftest import PARAMS
from tests.support.audio import music, write_clip
from tests.support.dumps import KINDS, A, B, dirty_360k, listen, pack
from tests.support.exports import EXAMPLES, read_example, text_file

from benchmarks.fuzz import Worker
from twinear.acquisition.music_folder import read_music_folder
from twinear.acquisition.previews.requested_artists import read_requested_artists
from twinear.artists.clip_table import read_clip_table
from twinear.artists.redirects import read_redirects
from twinear.base.errors import TwinearError
from twinear.base.params import parse_params, read_params
from twinear.evaluation.evaluation import read_artists_to_leave_out
from twinear.evaluation.external_embeddings import read_embedding_table
from twinear.evaluation.external_scores import read_matrix
from twinear.listens.listens import ListensParams, read_listens
from twinear.listens.readers.registry import FORMATS

LIMIT_BYTES = 4 * 2**30  # of address space; the threads of polars have much that they do not use
CASES_OF_A_PROCESS = 2000  # then its memory is given back

TOKENS = [
    *(
        b'"',
        b'""',
        b'","',
        b",",
        b";",
        b"\t",
        b"|",
        b"\n",
        b"\r",
        b"\r\n",
        b"\\",
        b"\0",
        b"#",
        b" ",
    ),
    *(b"[", b"]", b"{", b"}", b":", b"[[" * 3000, b'{"a":' * 3000, b"null", b"true", b"NaN", b"-"),
    *(b"1e999", b"-1", b"0", b"99999999999999999999999", b"1e308", b"Infinity", b"0.5", b"1_0"),
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xff\xfe\0\0",
        b"\xff",
        b"\xe9",
        b"\xed\xa0\x80",
    ),
    *(
        rb"\ud800",
        rb"\u0000",
        "é␟💥\u2028\u202e".encode(),
        b"x" * 70_000,
        b"\x1a",
        b"\x85",
        b"\x0c",
    ),
    *(b"Z", b"+99:99", b"9999-12-31", b"0000-00-00", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"BZh9"),
]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A valid file and its reader.

    Parameters
    ----------
    read
        Gets the folder and the name of the file in it.
    beside
        Files that lie beside it, as they are.
    packed
        It may be compressed or in an archive.
    """

    file: str
    content: bytes
    read: Callable[[Path, str], object]
    beside: Mapping[str, bytes] = field(default_factory=dict)
    packed: bool = False


def _read_listens(folder: Path, name: str) -> object:
    return read_listens(folder, _listens_params())


@cache
def _listens_params() -> ListensParams:
    section = read_params("listens", ListensParams, PARAMS).model_dump(mode="json")
    tolerant = {"min_listeners": 1, "require_mbid": False, "require_profile": False}
    return parse_params("listens", ListensParams, section | tolerant, PARAMS)


def _read_format(folder: Path, name: str) -> object:
    """Read a file as the format that its name begins with, whatever it holds."""
    form = next(form for form in FORMATS if form.name == name.partition(".")[0])
    text = (folder / name).read_bytes().decode(errors="replace").encode()
    file = text_file(text, piece_bytes=200)
    for other in FORMATS:
        other.recognise(file)
    return read_example(form, file)


def _read_artists_to_leave_out(folder: Path, name: str) -> object:
    artists = pd.DataFrame({"artist": [A, B], "name": ["Air", "Blur"]})
    data: Any = SimpleNamespace(spectrograms=SimpleNamespace(clips=artists))
    return read_artists_to_leave_out(folder / name, data)


def _path_of(read: Callable[[Path], object]) -> Callable[[Path, str], object]:
    return lambda folder, name: read(folder / name)


def _folder_of(read: Callable[[Path], object]) -> Callable[[Path, str], object]:
    return lambda folder, name: read(folder)


@cache
def targets() -> dict[str, Target]:
    """Every kind of file, by name."""
    found: dict[str, Target] = {}
    for title, example in EXAMPLES.items():
        suffix = ".json" if example.content[:1] in ("[", "{") else ".csv"
        content = example.content.encode()
        name = f"{example.format}{suffix}"
        found[f"{title}, as a format"] = Target(file=name, content=content, read=_read_format)
        found[title] = Target(
            file=f"someone{suffix}", content=content, read=_read_listens, packed=True
        )
    for name, target in _listens_targets().items():
        found[name] = target
    rows = f"clip,x0,x1\na.mp3,1,{A}\n".replace(A, "0.5").encode() + b"b.mp3,-1e-3,2\n"
    embeddings, scores = io.BytesIO(), io.BytesIO()
    np.savez(embeddings, clip=np.array(["a", "b"]), vector=np.eye(2, 3))
    np.savez(scores, artists=np.array(["Air", "Blur"]), scores=np.eye(2))
    mbids = f"old,new\n{A},{B}\n".encode()
    artists = f'artist,mbid\n"Earth, Wind & Fire",{A}\nAir,\n'.encode()
    clips = f'file,artist,mbid,title\n"a,b.mp3",Air,{A},"La ""femme"""\nb.mp3,Blur,,\n'.encode()
    for name, file, content, read in (
        ("clip table", "clips.csv", clips, _path_of(read_clip_table)),
        ("redirects", "redirects.csv", mbids, _path_of(read_redirects)),
        ("requested artists", "wanted.csv", artists, _path_of(read_requested_artists)),
        ("requested names", "wanted.txt", f"Air\n{A}\n".encode(), _path_of(read_requested_artists)),
        ("embeddings", "e.csv", rows, _path_of(read_embedding_table)),
        ("embeddings, npz", "e.npz", embeddings.getvalue(), _path_of(read_embedding_table)),
        ("scores", "s.csv", b"artist,Air,Blur\nAir,1,0.5\nBlur,.5,1\n", _path_of(read_matrix)),
        ("scores, npz", "s.npz", scores.getvalue(), _path_of(read_matrix)),
        ("artists to leave out", "out.csv", artists, _read_artists_to_leave_out),
    ):
        found[name] = Target(file=file, content=content, read=read)
    for suffix in (".mp3", ".flac", ".m4a", ".ogg", ".opus", ".wav"):
        found[f"tags, {suffix}"] = Target(
            file=f"Air/Moon Safari/a{suffix}",
            content=_tagged(suffix),
            read=_folder_of(read_music_folder),
        )
    return found


def _listens_targets() -> dict[str, Target]:
    events = f"user_1\t2009-05-04T23:08:57Z\t{A}\tAir\t{B}\tA song\n" * 3
    dump = "".join(listen(n, 1_577_836_800 + n, "Air & Can", [A, B]) + "\n" for n in range(3))
    plays = f'listener,artist,mbid,plays\nu1,"Earth, Wind & Fire",{A},5\nu2,Air,,3\n'
    table = pl.read_csv(plays.encode())
    parquet = io.BytesIO()
    table.write_parquet(parquet)
    spark = io.BytesIO()
    listened = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 3), eager=True)
    pl.DataFrame(
        {"listened_at": listened, "user_id": [1, 1, 2], "artist_name": ["Air", "Can", "Air & Can"]}
    ).with_columns(artist_credit_mbids=pl.Series([[A], None, [A, B]])).write_parquet(spark)
    hetrec = {"artists.dat": b"id\tname\turl\tpictureURL\n1\tAir\tu\tp\n2\tBj\xf6rk\tu\tp\n"}
    redirects = {"redirects.csv": f"old,new\n{A},{B}\n".encode()}
    files: dict[str, tuple[str, bytes, Mapping[str, bytes]]] = {
        "Last.fm-360K": (
            "usersha1-artmbid-artname-plays.tsv",
            dirty_360k(20, 1).content,
            {"usersha1-profile.tsv": b"u0\tf\t\tFrance\tJan 1, 2008\n", **redirects},
        ),
        "Last.fm-1K": ("userid-timestamp-artid-artname-traid-traname.tsv", events.encode(), {}),
        "HetRec": ("user_artists.dat", b"userID\tartistID\tweight\n2\t1\t5\n2\t2\t7\n", hetrec),
        "ListenBrainz, a month": ("listens/2020/1.listens", dump.encode(), {}),
        "ListenBrainz, a dump": ("dump.tar", _tar("listens/2020/1.listens", dump.encode()), {}),
        "ListenBrainz, for Spark": ("spark.tar", _tar("spark/0.parquet", spark.getvalue()), {}),
        "table": ("plays.csv", plays.encode(), redirects),
        "table, ;": ("plays.csv", plays.replace(",", ";").encode(), {}),
        "table, tabs": ("plays.tsv", plays.replace(",", "\t").encode(), {}),
        "table, UTF-16": ("plays.csv", plays.encode("utf-16"), {}),
        "table, JSON lines": ("plays.jsonl", table.write_ndjson().encode(), {}),
        "table, JSON": ("plays.json", json.dumps(table.to_dicts()).encode(), {}),
        "table, Parquet": ("plays.parquet", parquet.getvalue(), {}),
        "table of listens": (
            "listens.csv",
            b"listener,timestamp,artist,track\nu1,1700000000,Muse,Hysteria\nu1,1700000300,Air,X\n",
            {},
        ),
    }
    return {
        name: Target(file=file, content=content, read=_read_listens, beside=beside, packed=True)
        for name, (file, content, beside) in files.items()
    }


def _tar(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _tagged(suffix: str) -> bytes:
    """A short recording with tags."""
    tags = {"artist": "Air feat. Blur", "title": "A song", "album": "Moon Safari"}
    with tempfile.TemporaryDirectory() as folder:
        plain = write_clip(
            Path(folder) / f"plain{suffix}", np.stack([music(0.3, 48000)] * 2), 48000
        )
        path = Path(folder) / f"tagged{suffix}"
        form = "mp4" if suffix == ".m4a" else None
        with av.open(str(plain)) as source, av.open(str(path), "w", format=form) as copy:
            copy.metadata.update(tags | {"MusicBrainz Artist Id": A})
            stream = copy.add_stream_from_template(source.streams.audio[0])
            stream.metadata.update(tags)
            for packet in source.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = stream
                    copy.mux(packet)
        return path.read_bytes()


def mutate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to six mutations."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 7)):
        at = int(rng.integers(len(changed) + 1))
        span = int(2 ** rng.uniform(0, 7))
        match rng.integers(8):
            case 0 if at < len(changed):
                changed[at] ^= 1 << int(rng.integers(8))
            case 1:
                del changed[at : at + span]
            case 2:
                changed[at:at] = changed[at : at + span] * int(rng.integers(1, 4))
            case 3:
                start = int(rng.integers(len(other) + 1))
                changed[at : at + span] = other[start : start + span]
            case 4 | 5:
                changed[at:at] = TOKENS[int(rng.integers(len(TOKENS)))]
            case 6:
                token = TOKENS[int(rng.integers(len(TOKENS)))]
                changed[at : at + len(token)] = token[:100]
            case _ if rng.random() < 0.2:
                del changed[at:]
    return bytes(changed)


def pack_case(file: str, content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """The name and the bytes of a file that was compressed, or put into an archive."""
    match rng.integers(6):
        case 0:
            suffix = str(rng.choice([*KINDS]))
            return f"{file}{suffix}", pack(content, suffix)
        case 1:
            return f"{file}.xz", lzma.compress(content)
        case 2 | 3:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(file, content)
            return "export.zip", packed.getvalue()
        case _:
            return "export.tar.gz", pack(_tar(file, content), ".gz")


def attempt(case: tuple[str, str, Path]) -> str:
    """The outcome for a case (target, name of the file, folder)."""
    target, name, folder = case
    try:
        targets()[target].read(folder, name)
    except TwinearError as error:
        return f"refused: {_plain(str(error).replace(str(folder), ''))}"
    except BaseException as error:  # a panic of a library in Rust is no `Exception`
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "twinear" in frame.filename]
        place = (ours or frames)[-1]
        line = f"{Path(place.filename).name}:{place.lineno}"
        return f"FINDING: {type(error).__name__} at {line}: {_plain(str(error))}"
    return "read"


def _plain(message: str) -> str:
    """Without what differs between equal errors: names, numbers, values."""
    found = message.partition("\n")[0].split(": ", 1)[-1]
    found = re.split(r" but |[,;(]", found)[0]
    return re.sub(r"'[^']*'|\"[^\"]*\"|\S*\d\S*", "…", found)[:50]


def fuzz(
    names: list[str], scratch: Path, keep: Path, minutes: float, seed: int
) -> Counter[tuple[str, str]]:
    """Count the outcomes by target; keep the files of the first of each kind of finding."""
    rng, outcomes = np.random.default_rng(seed), Counter[tuple[str, str]]()
    worker, kept = Worker(attempt, LIMIT_BYTES), set[str]()
    folder = scratch / "case"

    def try_case(name: str, file: str, content: bytes) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in {**targets()[name].beside, file: content}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return worker.attempt((name, file, folder))

    for name in names:
        outcome = try_case(name, targets()[name].file, targets()[name].content)
        if outcome != "read":
            print(f"not mutated, {name}: {outcome}", flush=True)
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        name, other = (names[i] for i in rng.integers(len(names), size=2))
        target, spliced = targets()[name], targets()[other].content
        file, content = target.file, target.content
        if target.packed and rng.random() < 0.3:
            if is_inside := rng.random() < 0.7:
                content = mutate(content, spliced, rng)
            file, content = pack_case(file, content, rng)
            if not is_inside:
                content = mutate(content, spliced, rng)
        else:
            content = mutate(content, spliced, rng)
        if outcomes.total() % CASES_OF_A_PROCESS == 0:
            worker.restart()
        outcome = try_case(name, file, content)
        outcomes[name, outcome] += 1
        if outcome.startswith("FINDING") and outcome not in kept:
            kept.add(outcome)
            case = keep / f"{outcomes.total()}"
            shutil.copytree(folder, case, dirs_exist_ok=True)
            print(f"{case} ({name}): {outcome}", flush=True)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1, help="another seed, other damage")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "twinear-fuzz")
    parser.add_argument("--only", default="", help="files whose name has this in it")
    arguments = parser.parse_args()
    names = [name for name in targets() if arguments.only in name]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = fuzz(names, Path(folder), arguments.keep, arguments.minutes, arguments.seed)
    by_outcome, by_target = Counter[str](), Counter[str]()
    for (name, outcome), n in outcomes.items():
        by_outcome[outcome] += n
        by_target[name] += n
    findings = {outcome: n for outcome, n in by_outcome.items() if outcome.startswith("FINDING")}
    errors = sum(outcome.startswith("refused") for outcome in by_outcome)
    print(
        f"{outcomes.total()} damaged files of {len(by_target)} kinds (at least "
        f"{min(by_target.values(), default=0)} of each), {by_outcome['read']} read, "
        f"{errors} different errors, {sum(findings.values())} findings of {len(findings)} kinds"
    )
    for outcome, n in by_outcome.most_common(60):
        print(f"{n:>8}  {outcome}")
    raise SystemExit(1 if findings else 0)


if __name__ == "__main__":
    main()
