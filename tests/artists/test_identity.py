"""Two spellings never become two artists; two MusicBrainz ids never become one."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinear.artists.identity import (
    artist_id,
    find_collisions,
    identify,
    is_mbid,
    normalise_name,
    normalise_spellings,
    read_artists,
    write_artists,
)
from twinear.base.errors import DataError

A = "aaaaaaaa-0000-4000-8000-000000000000"
C = "cccccccc-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("Beyoncé", "beyonce"),
        ("Beyonce\N{COMBINING ACUTE ACCENT}", "beyonce"),
        ("  MOTÖRHEAD\t", "motorhead"),
        ("Trentemøller", "trentemoller"),
        ("The Beatles", "beatles"),
        ("the the", "the the"),
        ("The", "the"),
        ("Simon & Garfunkel", "simon and garfunkel"),
        ("Marina&the Diamonds", "marina and the diamonds"),
        ("AC/DC", "ac dc"),
        ("*NSYNC", "nsync"),
        ("Guns N' Roses", "guns n roses"),
        ("two\rlines", "two lines"),
        ("zero\u200bwidth", "zerowidth"),
        ("ＬｕＬｕ", "lulu"),  # noqa: RUF001
        ("Straße", "strasse"),
        ("Король и Шут", "король и шут"),
        ("がっこう", "がっこう"),  # か with its mark is another letter
        ("!!!", "!!!"),
        ("", ""),
        (" \r\n ", ""),
    ],
)
def test_a_name_is_reduced_to_what_its_spellings_share(name: str, normalised: str) -> None:
    assert normalise_name(name) == normalised


@given(st.text())
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert normalise_name(normalise_name(name)) == normalise_name(name)


@given(st.text())
def test_only_blank_names_are_normalised_to_nothing(name: str) -> None:
    assert bool(normalise_name(name)) == bool(name.strip())


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_case_and_a_leading_the_do_not_matter(name: str) -> None:
    assert normalise_name(name.upper()) == normalise_name(name)
    if normalise_name(name).isalnum():
        assert normalise_name(f"The {name}") == normalise_name(name)


def test_an_artist_is_its_mbid_if_it_has_one() -> None:
    assert artist_id(f" {A.upper()} ", "Air") == A
    assert artist_id("", "The Air!") == "air"
    assert artist_id("n/a", "Air") == "air"
    assert is_mbid(A)
    assert not is_mbid(A.upper())
    assert not is_mbid(A + "\n")


def who(spellings: list[tuple[str, str]]) -> list[str]:
    return identify(normalise_spellings(spellings))


def test_a_spelling_without_mbid_is_the_artist_that_owns_its_name() -> None:
    assert who([(A, "The Air"), ("", "AIR"), ("", "Other"), (A, "Air France")]) == [
        A,
        A,
        "other",
        A,
    ]
    assert identify([]) == []


def test_namesakes_and_artists_of_several_names_are_counted() -> None:
    spellings = [
        (A, "Nirvana"),
        (B, "nirvana"),
        ("", "Nirvana"),
        (A.upper(), "The Nirvana"),
        (C, "Can"),
    ]
    spellings += [(C, "Kan"), (A, "Other"), (B, ""), ("123", "Can")]
    rows = [5, 7, 100, 3, 4, 1, 2, 50, 1]
    collisions = find_collisions(normalise_spellings(spellings), rows)
    assert (collisions.names, collisions.mbids) == (1, 2)
    assert collisions.examples_of_names == {"nirvana": [A, B]}
    assert list(collisions.examples_of_mbids.items()) == [
        (A, ["nirvana", "other"]),
        (C, ["can", "kan"]),
    ]
    assert len(find_collisions(normalise_spellings(spellings), rows, 1).examples_of_mbids) == 1


def test_a_spelling_without_mbid_that_two_artists_own_is_its_own() -> None:
    assert who([(A, "Nirvana"), (B, "nirvana"), ("", "Nirvana")]) == [A, B, "nirvana"]


def test_a_table_of_artists_survives_writing(tmp_path: Path) -> None:
    names = ['say "x", y', "two\rlines\nthree", "NA", "null", "Ñandú", " "]
    artists = pd.DataFrame(
        {
            "artist": [f"{i}" for i in range(len(names))],
            "name": names,
            "mbid": [A, *[""] * (len(names) - 1)],
            "listeners": range(len(names)),
            "plays": range(len(names)),
        }
    )
    write_artists(artists, tmp_path / "artists.csv")
    pd.testing.assert_frame_equal(read_artists(tmp_path / "artists.csv", "again"), artists)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; again"),
        ("artist,name\na,A\n", "expected artist, .*again"),
        ("artist,name,mbid,listeners,plays\n", "in 0 rows"),
        ("artist,name,mbid,listeners,plays\na,A,,many,1\n", "is not a table of artists"),
        ("artist,name,mbid,listeners,plays\na,A,,1,1\na,B,,1,1\n", "in two rows; again"),
    ],
)
def test_an_invalid_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "artists.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"artists\.csv: .*{message}"):
        read_artists(path, "again")
