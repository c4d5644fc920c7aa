"""One artist's clips: who it is, then source after source until there are enough.

A source that is not sure enough about the artist, has nothing or is away is skipped, and the
outcome says so. A recording counts once: neither the same bytes are taken twice, nor a title of the
same length that differs only by the edition.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from twinear.acquisition.network.errors import (
    InvalidContentError,
    ServiceUnavailableError,
    SourceError,
)
from twinear.acquisition.previews.deduplication import same_recording
from twinear.acquisition.previews.journal import ArtistOutcome, FetchedClip, FetchJournal
from twinear.acquisition.previews.provenance import ClipRow, bare_url
from twinear.acquisition.previews.services.musicbrainz import NAME as MUSICBRAINZ
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist, Source
from twinear.acquisition.previews.sources import OpenSources
from twinear.artists.identity import normalise_name
from twinear.clips.clips import ClipsParams

LOCAL = ("folder", "table")  # asked again each time: they may have grown, and it costs nothing
SPARE = 12  # previews listed beyond the clips requested, as some cannot be used


@dataclass(frozen=True, kw_only=True)
class FetchParams:
    """How clips are fetched."""

    n_clips: int  # for each artist
    usable: ClipsParams  # audio that the stage clips would set aside is not taken
    min_confidence: float = 0.7  # a source that is less sure about the artist counts as ambiguous
    again: bool = False  # ask again for artists who had too few clips the last time
    threads: int = 8  # how many artists are fetched at once
    rounds: int = 3  # artists whose sources were away are tried so often
    pause_seconds: float = 300.0  # between rounds


@dataclass(frozen=True, kw_only=True)
class ArtistFetch:
    """Fetches the clips of one artist after another, from the same sources."""

    opened: OpenSources
    journal: FetchJournal
    params: FetchParams

    def run(self, artist: RequestedArtist) -> ArtistOutcome:
        """Fetch the missing clips of an artist; the outcome is in the journal, too."""
        request = [str(self.params.n_clips), *(source.name for source in self.opened.sources)]
        known = self.journal.outcome(artist.artist)
        if known and self.is_enough(known):
            return known
        local = any(source.name in LOCAL for source in self.opened.sources)
        if known and known.asked == request and not (known.away or local or self.params.again):
            return known  # the same request would give nothing new
        outcome = ArtistOutcome(
            artist=artist.artist,
            name=artist.name,
            asked=request,
            clips=known.clips if known else [],
            redirects=known.redirects if known else {},
        )
        aliases = self._identify(artist, outcome)
        for source in self.opened.sources:
            if not self.is_enough(outcome):
                with _recording_faults(outcome, source.name):
                    self._take_clips(source, aliases, outcome)
        self.journal.write_outcome(outcome)
        return outcome

    def is_enough(self, outcome: ArtistOutcome) -> bool:
        """Whether the artist has as many clips as requested."""
        return len(outcome.clips) >= self.params.n_clips

    def _identify(self, artist: RequestedArtist, outcome: ArtistOutcome) -> list[RequestedArtist]:
        """The artist with all its ids, under its name and then MusicBrainz's if it differs."""
        identity = None
        if self.opened.musicbrainz:
            with _recording_faults(outcome, MUSICBRAINZ):
                identity = self.opened.musicbrainz.identify(artist)
        if not identity:
            return [artist]
        if identity.merged:
            outcome.redirects[identity.requested_mbid] = identity.mbid
        known = replace(artist, ids={**identity.ids, MUSICBRAINZ: identity.mbid})
        names = {normalise_name(name): name for name in (identity.name, artist.name) if name}
        return [replace(known, name=name) for name in reversed(names.values())] or [known]

    def _take_clips(
        self, source: Source, aliases: Sequence[RequestedArtist], outcome: ArtistOutcome
    ) -> None:
        """Take clips of one source until there are enough."""
        candidates = (source.find(alias) for alias in aliases)
        candidate = next(filter(None, candidates), None)
        if candidate is None:
            return
        if candidate.confidence < self.params.min_confidence:
            outcome.ambiguous[source.name] = candidate.why
            return
        for preview in source.previews(candidate, self.params.n_clips + SPARE):
            if self.is_enough(outcome):
                return
            clip = self._take(preview, source, candidate, aliases[0], outcome)
            if isinstance(clip, str):
                outcome.set_aside[f"{source.name} {preview.source_id}"] = clip
            elif clip:
                outcome.clips.append(FetchedClip(clip=clip, seconds=preview.duration_seconds))

    def _take(
        self,
        preview: Preview,
        source: Source,
        candidate: Candidate,
        artist: RequestedArtist,
        outcome: ArtistOutcome,
    ) -> ClipRow | str | None:
        """A preview's clip, or why it is not taken, or None if the artist has it already."""
        for fetched in outcome.clips:
            clip = fetched.clip
            if (clip.source, clip.source_id) == (source.name, preview.source_id):
                return None
            title, seconds = preview.title, preview.duration_seconds
            if same_recording(title, seconds, clip.title, fetched.seconds):
                return f"the same recording as '{clip.title}'"
        try:
            audio = self.journal.fetch_audio(preview, source)
        except ServiceUnavailableError:
            raise
        except SourceError as error:
            return str(error)
        if audio.fault:
            return audio.fault
        for fetched in outcome.clips:
            if fetched.clip.sha256 == audio.sha256:
                return f"the same audio as '{fetched.clip.title}'"
        return ClipRow(
            file=audio.file,
            artist=artist.name or candidate.name,
            mbid=artist.mbid,
            title=preview.title,
            source=source.name,
            source_artist=candidate.artist_id,
            source_id=preview.source_id,
            url=bare_url(preview.url),
            fetched=audio.fetched,
            bytes=audio.bytes,
            sha256=audio.sha256,
            terms=preview.terms,
            confidence=candidate.confidence,
            why=candidate.why,
        )


@contextmanager
def _recording_faults(outcome: ArtistOutcome, source: str) -> Iterator[None]:
    """Record why a source gave nothing, and go on."""
    try:
        yield
    except SourceError as error:
        outcome.faults[source] = str(error)
        if isinstance(error, ServiceUnavailableError | InvalidContentError):  # it may pass
            outcome.away.append(source)
