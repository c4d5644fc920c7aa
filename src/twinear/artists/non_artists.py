"""Names and MusicBrainz ids that stand where the artist is not one: "Various Artists", "[unknown]".

`listens.drop_names` of `params.yaml` lists the names. MusicBrainz has entries for some of them, the
special-purpose artists (https://musicbrainz.org/doc/Style/Unknown_and_untitled).
"""

from collections.abc import Iterable
from types import MappingProxyType

from twinear.artists.identity import is_mbid, normalise_name, strip_featured

# MusicBrainz's special-purpose artists, and the more specific ones that its style guide names
SPECIAL_PURPOSE = MappingProxyType(
    {
        "89ad4ac3-39f7-470e-963a-56509c546377": "various artists",
        "125ec42a-7229-4250-afc5-e057484327fe": "[unknown]",
        "eec63d3c-3b81-4ad4-b1e4-7c147d4d2b61": "[no artist]",
        "f731ccc4-e22a-43af-a747-64213329e088": "[anonymous]",
        "9be7f096-97ec-4615-8957-8d40b5dcbc41": "[traditional]",
        "33cf029c-63b0-41a0-9855-be2a3665fb3b": "[data]",
        "314e1c25-dde7-4e4d-b2f4-0a7b9f7c56dc": "[dialogue]",
        "66ea0139-149f-4a0c-8fbf-5ea9ec4a6e49": "[disney]",
        "a0ef7e1d-44ff-4039-9435-7d5fefdeecc9": "[theatre]",
        "0187fe48-c87d-4dd8-beca-9c07ef535603": "[christmas music]",
        "9e44f539-f3fc-4120-bce2-94c8716437fa": "[classical music]",
        "d6bd72bc-b1e2-4525-92aa-0f853cbb41bf": "[soundtrack]",
        "90068d37-bae7-4292-be4a-704c145bd616": "[church chimes]",
        "80a8851f-444c-4539-892b-ad2a49292aa9": "[language instruction]",
        "51118c9d-965d-4f9f-89a1-0091837ccf54": "[nature sounds]",
        "49e713ce-c3be-4697-8983-ee7cd0a11ea1": "[news report]",
    }
)
BRACKETS = ("[", "<")


class NonArtists:
    """Names that do not denote an artist, however they are spelt.

    A name in brackets ("[data]", "<unknown>") is compared with its brackets, because there is an
    artist DatA, and whatever its MusicBrainz id is, because no artist bears it. Another name is
    compared in its normal form, and only where there is no MusicBrainz id: a band called Unknown
    has one. The id of a special-purpose artist stands for its name.

    Examples
    --------
    >>> non_artists = NonArtists(["Various Artists", "[data]", "VA"])
    >>> [non_artists.include("", name) for name in ("VARIOUS  ARTISTS", "V.A.", "[Data]", "DatA")]
    [True, True, True, False]
    """

    def __init__(self, names: Iterable[str]) -> None:
        folded = [_fold(name) for name in names]
        self._bracketed = {name for name in folded if name.startswith(BRACKETS)}
        self._normal = {normalise_name(name) for name in folded if not name.startswith(BRACKETS)}
        self._mbids = {
            mbid
            for mbid, name in SPECIAL_PURPOSE.items()
            if name in self._bracketed or name in self._normal
        }

    def include(self, mbid: str, name: str) -> bool:
        """Whether this MusicBrainz id ("" or invalid: unknown) and name denote no artist."""
        mbid = mbid.strip().lower()
        if mbid in self._mbids or (
            name.lstrip()[:1] in BRACKETS and _fold(name) in self._bracketed
        ):
            return True
        return not is_mbid(mbid) and normalise_name(strip_featured(name)) in self._normal


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())
