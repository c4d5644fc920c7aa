"""The encoding of texts and of file names, told by their bytes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinear.base.encoding import decode_name, detect_encoding

TEXT = "listener,artist\nu1,Björk\nu2,Sigur Rós\nu3,Motörhead\n"


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_a_text_is_decoded_as_it_was_written(encoding: str) -> None:
    content = TEXT.encode(encoding)
    assert content.decode(detect_encoding(content)) == TEXT


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1))
def test_utf_8_is_utf_8_even_where_it_is_cut_off(text: str) -> None:
    content = text.encode()
    for n in range(max(1, len(content) - 3), len(content) + 1):
        if content[:n].decode("utf-8", "ignore"):
            assert detect_encoding(content[:n]) == "utf-8"


def test_some_damaged_letters_are_no_other_encoding() -> None:
    assert detect_encoding(("Björk " * 9).encode() + b"\xff\xfe") == "utf-8"


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_any_file_name_has_a_text_that_can_be_written(name: bytes) -> None:
    text = decode_name(os.fsdecode(name))
    text.encode()
    if name.isascii():
        assert text == name.decode()
