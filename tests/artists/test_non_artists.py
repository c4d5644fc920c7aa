"""What stands for no artist is known by its name or by its MusicBrainz id."""

import pytest

from tests.support.dumps import listens_params
from twinear.artists.non_artists import SPECIAL_PURPOSE, NonArtists

A = "aaaaaaaa-0000-4000-8000-000000000000"
VARIOUS = "89ad4ac3-39f7-470e-963a-56509c546377"
DEFAULT = NonArtists(listens_params().drop_names)


@pytest.mark.parametrize(
    "name",
    [
        *("Various Artists", " VARIOUS  ARTISTS ", "various", "VA", "V.A.", "V/A", "v. a."),
        *("Unknown", "Unknown Artist", "<Unknown>", "<unknown>", "[unknown]", "[Unknown Artist]"),
        *("[no artist]", "[traditional]", "[data]", "Various Artists feat. Other", "AA.VV."),
        *(
            "Unbekannter Interpret",
            "Artiste inconnu",
            "artista  DESCONOCIDO",
            "Неизвестный исполнитель",
        ),
    ],
)
def test_names_that_denote_no_artist_are_known_in_every_spelling(name: str) -> None:
    assert DEFAULT.include("", name)


@pytest.mark.parametrize(
    "name", ["DatA", "Disney", "Various Production", "Anonymous 4", "[spunge]", "Vaa", ""]
)
def test_artists_of_similar_names_are_artists(name: str) -> None:
    assert not DEFAULT.include("", name)


def test_an_mbid_says_who_it_is_but_nobody_is_called_unknown_in_brackets() -> None:
    assert not DEFAULT.include(A, "Various")
    assert not DEFAULT.include(A, "VA")
    assert DEFAULT.include(A, "[Unknown]")
    assert DEFAULT.include("no mbid", "Various")


def test_the_ids_of_musicbrainz_stand_for_their_names() -> None:
    assert all(DEFAULT.include(mbid.upper(), "Any") for mbid in SPECIAL_PURPOSE)
    assert NonArtists(["various artists"]).include(VARIOUS, "")
    assert not NonArtists(["[unknown]"]).include(VARIOUS, "Various Artists")
    assert not NonArtists([]).include(VARIOUS, "[unknown]")
