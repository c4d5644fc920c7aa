"""MusicBrainz: who an artist is, and which ids the other services have for it. 1 request a second.

An MBID that was merged into another answers with that one; both are told. Without an MBID the name
is searched; it counts only if exactly one artist bears it.
"""

import re
from dataclasses import dataclass, field, replace

from twinear.acquisition.network.client import Client, Manners, Params
from twinear.acquisition.network.errors import Malformed, Unknown
from twinear.acquisition.network.response_cache import Answer
from twinear.acquisition.previews.services.matching import Row, inner, number, rows, text
from twinear.acquisition.previews.source import Wanted
from twinear.artists.identity import is_mbid, normalise_name

NAME = "musicbrainz"
URL = "https://musicbrainz.org/ws/2"
MANNERS = Manners(n=1, seconds=1.0)
MOST_FOUND = 25

SERVICES = {
    "deezer": re.compile(r"https?://(?:www\.)?deezer\.com/(?:\w\w/)?artist/(\d+)/?"),
    "itunes": re.compile(
        r"https?://(?:geo\.)?(?:itunes|music)\.apple\.com/(?:\w\w/)?artist/(?:[^/?]+/)?(?:id)?(\d+)/?"
    ),
    "spotify": re.compile(r"https?://open\.spotify\.com/artist/([0-9A-Za-z]+)/?"),
}


@dataclass(frozen=True, kw_only=True)
class Identified:
    """Who an artist is.

    Parameters
    ----------
    asked
        The MBID that was asked for, "" if a name was (also when MusicBrainz knows the MBID no
        longer: that is no merge).
    mbid
        The one that is current: another than `asked` after a merge.
    ids
        Service -> the artist's id there, as far as MusicBrainz links to it.
    confidence
        1 for an MBID, .9 for a name that only one artist bears.
    """

    asked: str
    mbid: str
    name: str
    ids: dict[str, str] = field(default_factory=dict, hash=False)
    confidence: float = 1.0

    @property
    def merged(self) -> bool:
        """Whether the MBID that was asked for is now another."""
        return self.asked not in ("", self.mbid)


class Identity:
    """Identities by MusicBrainz."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, artist: Wanted) -> Identified | None:
        """Identify by MBID, else by name; None if MusicBrainz knows none, or several."""
        if found := self.of(artist.mbid):
            return found
        bearers = self.search(artist.name)
        if len(bearers) != 1 or not (found := self.of(bearers[0])):
            return None
        return replace(found, asked="", confidence=0.9)

    def of(self, mbid: str) -> Identified | None:
        """Follow an MBID; None if it is none, or known no longer."""
        mbid = mbid.strip().lower()
        if not is_mbid(mbid):
            return None
        path = f"/artist/{mbid}"
        try:
            answer = self._client.get(path, {"inc": "url-rels", "fmt": "json"})
        except Unknown:
            return None
        current = text(answer, "id").lower()
        if not is_mbid(current):
            raise Malformed(f"{NAME} {path}", "has no MBID")
        return Identified(asked=mbid, mbid=current, name=text(answer, "name"), ids=_ids(answer))

    def search(self, name: str) -> list[str]:
        """The MBIDs of all artists of that name, the likeliest first."""
        wanted = normalise_name(name)
        if not wanted:
            return []
        phrase = re.sub(r'(["\\])', r"\\\1", " ".join(name.split()))
        asked: Params = {"query": f'artist:"{phrase}"', "fmt": "json", "limit": MOST_FOUND}
        found = rows(self._client.get("/artist", asked), "artists", f"{NAME} /artist")
        same = [row for row in found if normalise_name(text(row, "name")) == wanted]
        same.sort(key=lambda row: -number(row, "score"))
        return [mbid for row in same if is_mbid(mbid := text(row, "id").lower())]


def _ids(answer: Answer) -> dict[str, str]:
    """The first link to each service that has not ended."""
    relations = answer.get("relations")
    ids: dict[str, str] = {}
    for relation in relations if isinstance(relations, list) else []:
        if isinstance(relation, dict) and relation.get("ended") is not True:
            for service, artist_id in _linked(relation):
                ids.setdefault(service, artist_id)
    return ids


def _linked(relation: Row) -> list[tuple[str, str]]:
    url = re.sub(r"[?#].*", "", text(inner(relation, "url"), "resource"))
    matches = [(service, pattern.fullmatch(url)) for service, pattern in SERVICES.items()]
    return [(service, match[1]) for service, match in matches if match]
