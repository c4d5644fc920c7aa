"""Numbers, intervals and tables as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinear.base.text import format_interval, format_number, markdown_table, text_table


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.6123, "", ".612"),
        (-0.031, "", "-.031"),
        (1.0, "", "1.000"),
        (-0.0001, "", ".000"),
        (-1.5, "", "-1.500"),
        (10.5, "+", "+10.500"),
        (-0.0001, "+", "+.000"),
        (float("nan"), "+", "n/a"),
    ],
)
def test_a_number_has_three_decimals_and_no_leading_zero(
    value: float, sign: str, text: str
) -> None:
    assert format_number(value, sign=sign) == text


@given(st.floats(-1000, 1000))
def test_a_number_reads_back_to_its_decimals(value: float) -> None:
    assert float(format_number(value, 4)) == pytest.approx(value, abs=0.5001e-4)


def test_an_interval_stands_in_brackets() -> None:
    assert format_interval(0.5, 0.25, 1) == ".500 [.250, 1.000]"


def test_columns_of_a_text_table_start_at_the_same_place_though_rows_are_short() -> None:
    lines = text_table(["", "MRR", "lead"], [["catalogue", ".5"], ["l2", ".25", "+.1"]]).split("\n")
    assert lines[1] == "-" * max(map(len, lines))
    assert [line.find(text) for line, text in zip(lines[2:], (".5", ".25"), strict=True)] == [
        12,
        12,
    ]
    assert lines[0].find("lead") == lines[3].find("+.1")


def test_a_padded_markdown_table_has_lines_of_one_length() -> None:
    table = markdown_table(["system", "MRR"], [["l2", ".25"], ["catalogue", "1.000"]], padded=True)
    assert len({len(line) for line in table.splitlines()}) == 1
    assert table.splitlines()[1] == "| :-------- | ----: |"
