"""Small tables of any program are read alike, whole or not at all."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinear.base.errors import DataError
from twinear.base.table import read_lines, read_table

TEXT = 'File,Artist,year\na.mp3,Björk,1993\n\nb.mp3,"Earth, Wind & Fire",\n'


def values(path: Path) -> list[list[str]]:
    table = read_table(path, ("file", "artist"), "again", ("file", "artist"))
    assert table.columns == ["file", "artist", "year"]
    return [list(row.values.values()) for row in table.rows]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
def test_what_programs_write_reads_alike(
    tmp_path: Path, encoding: str, end: str, separator: str
) -> None:
    text = TEXT.replace(", W", "\0").replace(",", separator).replace("\0", ", W")
    (tmp_path / "t.csv").write_bytes(text.replace("\n", end).encode(encoding))
    expected = [["a.mp3", "Björk", "1993"], ["b.mp3", "Earth, Wind & Fire", ""]]
    assert values(tmp_path / "t.csv") == expected


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n artist\n\na\n\n\nb\n")
    assert [row.line for row in read_table(tmp_path / "t.csv", (), "again").rows] == [4, 7]


def test_the_first_line_of_excel_names_the_separator(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sep=;\nartist;a,b,c\nAir;1,5\n")
    (row,) = read_table(tmp_path / "t.csv", ("artist",), "again").rows
    assert (row.line, row.values) == (3, {"artist": "Air", "a,b,c": "1,5"})


def test_missing_fields_are_empty_and_columns_without_a_name_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,artist,year,,\na\nb,c,d,,\n,,\n")
    assert values(tmp_path / "t.csv") == [["a", "", ""], ["b", "c", "d"]]


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "NULL", "n/a", "Infinity", "1e5"])
def test_text_stays_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"artist\n{name}\n")
    (row,) = read_table(tmp_path / "t.csv", ("artist",), "again").rows
    assert row.values == {"artist": name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv: is empty; again"),
        (b" \n\n", "t.csv: is empty; again"),
        (b"fil,artist\n", "t.csv:1: has no column 'file', expected file and artist; rename 'fil'"),
        (b"file,x\n", "t.csv:1: has no column 'artist', .*again"),
        (b"file,artist,FILE\n", "t.csv:1: has two columns 'file'"),
        (b"file,artist\na,b,\n", "t.csv:2: has more fields than the header; .*','"),
        (b'file,artist\na,"b\nc,"d\ne,f\n', "t.csv:2: has a quoted field that is not closed"),
        (b'"file,artist\na,b\n', "t.csv:1: has a quoted field that is not closed"),
        (b"file,artist\n\xc3\xa9\xc3\xa9,b\n\xff,b\n", "t.csv:3: .*no text in UTF-8"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_table(tmp_path / "t.csv", ("file", "artist"), "again", ("file", "artist")).scan())


@given(content=st.binary() | st.text(alphabet=',;"\n\r\taé\ufeff').map(str.encode))
def test_any_bytes_are_a_table_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    with suppress(DataError):
        assert all(any(row.values.values()) for row in read_table(path, ("a",), "again").rows)
    with suppress(DataError):
        assert all(line.strip() for _, line in read_lines(path, "again").lines)
