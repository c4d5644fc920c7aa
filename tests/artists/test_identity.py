"""Two spellings never become two artists; two MusicBrainz ids never become one."""

import csv
import gzip
import re
import unicodedata
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import ROOT
from twinear.artists.identity import (
    artist_id,
    find_artist,
    find_collisions,
    identify,
    is_mbid,
    normalise_name,
    normalise_spellings,
    read_artists,
    strip_featured,
    strip_spellings,
    write_artists,
)
from twinear.base.errors import DataError

REAL = ROOT.parent / "shared" / "real"
A = "aaaaaaaa-0000-4000-8000-000000000000"
C = "cccccccc-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        # case, accents, width, blanks
        ("Beyoncé", "beyonce"),
        ("Beyonce\N{COMBINING ACUTE ACCENT}", "beyonce"),
        ("  MOTÖRHEAD\t", "motorhead"),
        ("Trentemøller", "trentemoller"),
        ("two\rlines", "two lines"),
        ("zero\u200bwidth", "zerowidth"),
        ("ＬｕＬｕ", "lulu"),  # noqa: RUF001
        ("Straße", "strasse"),
        # articles, "and"
        ("The Beatles", "beatles"),
        ("Beatles, The", "beatles"),
        ("BEATLES,the", "beatles"),
        ("Toten Hosen, Die", "die toten hosen"),
        ("Tyler, the Creator", "tyler the creator"),
        ("The 1975", "1975"),
        ("Simon & Garfunkel", "simon and garfunkel"),
        ("Marina&the Diamonds", "marina and the diamonds"),
        ("Florence + the Machine", "florence and the machine"),
        # apostrophes
        ("Destiny's Child", "destinys child"),
        ("Destiny’s Child", "destinys child"),  # noqa: RUF001
        ("Destiny´s Child", "destinys child"),  # noqa: RUF001
        ("Destiny`s Child", "destinys child"),
        ("Guns N' Roses", "guns n roses"),
        ("Guns'n'Roses", "guns n roses"),
        # initials, short names
        ("R.E.M.", "rem"),
        ("N*E*R*D", "nerd"),
        ("J. J. Cale", "jj cale"),
        ("J.J. Cale", "jj cale"),
        ("The Notorious B.I.G.", "notorious big"),
        ("Run-D.M.C.", "run dmc"),
        ("Dr. Dre", "dr dre"),
        ("will.i.am", "will i am"),
        ("AC/DC", "acdc"),
        ("AC-DC", "acdc"),
        ("AC DC", "acdc"),
        ("UB 40", "ub40"),
        ('"U2"', "u2"),
        # other signs
        ("*NSYNC", "nsync"),
        ("Jay-Z", "jay z"),
        ("Panic! at the Disco", "panic at the disco"),
        ("Sunn O)))", "sunn o"),
        ("Ke$ha", "kesha"),
        ("A$AP", "asap"),
        ("Prozac+", "prozac"),
        # what a short name, or one without letters, would lose with its signs
        ("+44", "+44"),
        ("44", "44"),
        ("$100", "$100"),
        ("2:54", "2:54"),
        ("!!!", "!!!"),
        ("！！！", "!!!"),  # noqa: RUF001
        ("!!!\u200b", "!!!"),
        ("???", "???"),
        ("+/-", "+/-"),
        ("&", "&"),
        ("†††", "†††"),
        ("\u200b", "\u200b"),
        ("A", "a"),
        ("A+", "a+"),
        ("P!nk", "p!nk"),
        ("f(x)", "f(x)"),
        ("The", "the"),
        ("the the", "the the"),
        ("The, The", "the the"),
        # other scripts keep their letters
        ("Король и Шут", "король и шут"),
        ("Бой", "бой"),
        ("Ёлка", "елка"),
        ("がっこう", "がっこう"),  # か with its mark is another letter
        ("हिन्दी", "हिन्दी"),
        ("", ""),
        (" \r\n ", ""),
    ],
)
def test_a_name_is_reduced_to_what_its_spellings_share(name: str, normalised: str) -> None:
    assert normalise_name(name) == normalised


# Letters with everything that a rule is about, and any text.
NAMES = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [*"abtheé019 ,.'$&+-/!*_()й가\u00b4\u0301\u200b", "the ", ", the", "'n'", "feat. "]
        )
    ).map("".join),
)


@given(NAMES)
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert normalise_name(normalise_name(name)) == normalise_name(name)
    assert strip_featured(strip_featured(name)) == strip_featured(name)


@given(NAMES)
def test_only_blank_names_are_normalised_to_nothing(name: str) -> None:
    assert bool(normalise_name(name)) == bool(strip_featured(name).strip()) == bool(name.strip())


@given(NAMES)
def test_case_composition_and_surrounding_blanks_do_not_matter(name: str) -> None:
    name = name.replace("\N{COMBINING GREEK YPOGEGRAMMENI}", "")  # in upper case it is a letter
    spellings = [name.upper(), f"\t{name}  "]
    spellings += [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    assert {normalise_name(spelling) for spelling in spellings} == {normalise_name(name)}


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
@example("`")
def test_width_does_not_matter(name: str) -> None:
    full = "".join(chr(ord(char) + 0xFEE0) for char in name)
    assert normalise_name(full) == normalise_name(name)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_a_leading_the_does_not_matter(name: str) -> None:
    if normalise_name(name).isalnum() and normalise_name(name) != "the":
        assert normalise_name(f"The {name}") == normalise_name(f"{name}, The")
        assert normalise_name(f"The {name}") == normalise_name(name)


def letters(name: str) -> str:
    """The letters and digits of a name in their plain spelling, without a leading "the"."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    spelt = re.sub(r"&|(?<=[\w ])\+(?=[\w ])", "and", folded).replace("$", "s")
    plain = re.sub(r"^the\b", "", spelt)
    for letter, spelling in zip(
        "øłđðæœþ\u0131", ["o", "l", "d", "d", "ae", "oe", "th", "i"], strict=True
    ):
        plain = plain.replace(letter, spelling)
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", plain)))


@pytest.mark.skipif(not REAL.exists(), reason="the acceptance corpus is not here")
def test_real_names_lose_no_letter_and_fall_together_as_counted() -> None:
    lines = (REAL / "hetrec2011-lastfm-2k" / "artists.dat").read_text("utf-8").split("\n")[1:-1]
    names = {line.split("\t")[1] for line in lines}
    with gzip.open(REAL / "truths" / "lastfm_15k.csv.gz", "rt", encoding="utf-8") as file:
        names |= {row["artist"] for row in csv.DictReader(file)}
    groups = defaultdict(set)
    for name in names:
        groups[normalise_name(name)].add(name)
        if any(map(str.isalpha, name)):
            assert letters(normalise_name(name)) == letters(name), name
    beyond_case = [group for group in groups.values() if len(set(map(str.casefold, group))) > 1]
    assert (len(names), len(groups), len(beyond_case)) == (18_628, 17_510, 121)
    apart = ["Blackrain", "Black Rain", "Cold World", "ColdWorld", "D:Ream", "The-Dream"]
    apart += ["G. Love", "The Glove", "Winds", "w-inds.", "+44", "44"]
    assert len({normalise_name(name) for name in apart}) == len(apart)
    assert set(apart) <= names


@pytest.mark.parametrize(
    ("name", "stripped"),
    [
        ("Drake feat. Rihanna", "Drake"),
        ("Drake (feat. Rihanna)", "Drake"),
        ("Drake [Feat. Rihanna & X (Y)]", "Drake"),
        ("Drake (feat. Rih", "Drake"),  # old tags have room for 30 letters
        ("Drake ft Rihanna", "Drake"),
        ("Drake, Ft. Rihanna ft. Other", "Drake"),
        ("Drake FEATURING Rihanna", "Drake"),
        ("Drake feat.Rihanna", "Drake"),
        ("Drake (feat. Rihanna) & Other", "Drake & Other"),
        ("!!! feat. Other", "!!!"),
        ("Little Feat feat. Other", "Little Feat"),
        *(
            (name, name)
            for name in (
                *("Feat. X", "(feat. X)", "Little Feat", "Little Feat & X", "Defeater"),
                *("Ft. Lauderdale", "The Ft. Worth", "10 Ft. Ganja Plant", "Drake feat."),
                *("Earth, Wind & Fire", "X with Y", "X vs. Y", "X presents Y", "A, B and C"),
            )
        ),
    ],
)
def test_featured_guests_are_cut_off(name: str, stripped: str) -> None:
    assert strip_featured(name) == stripped
    assert artist_id("", name) == artist_id("", stripped)
    assert artist_id(A, name) == A


def test_a_name_with_guests_stays_whole_where_an_artist_with_an_mbid_bears_it() -> None:
    maze = "Maze Featuring Frankie Beverly"
    spellings = [(A, maze), ("", maze.upper()), ("", "Maze feat. X"), (B, "Other feat. X")]
    assert strip_spellings(spellings) == [maze, maze.upper(), "Maze", "Other feat. X"]


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
        ("artist,name,mbid,listeners,plays\n", "holds no artist: .*--listens"),
        ("artist,name,mbid,listeners,plays\na,A,,many,1\n", "is not a table of artists"),
        ("artist,name,mbid,listeners,plays\na,A,,1,1\na,B,,1,1\n", "in two rows; again"),
    ],
)
def test_an_invalid_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "artists.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"artists\.csv: .*{message}"):
        read_artists(path, "again")


@pytest.mark.parametrize(
    ("query", "name"),
    [("REM", "R.E.M."), ("acdc", "AC/DC"), ("Beatles, The", "The Beatles"), ("rem", "R.E.M.")],
)
def test_an_artist_is_found_however_it_is_spelt(query: str, name: str) -> None:
    names = ["R.E.M.", "AC/DC", "The Beatles"]
    table = {"artist": [normalise_name(name) for name in names], "name": names}
    assert find_artist(pd.DataFrame(table), query, Path("here"))["name"] == name
