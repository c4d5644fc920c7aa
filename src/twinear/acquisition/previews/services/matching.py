"""Which artist of a service is the requested one, and how sure that is; JSON read with care.

A name matches when it is equal after normalisation, never when it is only similar. Among several
artists of one name the titles of known releases decide, else popularity; see `source.Candidate`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from twinear.acquisition.network.errors import InvalidContentError, NotFoundError
from twinear.acquisition.network.response_cache import JsonObject
from twinear.acquisition.previews.source import Candidate, RequestedArtist
from twinear.artists.identity import normalise_name

MAX_COMPARED = 5  # artists of one name whose titles are requested
MUCH_MORE_POPULAR = 10  # times as popular as the next: the one that people mean

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An artist as a service describes it."""

    artist_id: str
    name: str
    popularity: int = 0


def profiles(artists: Iterable[Row], popularity: Callable[[Row], int]) -> list[Profile]:
    """The profiles in JSON with the keys id and name; rows without them are left out."""
    return [
        Profile(artist_id=key_of(row, "id"), name=text(row, "name"), popularity=popularity(row))
        for row in artists
        if key_of(row, "id") and text(row, "name")
    ]


def find_candidate(
    artist: RequestedArtist,
    service: str,
    lookup: Callable[[str], Profile | None],
    search: Callable[[str], Iterable[Profile]],
    titles_of: Callable[[Profile], Iterable[str]],
) -> Candidate | None:
    """Find an artist by MusicBrainz's link, else by name; None if the service has none.

    The functions request the profile of an id, the profiles of similar names, and titles of a
    profile's releases and recordings.
    """
    artist_id = artist.ids.get(service, "")
    if is_key(artist_id):
        try:
            if linked := lookup(artist_id):
                return _candidate(linked, 1.0, "linked by MusicBrainz")
        except NotFoundError:  # the link is out of date
            pass
    name = normalise_name(artist.name)
    if not name:
        return None
    same = [profile for profile in search(artist.name) if normalise_name(profile.name) == name]
    same.sort(key=lambda profile: -profile.popularity)
    if not same:
        return None
    if len(same) == 1:
        return _candidate(same[0], 0.9, "the only one of that name")
    known = {_without_brackets(title) for title in artist.titles} - {""}
    if known:
        n_shared = [
            len(known & {_without_brackets(title) for title in titles_of(profile)})
            for profile in same[:MAX_COMPARED]
        ]
        most = max(n_shared)
        if most and n_shared.count(most) == 1:  # one profile alone shares the most titles
            why = f"one of {len(same)} of that name, by titles"
            return _candidate(same[n_shared.index(most)], 0.95, why)
    if same[0].popularity > MUCH_MORE_POPULAR * same[1].popularity:
        return _candidate(same[0], 0.7, f"by far the most popular of {len(same)} of that name")
    return _candidate(same[0], 0.5, f"a guess among {len(same)} of that name")


def _candidate(profile: Profile, confidence: float, why: str) -> Candidate:
    return Candidate(artist_id=profile.artist_id, name=profile.name, confidence=confidence, why=why)


def _without_brackets(title: str) -> str:
    """The normalised title without what is in brackets: (Remastered), [Live]."""
    return normalise_name(re.sub(r"\([^)]*\)|\[[^]]*\]", " ", title))


def rows(answer: JsonObject, key: str, place: str) -> list[Row]:
    """The objects in a list of a response; other values in the list are left out."""
    values = answer.get(key)
    if not isinstance(values, list):
        raise InvalidContentError(place, f"has no list {key!r}")
    return [value for value in values if isinstance(value, dict)]


def text(row: Row, key: str) -> str:
    r"""A text on one line; "" if there is none.

    Lone surrogates, which no file can hold, and control characters, which a terminal would obey,
    are removed.

    Examples
    --------
    >>> text({"title": "Hyper\nballad \x07"}, "title")
    'Hyper ballad'
    >>> text({"title": None}, "title")
    ''
    """
    value = row.get(key)
    if not isinstance(value, str):
        return ""
    encodable = value.encode("utf-8", "ignore").decode()
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", encodable).split())


def number(row: Row, key: str) -> int:
    """A positive whole number; 0 if there is none."""
    value = row.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def key_of(row: Row, key: str) -> str:
    """An id, of digits or letters, that is safe in a URL's path; "" if there is none."""
    value = row.get(key)
    plain = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return plain if is_key(plain) else ""


def is_key(value: str) -> bool:
    """Whether a text is an id of a service, safe in a URL."""
    return re.fullmatch(r"[0-9A-Za-z]{1,64}", value) is not None


def inner(row: Row, key: str) -> Row:
    """An object inside an object; {} if there is none."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}
