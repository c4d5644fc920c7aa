"""Lines split as people mean them: a stray quote is a letter, or damage of its line alone."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinear.base.delimited import SEPARATORS, find_separator, split_line

FIELD = st.text(alphabet='a ,;"é\t|', max_size=8)


@given(st.lists(FIELD, min_size=2, max_size=5), st.sampled_from(SEPARATORS))
def test_what_a_csv_writer_writes_is_read_back(fields: list[str], separator: str) -> None:
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        file = io.StringIO()
        csv.writer(file, delimiter=separator, quoting=quoting, lineterminator="").writerow(fields)
        assert split_line(file.getvalue(), separator) == fields


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("", [""]),
        ("a,", ["a", ""]),
        ('"a",', ["a", ""]),
        ('""', [""]),
        ('"a""b",c', ['a"b', "c"]),
        ('12" Ensemble,5', ['12" Ensemble', "5"]),
        ('"Weird Al" Yankovic,5', ['"Weird Al" Yankovic', "5"]),
        ('"Heroes,5', None),
        ('"', None),
        ('x,"', None),
        ('"a""', None),
        ('"a"",b",c', ['a",b', "c"]),
    ],
)
def test_quotes(line: str, fields: list[str] | None) -> None:
    assert split_line(line) == fields


@given(st.text(alphabet='a,"'))
def test_no_line_is_more_than_damaged(line: str) -> None:
    fields = split_line(line)
    assert fields is None or all(isinstance(field, str) for field in fields)


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ("a,b", ","),
        ("a;b", ";"),
        ("a\tb", "\t"),
        ("a|b", "|"),
        ("a", ","),
        ("", ","),
        ('"a;b",c', ","),
        ("a;b,c", ","),
    ],
)
def test_the_separator_is_the_one_that_splits_most(header: str, separator: str) -> None:
    assert find_separator(header) == separator
