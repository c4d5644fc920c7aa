"""One artist's clips: who it is, then source after source until there are enough.

A source that is not sure enough who is meant, has nothing or is away is passed over, and the
outcome says so. A recording counts once: neither the same bytes, nor a title of the same length
that differs only by the edition, are taken twice.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from twinear.acquisition.network.errors import Away, Malformed, PreviewError
from twinear.acquisition.previews.deduplication import same_recording
from twinear.acquisition.previews.journal import Audio, Journal, Kept, Outcome
from twinear.acquisition.previews.provenance import Clip, bare_url
from twinear.acquisition.previews.services.musicbrainz import NAME as MUSICBRAINZ
from twinear.acquisition.previews.services.musicbrainz import Identity
from twinear.acquisition.previews.source import Candidate, Preview, Source, Wanted
from twinear.artists.identity import normalise_name

LOCAL = ("folder", "table")  # asked again each time: they may have grown, and it costs nothing
SPARE = 12  # previews listed beyond the clips wanted, as some cannot be used


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What is asked for, for every artist alike.

    Parameters
    ----------
    sources
        In the order in which they are asked.
    identity
        None: the names and ids that are known have to do.
    min_confidence
        A source that is less sure who is meant counts as ambiguous.
    again
        Ask again for artists who had too few clips when they were last asked for.
    """

    sources: Sequence[Source]
    identity: Identity | None
    journal: Journal
    n_clips: int
    min_confidence: float
    again: bool

    def run(self, wanted: Wanted) -> Outcome:
        """Fetch what is missing of an artist's clips; what came of it is in the journal, too."""
        known = self.journal.outcome(wanted.artist)
        if known and self._is_settled(known):
            return known
        outcome = Outcome(
            artist=wanted.artist,
            name=wanted.name,
            asked=self._asked,
            clips=known.clips if known else [],
            redirects=known.redirects if known else {},
        )
        bearers = self._identify(wanted, outcome)
        for source in self.sources:
            if not self.is_enough(outcome):
                with _noting(outcome, source.name):
                    self._ask(source, bearers, outcome)
        self.journal.write_outcome(outcome)
        return outcome

    def is_enough(self, outcome: Outcome) -> bool:
        """Whether the artist has as many clips as were asked for."""
        return len(outcome.clips) >= self.n_clips

    @property
    def _asked(self) -> list[str]:
        return [str(self.n_clips), *(source.name for source in self.sources)]

    def _is_settled(self, known: Outcome) -> bool:
        """Whether asking again would tell nothing new."""
        if self.is_enough(known):
            return True
        local = any(source.name in LOCAL for source in self.sources)
        same = known.asked == self._asked
        return same and not (known.away or local or self.again)

    def _identify(self, wanted: Wanted, outcome: Outcome) -> list[Wanted]:
        """The artist with all its ids, under its name and then MusicBrainz's, if another."""
        found = None
        if self.identity:
            with _noting(outcome, MUSICBRAINZ):
                found = self.identity.find(wanted)
        if not found:
            return [wanted]
        if found.merged:
            outcome.redirects[found.asked] = found.mbid
        known = replace(wanted, ids={**found.ids, MUSICBRAINZ: found.mbid})
        names = [name for name in (wanted.name, found.name) if name]
        apart = {normalise_name(name): name for name in reversed(names)}
        return [replace(known, name=apart[name]) for name in reversed(apart)] or [known]

    def _ask(self, source: Source, bearers: Sequence[Wanted], outcome: Outcome) -> None:
        """Take clips of one source until there are enough."""
        found = (source.find(bearer) for bearer in bearers)
        candidate = next((each for each in found if each), None)
        if candidate is None:
            return
        if candidate.confidence < self.min_confidence:
            outcome.ambiguous[source.name] = candidate.why
            return
        for preview in source.previews(candidate, self.n_clips + SPARE):
            if self.is_enough(outcome):
                return
            taken = self._take(preview, source, outcome)
            if isinstance(taken, str):
                outcome.set_aside[f"{source.name} {preview.source_id}"] = taken
            elif taken:
                clip = _clip(bearers[0], candidate, preview, taken)
                outcome.clips.append(Kept(clip=clip, seconds=preview.duration_seconds))

    def _take(self, preview: Preview, source: Source, outcome: Outcome) -> Audio | str | None:
        """A preview's audio, why it is not taken, or None if it is taken already."""
        for kept in outcome.clips:
            clip = kept.clip
            if (clip.source, clip.source_id) == (preview.source, preview.source_id):
                return None
            title, seconds = preview.title, preview.duration_seconds
            if same_recording(title, seconds, clip.title, kept.seconds):
                return f"the same recording as '{clip.title}'"
        try:
            audio = self.journal.hear(preview, source)
        except Away:
            raise
        except PreviewError as error:
            return str(error)
        same = [kept.clip for kept in outcome.clips if kept.clip.sha256 == audio.sha256]
        if same and not audio.fault:
            return f"the same audio as '{same[0].title}'"
        return audio.fault or audio


@contextmanager
def _noting(outcome: Outcome, source: str) -> Iterator[None]:
    """Note why a source gave nothing, and go on."""
    try:
        yield
    except (Away, Malformed) as error:  # another time it may
        outcome.faults[source] = str(error)
        outcome.away.append(source)
    except PreviewError as error:
        outcome.faults[source] = str(error)


def _clip(wanted: Wanted, candidate: Candidate, preview: Preview, audio: Audio) -> Clip:
    return Clip(
        file=audio.file,
        artist=wanted.name or candidate.name,
        mbid=wanted.mbid,
        title=preview.title,
        source=preview.source,
        source_artist=preview.source_artist,
        source_id=preview.source_id,
        url=bare_url(preview.url),
        fetched=audio.fetched,
        bytes=audio.bytes,
        sha256=audio.sha256,
        terms=preview.terms,
        confidence=candidate.confidence,
        why=candidate.why,
    )
