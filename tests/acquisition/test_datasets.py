"""Data sets come whole, checked and only once, whatever the server and the archive do."""

import hashlib
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import PARAMS
from tests.support.archives import HETREC, Archives, zip_of
from tests.support.command import run_twinear
from tests.support.services import FakeClock
from twinear.acquisition.croissant import read_licences
from twinear.acquisition.datasets import archive as archives
from twinear.acquisition.datasets.archive import extract_files
from twinear.acquisition.datasets.fetch import DatasetReport, fetch_dataset
from twinear.acquisition.datasets.registry import BASE_URL, DATASETS, Dataset
from twinear.acquisition.import_corpus import import_corpus
from twinear.acquisition.network.download import DownloadPolicy
from twinear.acquisition.network.errors import SourceError
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.base.errors import DataError, TwinearError
from twinear.base.params import read_params
from twinear.listens.listens import ListensParams, read_listens
from twinear.listens.readers.formats import BESIDE, BESIDE_1K, PLAYS, SOURCE
from twinear.listens.readers.recognition import find_listens

HASTE = DownloadPolicy(
    attempts=3, backoff_seconds=0.01, read_seconds=20.0, stall_seconds=0.3, stall_bytes=1000
)
IMPATIENT = replace(HASTE, read_seconds=0.3)  # with a server that is silent for a second
PLAYS_360K, PROFILES = PLAYS["lastfm_360k"], BESIDE["lastfm_360k"]
CONTENT = {
    PLAYS_360K: b"".join(b"u%d\t\tArtist %d\t%d\n" % (n % 50, n % 31, n * n) for n in range(3000)),
    PROFILES: b"".join(b"u%d\tf\t20\tFrance\tx\n" % n for n in range(50)),
}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def tar_of(files: dict[str, bytes], folder: str = "lastfm-dataset-360K/") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in files.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = tar_of({"README.txt": b"terms", **CONTENT})
SMALL = Dataset(
    name="small",
    archive="small.tar.gz",
    url="http://127.0.0.1",
    size=len(ARCHIVE),
    md5=md5(ARCHIVE),
    files={name: md5(content) for name, content in CONTENT.items()},
    licence="for tests only",
    max_archive=10**6,
    max_files=10**6,
)
UNPUBLISHED = replace(SMALL, size=0, md5="", files=dict.fromkeys(CONTENT, ""))


class RecordingBar:
    """A progress bar that records its calls."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int | None]] = []
        self.n = 0

    @contextmanager
    def __call__(self, there: int, total: int | None) -> Iterator["RecordingBar"]:
        self.begun.append((there, total))
        self.n = there
        yield self

    def update(self, n: int) -> None:
        self.n += n


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archives]:
    with Archives(files={SMALL.archive: ARCHIVE}) as server:
        monkeypatch.setenv(BASE_URL, server.url)
        yield server


def get(
    into: Path,
    dataset: Dataset = SMALL,
    *,
    bar: RecordingBar | None = None,
    clock: SystemClock | None = None,
    replace: bool = False,
    policy: DownloadPolicy = HASTE,
) -> DatasetReport:
    return fetch_dataset(
        dataset, into, bar or RecordingBar(), clock or FakeClock(), replace=replace, policy=policy
    )


def there(into: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in (into / "listens").iterdir() if path.name != SOURCE
    }


# whole


def test_a_data_set_comes_checked_and_with_its_terms(tmp_path: Path, server: Archives) -> None:
    bar = RecordingBar()
    report = get(tmp_path / "data", bar=bar)
    assert there(tmp_path / "data") == CONTENT
    assert report.fetched
    assert report.checked == dict.fromkeys(CONTENT, "md5")
    assert report.files == {name: len(content) for name, content in CONTENT.items()}
    assert (bar.begun, bar.n) == ([(0, len(ARCHIVE))], len(ARCHIVE))
    source = json.loads((tmp_path / "data/listens" / SOURCE).read_text())
    assert source["licence"] == report.licence == "for tests only"
    assert read_licences(tmp_path / "data") == ("for tests only",)
    assert source["archive"]["sha256"] == hashlib.sha256(ARCHIVE).hexdigest()
    assert source["files"][PROFILES]["md5"] == source["files"][PROFILES]["published_md5"]
    assert [path.name for path in (tmp_path / ".data.fetch").iterdir()] == ["datasets.lock"]


def test_what_came_is_what_the_stage_reads(tmp_path: Path, server: Archives) -> None:
    get(tmp_path / "data")
    files = find_listens(tmp_path / "data/listens")
    assert files.format == "lastfm_360k"
    assert files.files[0].profiles is not None
    lenient = {"min_listeners": 1, "require_mbid": False, "require_profile": False}
    params = read_params("listens", ListensParams, PARAMS).model_copy(update=lenient)
    assert read_listens(tmp_path / "data/listens", params)[1].artists == 31


def test_an_import_takes_the_terms_along(tmp_path: Path, server: Archives) -> None:
    get(tmp_path / "downloads")
    (tmp_path / "music/Air").mkdir(parents=True)
    (tmp_path / "music/Air/a.mp3").write_text("audio")
    import_corpus(tmp_path / "downloads/listens", tmp_path / "music", tmp_path / "data")
    assert there(tmp_path / "data") == CONTENT
    assert "for tests only" in (tmp_path / "data/listens" / SOURCE).read_text()


def test_an_intact_data_set_is_not_fetched_again(tmp_path: Path, server: Archives) -> None:
    get(tmp_path)
    (tmp_path / "listens/redirects.csv").write_text("old,new\n")
    again = get(tmp_path)
    assert (again.fetched, len(server.seen)) == (False, 1)
    (tmp_path / "listens" / PLAYS_360K).write_bytes(CONTENT[PLAYS_360K][:-1])
    with pytest.raises(DataError, match=r"listens: holds .*; replace it with --replace"):
        get(tmp_path)
    assert get(tmp_path, replace=True).fetched
    assert there(tmp_path) == CONTENT | {"redirects.csv": b"old,new\n"}


def test_what_has_no_published_checksum_is_recorded(tmp_path: Path, server: Archives) -> None:
    report = get(tmp_path, UNPUBLISHED)
    assert report.checked == dict.fromkeys(CONTENT, "")
    source = json.loads((tmp_path / "listens" / SOURCE).read_text())
    seen = hashlib.sha256(CONTENT[PLAYS_360K]).hexdigest()
    assert source["files"][PLAYS_360K]["sha256"] == seen
    assert source["archive"]["published_md5"] == ""
    assert not get(tmp_path, UNPUBLISHED).fetched


def test_other_listens_are_not_overwritten_unless_asked(tmp_path: Path, server: Archives) -> None:
    (tmp_path / "listens").mkdir()
    (tmp_path / "listens/plays.csv").write_text("mine")
    with pytest.raises(DataError, match=r"listens: holds plays\.csv; replace it with --replace"):
        get(tmp_path)
    assert not server.seen
    get(tmp_path, replace=True)
    assert there(tmp_path) == CONTENT


# resumed


def test_what_breaks_off_is_gone_on_with(tmp_path: Path, server: Archives) -> None:
    server.faults.extend(["breaks off", "hang up", "503", "breaks off", "breaks off"])
    bar = RecordingBar()
    get(tmp_path, bar=bar)
    assert there(tmp_path) == CONTENT
    asked = [int(header.removeprefix("bytes=").removesuffix("-") or 0) for header in server.seen]
    assert asked == sorted(asked)
    assert asked[1] == asked[2] == asked[3] == len(ARCHIVE) // 2
    assert bar.n == len(ARCHIVE)
    assert bar.begun[-1] == (asked[-1], len(ARCHIVE))


def test_a_fetch_that_gave_up_is_gone_on_with_the_next_time(
    tmp_path: Path, server: Archives
) -> None:
    server.faults.extend(["breaks off", *["hang up"] * 3])
    with pytest.raises(SourceError, match=r"small\.tar\.gz: .*; run it again"):
        get(tmp_path / "data")
    assert not (tmp_path / "data").exists()
    get(tmp_path / "data")
    assert server.seen[-1] == f"bytes={len(ARCHIVE) // 2}-"
    assert there(tmp_path / "data") == CONTENT


def test_a_server_that_ignores_ranges_sends_it_all_again(tmp_path: Path, server: Archives) -> None:
    server.faults.extend(["breaks off", "ignores ranges"])
    get(tmp_path)
    assert there(tmp_path) == CONTENT


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path, server: Archives) -> None:
    server.faults.extend(["breaks off", *["hang up"] * 3])
    other = tar_of({**CONTENT, PROFILES: b"u1\tm\n" * 9999})
    with pytest.raises(SourceError):
        get(tmp_path, UNPUBLISHED)
    server.files[SMALL.archive], server.tag = other, '"2"'
    get(tmp_path, UNPUBLISHED)
    assert there(tmp_path)[PROFILES] == b"u1\tm\n" * 9999


@pytest.mark.parametrize("tag", ["", 'W/"1"'])
def test_without_a_strong_mark_nothing_is_gone_on_with(
    tmp_path: Path, server: Archives, tag: str
) -> None:
    server.tag = tag
    server.faults.append("breaks off")
    get(tmp_path)
    assert server.seen == ["", ""]
    assert there(tmp_path) == CONTENT


def test_what_is_complete_and_was_not_moved_is_asked_for_once_more(
    tmp_path: Path, server: Archives
) -> None:
    server.faults.extend(["breaks off", *["hang up"] * 3])
    with pytest.raises(SourceError):
        get(tmp_path / "data")
    (tmp_path / ".data.fetch/small.tar.gz.part").write_bytes(ARCHIVE)
    get(tmp_path / "data")
    assert there(tmp_path / "data") == CONTENT


def test_a_wrong_file_of_unsaid_size_is_not_gone_on_with(tmp_path: Path, server: Archives) -> None:
    server.files[SMALL.archive] = ARCHIVE[:-5]
    server.faults.append("says nothing")
    with pytest.raises(SourceError, match=rf"is {len(ARCHIVE) - 5} bytes, expected {len(ARCHIVE)}"):
        get(tmp_path)
    server.files[SMALL.archive] = ARCHIVE
    get(tmp_path)
    assert server.seen == ["", ""]


def test_more_than_there_is_of_a_file_is_thrown_away(tmp_path: Path, server: Archives) -> None:
    server.faults.extend(["breaks off", *["hang up"] * 3])
    with pytest.raises(SourceError):
        get(tmp_path / "data")
    (tmp_path / ".data.fetch/small.tar.gz.part").write_bytes(ARCHIVE + b"more")
    with pytest.raises(SourceError, match=r"is smaller than the \d+ bytes"):
        get(tmp_path / "data")
    get(tmp_path / "data")
    assert there(tmp_path / "data") == CONTENT


@pytest.mark.parametrize("dataset", [SMALL, UNPUBLISHED], ids=["known", "unpublished"])
@pytest.mark.parametrize("fault", ["redirect", "says nothing", "says more", "drips", "silent"])
def test_what_passes_is_survived(
    tmp_path: Path, server: Archives, fault: str, dataset: Dataset
) -> None:
    server.faults.append(fault)
    if fault == "says more" and dataset is SMALL:
        with pytest.raises(SourceError, match=rf"is {len(ARCHIVE) + 9} bytes, expected"):
            get(tmp_path, dataset)
        return
    get(tmp_path, dataset, policy=IMPATIENT if fault == "silent" else HASTE)
    assert there(tmp_path) == CONTENT


class Minutes(FakeClock):
    """A clock on which every look takes a minute."""

    def now(self) -> float:
        self.sleep(60)
        return super().now()


def test_a_server_that_hardly_sends_anything_is_given_up(tmp_path: Path, server: Archives) -> None:
    server.faults.extend(["drips"] * 200)
    patient = replace(SMALL, size=0)
    with pytest.raises(SourceError, match=r"sends almost nothing; run it again"):
        fetch_dataset(
            patient,
            tmp_path,
            RecordingBar(),
            Minutes(),
            policy=replace(HASTE, attempts=1),
        )


# refused


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["404"], "answers 404, expected 200"),
        (["503"] * 9, "answers 503; run it again"),
        (["loop"] * 9, "redirects more than 5 times"),
        (["to a file"], "redirects from http to 'file'|invalid URL"),
        (["to nowhere"], "invalid URL|connection failed"),
        (["web page"], "is a web page, expected an archive"),
        (["breaks off", "other part"], "sends another part than was asked for"),
        (["silent"] * 9, "does not answer in time"),
        (["says less"], rf"is {len(ARCHIVE) // 2} bytes, expected {len(ARCHIVE)}"),
    ],
)
def test_what_does_not_pass_is_one_clear_error(
    tmp_path: Path, server: Archives, faults: list[str], message: str
) -> None:
    server.faults.extend(faults * 3 if faults[0].startswith("to n") else faults)
    with pytest.raises(SourceError, match=message) as caught:
        get(tmp_path / "data", policy=IMPATIENT if "silent" in faults else HASTE)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_wrong_bytes_are_thrown_away(tmp_path: Path, server: Archives) -> None:
    server.faults.append("other bytes")
    message = rf"small\.tar\.gz: has md5 \w+, expected {SMALL.md5}; it was removed"
    with pytest.raises(DataError, match=message):
        get(tmp_path / "data")
    assert not (tmp_path / "data/listens").exists()
    get(tmp_path / "data")
    assert there(tmp_path / "data") == CONTENT


def test_wrong_files_in_an_archive_are_thrown_away(tmp_path: Path, server: Archives) -> None:
    wrong = replace(UNPUBLISHED, files={**SMALL.files, PROFILES: "0" * 32})
    with pytest.raises(DataError, match=rf"{PROFILES}: has md5 .*, expected 00000"):
        get(tmp_path / "data", wrong)
    assert not (tmp_path / "data/listens").exists()


def test_what_is_too_large_is_not_fetched(tmp_path: Path, server: Archives) -> None:
    bounded = replace(UNPUBLISHED, max_archive=1000)
    with pytest.raises(SourceError, match=rf"is {len(ARCHIVE)} bytes, expected at most 1000"):
        get(tmp_path, bounded)
    server.faults.append("says nothing")
    with pytest.raises(SourceError, match="is larger than 1000 bytes"):
        get(tmp_path, bounded)


def test_a_full_disk_is_one_clear_error(tmp_path: Path, server: Archives) -> None:
    (tmp_path / ".data.fetch").mkdir()
    (tmp_path / ".data.fetch/small.tar.gz.part").symlink_to("/dev/full")
    message = r"part: could not be written \(No space left on device\); free some space"
    with pytest.raises(DataError, match=message):
        get(tmp_path / "data")


def test_two_fetches_do_not_meet(tmp_path: Path, server: Archives) -> None:
    class Second(RecordingBar):
        def update(self, n: int) -> None:
            with pytest.raises(DataError, match="another fetch is running"):
                get(tmp_path)
            super().update(n)

    get(tmp_path, bar=Second())
    assert there(tmp_path) == CONTENT


def test_an_address_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE_URL, "ftp://example.org")
    with pytest.raises(TwinearError, match=f"{BASE_URL}: 'ftp://example.org', expected http"):
        get(tmp_path)


# archives


def taken(folder: Path, content: bytes, max_bytes: int = 10**6) -> dict[str, bytes]:
    path = folder / "archive"
    path.write_bytes(content)
    into = folder / "into"
    into.mkdir(exist_ok=True)
    names = extract_files(path, ["a.dat", "b.dat"], into, max_bytes)
    return {name: (into / name).read_bytes() for name in names}


FILES = {"a.dat": b"a" * 5000, "b.dat": b"b" * 100}


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_only_what_is_asked_for_leaves_an_archive(tmp_path: Path, pack: object) -> None:
    hostile = {"../../evil": b"x", "/etc/evil": b"x", "c:\\evil": b"x", "../deep/a.dat": b"a"}
    files = {**hostile, "x/b.dat": b"b"}
    content = tar_of(files, "") if pack is tar_of else zip_of(files)
    assert taken(tmp_path, content) == {"a.dat": b"a", "b.dat": b"b"}
    assert {path.name for path in tmp_path.rglob("*")} == {"archive", "into", "a.dat", "b.dat"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_no_files(tmp_path: Path, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        member = tarfile.TarInfo("a.dat")
        member.type, member.linkname = kind, "/etc/passwd"
        file.addfile(member)
    with pytest.raises(DataError, match=r"archive: holds no file a\.dat, expected a\.dat, b\.dat"):
        taken(tmp_path, buffer.getvalue())


def test_links_in_a_zip_are_no_files(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        link = zipfile.ZipInfo("a.dat")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"holds no file a\.dat"):
        taken(tmp_path, buffer.getvalue())


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_bombs_are_not_unpacked(tmp_path: Path, pack: object) -> None:
    files = {"a.dat": bytes(10**7), "b.dat": b""}
    content = tar_of(files) if pack is tar_of else zip_of(files)
    assert len(content) < 20_000
    with pytest.raises(DataError, match="unpacks to more than 1000000 bytes"):
        taken(tmp_path, content)


def test_a_bomb_beside_the_files_is_not_unpacked_either(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unpacks to more than"):
        taken(tmp_path, tar_of({"bomb": bytes(10**7), **FILES}))
    assert taken(tmp_path, zip_of({"bomb": bytes(10**7), **FILES})) == FILES


def test_archives_of_too_many_or_the_same_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = tar_of({"x/a.dat": b"1", "y/a.dat": b"2"})
    with pytest.raises(DataError, match=r"holds a\.dat twice"):
        taken(tmp_path, twice)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    for content in (tar_of, zip_of):
        with pytest.raises(DataError, match="holds more than 3 files"):
            taken(tmp_path, content({f"{n}.dat": b"" for n in range(9)}))


@given(
    zipped=st.booleans(),
    cut=st.integers(0, 400),
    at=st.integers(0, 10**6),
    mask=st.integers(0, 255),
)
@example(zipped=True, cut=0, at=217, mask=128)  # a member that is said to lie before the start
def test_damaged_archives_are_refused_or_read_right(
    tmp_path_factory: pytest.TempPathFactory, zipped: bool, cut: int, at: int, mask: int
) -> None:
    content = bytearray(zip_of(FILES) if zipped else tar_of(FILES))
    content[at % len(content)] ^= mask
    try:
        found = taken(tmp_path_factory.mktemp("fuzz"), bytes(content[: len(content) - cut // 2]))
    except DataError as error:
        message = str(error)
    else:
        message = ""
        assert found == FILES
    assert "\n" not in message


# the known ones


def test_the_known_data_sets_are_those_that_are_read() -> None:
    files = {dataset.name: set(dataset.files) for dataset in DATASETS}
    assert files == {
        "lastfm-360k": {PLAYS["lastfm_360k"], BESIDE["lastfm_360k"]},
        "lastfm-1k": {PLAYS["lastfm_1k"], BESIDE_1K},
        "hetrec": {PLAYS["hetrec"], BESIDE["hetrec"]},
    }
    assert all("non-commercial" in dataset.licence for dataset in DATASETS)


def test_the_command_line_fetches_shows_the_terms_and_stops_at_what_is_wrong(
    tmp_path: Path,
    server: Archives,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.files |= {"hetrec2011-lastfm-2k.zip": HETREC, "lastfm-dataset-360K.tar.gz": ARCHIVE}
    monkeypatch.chdir(tmp_path)
    done = run_twinear(capsys, "fetch", "hetrec")
    assert done.status == 0
    assert "hetrec: for non-commercial use only" in done.stderr
    assert "data/listens: fetched" in done.stdout
    assert "user_artists.dat  15 bytes, no published checksum" in done.stdout
    assert '"fetched": false' in run_twinear(capsys, "fetch", "hetrec", "--json").stdout
    refused = run_twinear(capsys, "fetch", "lastfm-360k", "--into", "other")
    assert refused.status == 1
    error = refused.stderr.splitlines()[-1]
    assert error.startswith("error: http://127.0.0.1:")
    assert error.endswith(f"is {len(ARCHIVE)} bytes, expected 569202935")
