"""Similar artists of ListenBrainz labs: artists that its users play in the same sessions. No key.

An artist is asked by its MusicBrainz id; one that the service does not know has no similar artists.
"""

from twinear.acquisition.network.client import Client, RequestPolicy
from twinear.acquisition.network.errors import InvalidContentError
from twinear.acquisition.previews.services.matching import Row, text
from twinear.artists.identity import is_mbid

NAME = "listenbrainz"
URL = "https://labs.api.listenbrainz.org"
REQUEST_POLICY = RequestPolicy(n=5, seconds=5.0)
TERMS = "ListenBrainz: similar artists from open listens (CC0)"
PATH = "/similar-artists/json"
ALGORITHM = (
    "session_based_days_7500_session_300_contribution_5_threshold_10_limit_100_filter_True_skip_30"
)


def similar_artists(client: Client, mbid: str) -> list[tuple[str, str]]:
    """List the artists similar to one: (MBID, name), the most similar first.

    Raises
    ------
    SourceError
        As `Client.get`, or an answer of another form.
    """
    params = {"artist_mbids": mbid, "algorithm": ALGORITHM}
    rows: list[Row] = client.get(PATH, params, list_key="artists")["artists"]
    if not all(isinstance(row, dict) for row in rows):
        raise InvalidContentError(f"{NAME} {PATH}", "is no list of artists")
    found = [(text(row, "artist_mbid").lower(), text(row, "name")) for row in rows]
    return [each for each in found if is_mbid(each[0]) and each[0] != mbid]
