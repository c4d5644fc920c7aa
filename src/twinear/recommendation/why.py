"""Why an artist is in an answer: the steps of its score, and why the nearest clips sound alike."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from twinear.base.errors import DataError
from twinear.catalogue.lookup import ClipRecord
from twinear.recommendation.collection import Collection
from twinear.recommendation.reasons import ClipPairs, Reasons, give_reasons
from twinear.recommendation.similar_artists import Asked, ask

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer
    from twinear.recommendation.explanation import ClipExplanation

WIDTH = 80  # columns
WIDE = 2.0  # standard deviations of spread from which on the clips disagree
STEPS = {
    "sound": "sound (the network)",
    "csls": "after hubness reduction",
    "listeners": "after the listeners",
    "popularity": "after popularity",
}


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why an artist is similar to a seed.

    Attributes
    ----------
    seed
        Name of what was asked about.
    sound
        Why the pair of clips that scores highest sounds alike; None where their audio is missing.
    missing
        The audio file that is missing, or "".
    """

    seed: str
    reasons: Reasons
    sound: "ClipExplanation | None"
    missing: str


def explain(
    collection: Collection,
    asked: Asked,
    artist: str,
    data: Path = Path("data"),
    *,
    scorer: "Scorer | None" = None,
    descriptors: bool = False,
) -> Why:
    """Explain why an artist of the collection is similar to one that was asked about.

    Parameters
    ----------
    artist
        Id or name.
    data
        The folder that the clips' files are relative to.
    scorer
        The catalogue's, if it is loaded already.
    descriptors
        Measure tempo, brightness and onsets of both clips too; this takes seconds.

    Raises
    ------
    DataError
        No such artist, or it is the one that was asked about.
    """
    from twinear.recommendation.explanation import explain_clips  # with torch, slow to import

    nearest = find_nearest_pair(collection, asked, artist)
    first, second = data / nearest.first, data / nearest.second  # an absolute path stays
    missing = next((str(path) for path in (first, second) if not path.exists()), "")
    sound = None
    if not missing:
        loaded = scorer or collection.load_scorer()
        sound = replace(
            explain_clips(loaded, first, second, descriptors=descriptors),
            first=nearest.first_name,
            second=nearest.second_name,
        )
    return Why(seed=asked.seed.name, reasons=nearest.reasons, sound=sound, missing=missing)


@dataclass(frozen=True, kw_only=True)
class NearestPair:
    """Why an artist is similar to a seed, but for the sound of their two nearest clips.

    Attributes
    ----------
    first, second
        The files of these clips: of the seed, and of the artist.
    first_clip, second_clip
        The clips; the first is None where the seed is not in the collection.
    """

    reasons: Reasons
    first: str
    second: str
    first_clip: ClipRecord | None
    second_clip: ClipRecord
    first_name: str
    second_name: str


def find_nearest_pair(collection: Collection, asked: Asked, artist: str) -> NearestPair:
    """Give the reasons that need no audio, and the two clips of seed and artist to listen to.

    Raises
    ------
    DataError
        As `explain`.
    """
    row = collection.find(artist).row
    if row == asked.row:
        raise DataError("why", f"'{artist}' is what was asked about", expected="another artist")
    reasons = give_reasons(collection, asked.query, row, asked.row)
    pairs = reasons.clip_pairs
    second = collection.clips_of(row)[pairs.second]
    first = None
    if asked.row is None:
        first_file = asked.seed.clips[pairs.first]
        first_name = Path(first_file).name
    else:
        first = collection.clips_of(asked.row)[pairs.first]
        first_file, first_name = first.file, _named(asked.seed.name, first)
    return NearestPair(
        reasons=reasons,
        first=first_file,
        second=second.file,
        first_clip=first,
        second_clip=second,
        first_name=first_name,
        second_name=_named(reasons.name, second),
    )


def _named(artist: str, clip: ClipRecord) -> str:
    return f"{artist}: {clip.title or Path(clip.file).name}"


def format_why(why: Why, encoding: str = "utf-8") -> str:
    """Put the reasons into text of 80 columns, for a terminal of this encoding."""
    return "\n".join(_lines(why, encoding))


def _lines(why: Why, encoding: str) -> Iterator[str]:
    reasons = why.reasons
    yield from textwrap.wrap(
        f"{reasons.name} for {why.seed}: score {reasons.score:.3f}, rank {reasons.steps[-1].rank} "
        f"of {reasons.n_artists:,}",
        WIDTH,
    )
    if reasons.calibrated:
        yield from textwrap.wrap(
            "Artists that score so have this similarity by listens on average, as measured on "
            "validation artists.",
            WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
        )
    yield "  step                        adds    rank"
    for step in reasons.steps:
        if step.contribution or step.name in ("sound", "csls"):
            yield f"  {STEPS[step.name]:<24}  {step.contribution:>+6.2f}  {step.rank:>6,}"
    for through in reasons.through:
        via = f"{through.first} and {through.second}"
        yield from textwrap.wrap(
            f"{through.share:.0%} of the listeners' part: {via} have similar listeners (similarity "
            f"{through.similarity:.3f})",
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    if reasons.shared_neighbours:
        yield from textwrap.wrap(
            f"Near to both: {', '.join(reasons.shared_neighbours)}",
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    yield from textwrap.wrap(
        f"How sure: {certainty(reasons.clip_pairs)}",
        WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
    )
    yield ""
    if why.sound is None:
        yield f"  Why they sound alike cannot be told: {why.missing} is missing."
        return
    from twinear.recommendation.explanation import format_explanation

    for line in format_explanation(why.sound, encoding).splitlines():
        yield f"  {line}".rstrip()


def certainty(pairs: ClipPairs) -> str:
    """Say how far the clips of two artists agree.

    Examples
    --------
    >>> certainty(ClipPairs(
    ...     pairs=1, lowest=0.5, mean=0.5, highest=0.5, spread=0.0, first=0, second=0
    ... ))
    'one pair of clips decides; more clips would make it surer.'
    """
    if pairs.pairs == 1:
        return "one pair of clips decides; more clips would make it surer."
    spread = f"{pairs.pairs} pairs of clips score {pairs.lowest:.3f} to {pairs.highest:.3f}"
    if pairs.share is not None:
        spread += f" (the highest makes {pairs.share:.0%} of the sound)"
    if pairs.spread > WIDE:
        return f"{spread}: some sound alike, others do not."
    return f"{spread}: they agree."


def explain_similarity(
    folder: Path | str,
    artist: str,
    other: str,
    *,
    data: Path | str = "data",
    descriptors: bool = False,
) -> Why:
    """Explain why an artist of a catalogue is similar to another one; the order matters little.

    Parameters
    ----------
    folder
        The catalogue's folder.
    artist, other
        Names or ids.
    data, descriptors
        See `explain`.

    Raises
    ------
    DataError
        No such artist, twice the same one, or no catalogue.
    """
    collection = Collection.open(Path(folder))
    (asked,) = ask(collection, [artist])
    return explain(collection, asked, other, Path(data), descriptors=descriptors)
