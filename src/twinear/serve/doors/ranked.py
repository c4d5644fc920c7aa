"""The artists most similar to one, as the doors give them."""

from twinear.catalogue.lookup import ArtistRecord
from twinear.recommendation.collection import Collection
from twinear.recommendation.similar_artists import SimilarOptions, ask, find_similar


def rank_artists(
    collection: Collection, artist: ArtistRecord, top: int
) -> list[tuple[ArtistRecord, float]]:
    """Rank the `top` artists most similar to one, with their scores in [0, 1], best first."""
    found = find_similar(collection, ask(collection, [artist.artist]), SimilarOptions(top=top))
    return [(collection.matches(each.artist)[0], each.score) for each in found.similar]
