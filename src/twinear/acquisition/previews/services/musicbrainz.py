"""MusicBrainz: who an artist is, and its ids at the other services. 1 request a second.

For an MBID that was merged into another, the service answers with the other one; both are kept.
Without an MBID the name is searched; a result counts only if exactly one artist has the name.
"""

import re
from dataclasses import dataclass, field, replace

from twinear.acquisition.network.client import Client, RequestPolicy
from twinear.acquisition.network.errors import InvalidContentError, NotFoundError
from twinear.acquisition.previews.services.matching import inner, number, rows, text
from twinear.acquisition.previews.source import RequestedArtist
from twinear.artists.identity import is_mbid, normalise_name

NAME = "musicbrainz"
URL = "https://musicbrainz.org/ws/2"
REQUEST_POLICY = RequestPolicy(n=1, seconds=1.0)
MAX_RESULTS = 25

SERVICES = {
    "deezer": re.compile(r"https?://(?:www\.)?deezer\.com/(?:\w\w/)?artist/(\d+)/?"),
    "itunes": re.compile(
        r"https?://(?:geo\.)?(?:itunes|music)\.apple\.com/(?:\w\w/)?artist/(?:[^/?]+/)?(?:id)?(\d+)/?"
    ),
    "spotify": re.compile(r"https?://open\.spotify\.com/artist/([0-9A-Za-z]+)/?"),
}


@dataclass(frozen=True, kw_only=True)
class ArtistIdentity:
    """Who an artist is."""

    # the MBID that was looked up; "" if the artist was found by name, also because MusicBrainz no
    # longer has the MBID (which is not a merge)
    requested_mbid: str
    mbid: str  # the current one; another than `requested_mbid` after a merge
    name: str
    ids: dict[str, str] = field(default_factory=dict, hash=False)  # service -> id, where linked

    @property
    def merged(self) -> bool:
        """Whether the MBID that was looked up is now another."""
        return self.requested_mbid not in ("", self.mbid)


class MusicBrainz:
    """Identities of artists."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def identify(self, artist: RequestedArtist) -> ArtistIdentity | None:
        """Identify by MBID, else by name; None if MusicBrainz has no such artist, or several."""
        if by_mbid := self.lookup(artist.mbid):
            return by_mbid
        mbids = self.search(artist.name)
        if len(mbids) != 1 or not (by_name := self.lookup(mbids[0])):
            return None
        return replace(by_name, requested_mbid="")

    def lookup(self, mbid: str) -> ArtistIdentity | None:
        """Look up an MBID; None if it is not one, or no longer known."""
        mbid = mbid.strip().lower()
        if not is_mbid(mbid):
            return None
        path = f"/artist/{mbid}"
        try:
            answer = self._client.get(path, {"inc": "url-rels", "fmt": "json"})
        except NotFoundError:
            return None
        current = text(answer, "id").lower()
        if not is_mbid(current):
            raise InvalidContentError(f"{NAME} {path}", "has no MBID")
        ids: dict[str, str] = {}  # the first link to each service that has not ended
        relations = answer.get("relations")
        for relation in relations if isinstance(relations, list) else []:
            if isinstance(relation, dict) and relation.get("ended") is not True:
                url = re.sub(r"[?#].*", "", text(inner(relation, "url"), "resource"))
                for service, pattern in SERVICES.items():
                    if match := pattern.fullmatch(url):
                        ids.setdefault(service, match[1])
        name = text(answer, "name")
        return ArtistIdentity(requested_mbid=mbid, mbid=current, name=name, ids=ids)

    def search(self, name: str) -> list[str]:
        """The MBIDs of all artists of that name, the best match first."""
        normalised = normalise_name(name)
        if not normalised:
            return []
        phrase = re.sub(r'(["\\])', r"\\\1", " ".join(name.split()))
        answer = self._client.get(
            "/artist", {"query": f'artist:"{phrase}"', "fmt": "json", "limit": MAX_RESULTS}
        )
        artists = rows(answer, "artists", f"{NAME} /artist")
        same = [row for row in artists if normalise_name(text(row, "name")) == normalised]
        same.sort(key=lambda row: -number(row, "score"))
        return [mbid for row in same if is_mbid(mbid := text(row, "id").lower())]
