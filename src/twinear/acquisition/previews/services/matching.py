"""Which artist of a service is the one that is meant, and how sure that is; rows read with care.

A name counts when it is the same after normalisation, never when it is only like it. Among several
of one name the titles of known releases decide, else popularity; see `source.Candidate`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from twinear.acquisition.network.errors import Malformed
from twinear.acquisition.network.response_cache import Answer
from twinear.acquisition.previews.source import Candidate, Wanted
from twinear.artists.identity import normalise_name

MOST_COMPARED = 5  # artists of one name whose titles are asked for
FAR_MORE = 10  # times as popular as the next: the one that people mean

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An artist as a service knows it."""

    artist_id: str
    name: str
    popularity: int = 0


def related(profile: Profile, source: str) -> Candidate:
    """The candidate that MusicBrainz links to."""
    return _candidate(profile, source, 1.0, "linked by MusicBrainz")


def choose(
    artist: Wanted,
    profiles: Iterable[Profile],
    source: str,
    titles_of: Callable[[Profile], Iterable[str]],
) -> Candidate | None:
    """Choose among what a search for the artist's name found; None if nobody bears it.

    Parameters
    ----------
    titles_of
        Asks for titles of a profile's releases and recordings.
    """
    name = normalise_name(artist.name)
    same = [each for each in profiles if normalise_name(each.name) == name]
    same.sort(key=lambda each: -each.popularity)
    if not same:
        return None
    if len(same) == 1:
        return _candidate(same[0], source, 0.9, "the only one of that name")
    by_titles = _by_titles(artist, same[:MOST_COMPARED], titles_of)
    if by_titles:
        return _candidate(by_titles, source, 0.95, f"one of {len(same)} of that name, by titles")
    if same[0].popularity > FAR_MORE * same[1].popularity:
        why = f"by far the most popular of {len(same)} of that name"
        return _candidate(same[0], source, 0.7, why)
    return _candidate(same[0], source, 0.5, f"a guess among {len(same)} of that name")


def _candidate(profile: Profile, source: str, confidence: float, why: str) -> Candidate:
    return Candidate(
        artist_id=profile.artist_id,
        name=profile.name,
        source=source,
        popularity=profile.popularity,
        confidence=confidence,
        why=why,
    )


def _by_titles(
    artist: Wanted, same: list[Profile], titles_of: Callable[[Profile], Iterable[str]]
) -> Profile | None:
    known = {_bare(title) for title in artist.titles} - {""}
    if not known:
        return None
    shared = [len(known & {_bare(title) for title in titles_of(each)}) for each in same]
    most = max(shared)
    return same[shared.index(most)] if most and shared.count(most) == 1 else None


def _bare(title: str) -> str:
    """A title without what stands in brackets: (Remastered), [Live]."""
    return normalise_name(re.sub(r"\([^)]*\)|\[[^]]*\]", " ", title))


def rows(answer: Answer, key: str, place: str) -> list[Row]:
    """The objects in a list of an answer; what else the list holds is passed over."""
    found = answer.get(key)
    if not isinstance(found, list):
        raise Malformed(place, f"has no list {key!r}")
    return [each for each in found if isinstance(each, dict)]


def text(row: Row, key: str) -> str:
    """A text on one line, "" if there is none.

    Neither lone surrogates, which no file can hold, nor control characters, which a terminal obeys.
    """
    found = row.get(key)
    if not isinstance(found, str):
        return ""
    encodable = found.encode("utf-8", "ignore").decode()
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", encodable).split())


def number(row: Row, key: str) -> int:
    """A whole number, 0 if there is none."""
    found = row.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def key_of(row: Row, key: str) -> str:
    """An id, a number or letters, that can stand in a path; "" if there is none."""
    found = row.get(key)
    plain = str(found) if isinstance(found, int | str) and not isinstance(found, bool) else ""
    return plain if is_key(plain) else ""


def is_key(plain: str) -> bool:
    """Whether it is an id of a service, safe to put into an address."""
    return re.fullmatch(r"[0-9A-Za-z]{1,64}", plain) is not None


def inner(row: Row, key: str) -> Row:
    """An object inside of an object, {} if there is none."""
    found = row.get(key)
    return found if isinstance(found, dict) else {}
