"""What the files of some sources are: decided by what they hold, else by their usual names.

`listens.format` decides instead, if it is set.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from twinear.base.errors import DataError
from twinear.listens.readers.archives import open_members, unpack
from twinear.listens.readers.decompression import compression
from twinear.listens.readers.formats import (
    BESIDE,
    MONTH,
    PLAYS,
    REDIRECTS,
    REMEDY,
    SOURCE,
    USUAL_COLUMNS,
    ListensFile,
    ListensFiles,
    Recognised,
    TableColumns,
    bare_name,
    printable,
)
from twinear.listens.readers.listenbrainz import read_dump
from twinear.listens.readers.listenbrainz_exports import read_spark
from twinear.listens.readers.registry import FORMATS, PAIRED
from twinear.listens.readers.rows import ListensFormat, PairedFormat, Piece, TextFile, text
from twinear.listens.readers.sources import (
    COMPANIONS,
    SPARK_MEMBER,
    FoundFile,
    find_files,
    is_spark,
)
from twinear.listens.readers.tables import Table, table_of_parquet, table_of_text
from twinear.listens.readers.text import split_tabs
from twinear.listens.readers.text_files import START_BYTES, has_only_returns, open_text

PARQUET = b"PAR1"
PROFILES = ("listener", "gender", "age", "country", "signup")
BY_NAME = {format.name: format for format in FORMATS}
ENCODINGS = {"utf-8": "", "utf-8-sig": "", "cp1252": "encoding Windows-1252"}
SPARK_TITLE = "ListenBrainz, dump for Spark"
N_REASONS = 5  # in a message


def find_listens(
    sources: Path | Sequence[Path],
    form: str = "auto",
    columns: TableColumns = USUAL_COLUMNS,
    unpacked: Path | None = None,
) -> ListensFiles:
    """Find the files of listens in sources, each a file, a folder or an archive.

    Parameters
    ----------
    form
        A value of `listens.format`.
    columns
        The names of a table's columns.
    unpacked
        An empty folder for what archives hold. Without it they are looked into only: what is found
        in them cannot be read.

    Raises
    ------
    DataError
        A source that is missing, damaged or too large; no listens in any of them.
    """
    if unpacked is None:
        with TemporaryDirectory(prefix="twinear-") as folder:
            return find_listens(sources, form, columns, Path(folder))
    sources = [sources] if isinstance(sources, Path) else list(sources)
    found = find_files(sources, unpacked)
    recogniser = _Recogniser(found=found, form=form, columns=columns, unpacked=unpacked)
    files = recogniser.recognise()
    place = ", ".join(str(source) for source in sources)
    if not files:
        raise recogniser.nothing_found(place)
    redirects = [each for each in found if each.place.name == REDIRECTS]
    if len(redirects) > 1:
        remedy = "make one of them"
        raise DataError(redirects[1].name, f"is a second {REDIRECTS}", remedy=remedy)
    copies = dict(origin for file in files for origin in file.origins)
    copies |= {PurePath(REDIRECTS): each.path for each in redirects if not each.depth}
    copies |= dict(each.origin for each in found if each.place.name == SOURCE)
    return ListensFiles(
        place=files[0].place if len(files) == 1 else place,
        files=tuple(files),
        left_out=recogniser.left_out(),
        redirects=redirects[0].path if redirects else None,
        copies=copies,
    )


@dataclass(kw_only=True)
class _Recogniser:
    """The files of some sources, and those of them that are no listens."""

    found: Sequence[FoundFile]
    form: str
    columns: TableColumns
    unpacked: Path
    _reasons: dict[FoundFile, str] = field(default_factory=dict)  # why files are left out
    _besides: set[FoundFile] = field(default_factory=set)  # what belongs to other files

    def recognise(self) -> list[ListensFile]:
        """Recognise every file, and note why others are left out."""
        results = {
            each: self._recognise(each)
            for each in self.found
            if each.place.name not in (REDIRECTS, SOURCE)
        }
        files = []
        for each, result in results.items():
            if each in self._besides:
                continue
            if isinstance(result, str):
                self._reasons[each] = result
            else:
                files.append(result)
        return files

    def left_out(self) -> dict[str, str]:
        """Return other files -> why they are not read."""
        return {printable(each.place): reason for each, reason in self._reasons.items()}

    def nothing_found(self, place: str) -> DataError:
        """Say of every file why it is not read."""
        expected = f"a table with a column '{self.columns.artist}', or a documented export"
        has_columns = any("column" in reason for reason in self._reasons.values())
        remedy = "name the columns in listens.columns" if has_columns else REMEDY
        if len(self._reasons) == 1:
            [(each, reason)] = self._reasons.items()
            line = ":1" if has_columns else ""
            return DataError(f"{each.name}{line}", reason, expected=expected, remedy=remedy)
        reasons = [f"{printable(each.place)} {why}" for each, why in self._reasons.items()]
        if len(reasons) > N_REASONS:
            reasons[N_REASONS:] = [f"and {len(reasons) - N_REASONS} more files"]
        found = f"holds no listens ({'; '.join(reasons)})" if reasons else "holds no listens"
        return DataError(place, found, expected=expected, remedy=remedy)

    @property
    def _is_alone(self) -> bool:
        """Whether there is one file that can be of listens."""
        return sum(each.place.name not in COMPANIONS for each in self.found) == 1

    def _wants(self, form: str) -> bool:
        return self.form in ("auto", form)

    def _recognise(self, found: FoundFile) -> ListensFile | str:
        """Recognise a file; say what it is or lacks if it holds no listens."""
        if found.dump:
            return self._dump(found) if self._wants(found.dump) else f"is {found.dump}"
        if not found.path.stat().st_size:
            return "is empty"
        with found.path.open("rb") as file:
            if file.read(len(PARQUET)) == PARQUET:
                return self._parquet(found)
        content = open_text(found.path, found.name, found.listener, found.folder_listener)
        if content is None:
            return "is binary, or an archive without files"
        if not content.start:
            return "is empty"
        for form in filter(lambda form: self._wants(form.name), FORMATS):
            assumed = form.recognise(content)
            if assumed is not None:
                return self._text(found, content, form, assumed)
        named = self._format_by_name(found)
        for pair in filter(lambda pair: self._wants(pair.name), PAIRED):
            is_named = pair.usual[0] == bare_name(found.place) or named == self.form == pair.name
            if is_named or pair.recognise(content):
                return self._pair(found, content, pair)
        lacks = f"is no {self.form}"
        if self._wants("table"):
            table = table_of_text(content, self.columns)
            if isinstance(table, Table):
                return _table(found, table, content.encoding)
            lacks = table
        if named in BY_NAME:
            return self._text(found, content, BY_NAME[named], "")
        return lacks

    def _format_by_name(self, found: FoundFile) -> str:
        """Return the format that a file's name stands for; of a lone file that of the params."""
        if self.form != "auto" and self._is_alone:
            return self.form
        name = bare_name(found.place)
        named = "listenbrainz" if MONTH.search((found.place.parent / name).as_posix()) else ""
        named = next((form for form, usual in PLAYS.items() if usual == name), named)
        return named if self._wants(named) else ""

    def _text(
        self, found: FoundFile, content: TextFile, form: ListensFormat, assumed: str
    ) -> ListensFile:
        file = ListensFile(
            recognised=_recognised(found, form.name, form.title, assumed, content.encoding),
            place=found.name,
            origins=(found.origin,),
            timed=form.timed,
            read=lambda: form.read(content),
        )
        if form.name != "lastfm_360k":
            return file
        beside = self._beside(found, BESIDE["lastfm_360k"])
        if beside:
            profiles = _open_text(beside)
            users = split_tabs(b"".join(profiles.chunks()), PROFILES).select(text("listener"))
            file = replace(file, profiles=users, origins=(*file.origins, beside.origin))
        return replace(file, scannable=found.path if _is_plain(found, content) else None)

    def _pair(self, found: FoundFile, content: TextFile, pair: PairedFormat) -> ListensFile:
        """Find the second file, with the names of the artists."""
        beside = self._beside(found, pair.usual[1])
        if beside is None:
            place = f"{found.name.removesuffix(found.place.name)}{pair.usual[1]}"
            raise DataError(place, "is missing", remedy="put it beside the listens")
        names = _open_text(beside)
        return ListensFile(
            recognised=_recognised(found, pair.name, pair.title, "", names.encoding),
            place=found.name,
            origins=(found.origin, beside.origin),
            timed=pair.timed,
            read=lambda: pair.read(content, names),
        )

    def _beside(self, found: FoundFile, name: str) -> FoundFile | None:
        """Find the file of a name in the same folder or archive."""
        for each in self.found:
            if each.place.parent == found.place.parent and bare_name(each.place) == name:
                self._besides.add(each)
                return each
        return None

    def _parquet(self, found: FoundFile) -> ListensFile | str:
        if self._wants("listenbrainz_spark") and is_spark(found.path):
            return ListensFile(
                recognised=_recognised(found, "listenbrainz_spark", SPARK_TITLE),
                place=found.name,
                origins=(found.origin,),
                timed=True,
                read=lambda: read_spark(found.path, found.name),
            )
        if not self._wants("table"):
            return "is Parquet"
        table = table_of_parquet(found.path, found.name, found.listener, self.columns)
        return table if isinstance(table, str) else _table(found, table)

    def _dump(self, found: FoundFile) -> ListensFile:
        """Read an archive that stays packed."""

        def read_spark_dump() -> Iterator[Piece]:
            path = self.unpacked / "spark.parquet"
            for member in open_members(found.path, found.name):
                if SPARK_MEMBER.search(str(member.name)):
                    unpack(member, path, found.name)
                    yield from read_spark(path, f"{found.name}:{member.name}")
                    path.unlink()

        is_spark_dump = found.dump == "listenbrainz_spark"
        title = SPARK_TITLE if is_spark_dump else BY_NAME[found.dump].title
        return ListensFile(
            recognised=_recognised(found, found.dump, title),
            place=found.name,
            origins=(found.origin,),
            timed=True,
            read=read_spark_dump if is_spark_dump else lambda: read_dump(found.path, found.name),
        )


def _open_text(found: FoundFile) -> TextFile:
    """Open a file that must be text."""
    content = open_text(found.path, found.name, found.listener, found.folder_listener)
    if content is None:
        raise DataError(found.name, "is binary", expected="text", remedy=REMEDY)
    return content


def _is_plain(found: FoundFile, content: TextFile) -> bool:
    """Whether a file is read by machine code as it is: its bytes are those of the text."""
    if content.encoding != "utf-8" or compression(found.path):
        return False
    with found.path.open("rb") as file:
        return not has_only_returns(file.read(START_BYTES))


def _table(found: FoundFile, table: Table, encoding: str = "utf-8") -> ListensFile:
    return ListensFile(
        recognised=_recognised(found, "table", table.title, table.assumed, encoding),
        place=found.name,
        origins=(found.origin,),
        timed=table.timed,
        read=table.read,
    )


def _recognised(
    found: FoundFile, form: str, title: str, assumed: str = "", encoding: str = "utf-8"
) -> Recognised:
    said = [ENCODINGS.get(encoding, f"encoding {encoding}"), assumed]
    return Recognised(
        name=printable(found.place),
        format=form,
        title=title,
        assumed="; ".join(filter(None, said)),
    )
