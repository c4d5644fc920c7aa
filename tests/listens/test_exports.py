"""Exports of services and players: every format reads its own files, and no other claims them."""

import pytest

from tests.support.exports import EXAMPLES, Example, read_example, text_file
from twinear.base.errors import DataError
from twinear.listens.readers.registry import FORMATS

BY_NAME = {form.name: form for form in FORMATS}


def test_every_format_has_an_example() -> None:
    assert {example.format for example in EXAMPLES.values()} == set(BY_NAME)


@pytest.mark.parametrize("piece_bytes", [None, 100], ids=["whole", "in pieces"])
@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_is_read(example: Example, piece_bytes: int | None) -> None:
    read = read_example(
        BY_NAME[example.format], text_file(example.content, piece_bytes=piece_bytes)
    )
    assert read.rows == example.rows
    assert read.malformed == example.malformed
    assert read.skipped == example.skipped
    assert read.played == example.played


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_only_its_own_format_recognises_an_example(example: Example) -> None:
    file = text_file(example.content)
    claims = [form.name for form in FORMATS if form.recognise(file) is not None]
    assert claims == [example.format]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_every_prefix_of_an_example_gives_rows_or_an_error(example: Example) -> None:
    content = example.content.encode()
    for end in range(len(content)):
        file = text_file(content[:end])
        claims = [form.name for form in FORMATS if form.recognise(file) is not None]
        assert len(claims) <= 1
        try:
            rows = read_example(BY_NAME[example.format], file)
        except DataError:
            continue
        assert len(rows.rows) <= len(example.rows)
