"""What a fetch gave and what is missing, for people and for machines."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from twinear.acquisition.music_folder import LeftOut
from twinear.acquisition.previews.journal import ArtistOutcome

MAX_SHOWN = 20  # entries of a list in the text for people

Entry = dict[str, str]  # artist (id), name, why


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """The outcome of a fetch; each artist is in exactly one of complete to failed."""

    artists: int
    clips: int  # of these artists, including those of earlier fetches
    by_source: dict[str, dict[str, int]]  # source -> the numbers of its artists and clips
    complete: int  # artists with as many clips as requested
    few: list[Entry]  # artists with some clips, but fewer than requested
    ambiguous: list[Entry]  # artists without clips because several have the name
    without_audio: list[Entry]  # no source knows the artist or has a preview that can be used
    failed: list[Entry]  # artists without clips because of errors
    set_aside: list[Entry]  # previews that were not taken, and why
    merged: dict[str, str]  # MusicBrainz id -> the one it was merged into
    left_out: dict[str, int]  # reason -> files of the folder of music that were left out
    examples: dict[str, list[str]]  # reason -> the first of them


def summarise(outcomes: Sequence[ArtistOutcome], n_clips: int, left_out: LeftOut) -> FetchReport:
    """Count the outcomes of the artists."""
    sources = [[fetched.clip.source for fetched in outcome.clips] for outcome in outcomes]
    clips = Counter(source for of_artist in sources for source in of_artist)
    artists = Counter(source for of_artist in sources for source in set(of_artist))
    lists: defaultdict[str, list[Entry]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.clips:
            kind = "complete" if len(outcome.clips) >= n_clips else "few"
        elif outcome.faults:
            kind = "failed"
        else:
            kind = "ambiguous" if outcome.ambiguous else "without_audio"
        reasons = [f"{len(outcome.clips)} clips"] if outcome.clips else []
        reasons += [f"{source}: {why}" for source, why in outcome.ambiguous.items()]
        reasons += list(outcome.faults.values())
        if outcome.set_aside:
            reasons.append(f"{len(outcome.set_aside)} previews set aside")
        lists[kind].append(_entry(outcome, "; ".join(reasons) or "no source has it"))
    return FetchReport(
        artists=len(outcomes),
        clips=clips.total(),
        by_source={
            source: {"artists": artists[source], "clips": clips[source]} for source in clips
        },
        complete=len(lists["complete"]),
        few=lists["few"],
        ambiguous=lists["ambiguous"],
        without_audio=lists["without_audio"],
        failed=lists["failed"],
        set_aside=[
            _entry(outcome, f"{preview}: {why}")
            for outcome in outcomes
            for preview, why in outcome.set_aside.items()
        ],
        merged={old: new for outcome in outcomes for old, new in outcome.redirects.items()},
        left_out=left_out.counts,
        examples=left_out.examples,
    )


def _entry(outcome: ArtistOutcome, why: str) -> Entry:
    return {"artist": outcome.artist, "name": outcome.name or outcome.artist, "why": why}


def format_report(report: FetchReport) -> str:
    """The report as a table, and what is missing as lists."""
    lines = [f"{'source':<10} {'artists':>8} {'clips':>8}"]
    for source, n in report.by_source.items():
        lines.append(f"{source:<10} {n['artists']:>8} {n['clips']:>8}")
    lines.append(f"{'all':<10} {report.artists:>8} {report.clips:>8}")
    lists = {
        "with fewer clips": report.few,
        "ambiguous": report.ambiguous,
        "without audio": report.without_audio,
        "failed": report.failed,
        "previews set aside": report.set_aside,
    }
    lines += ["", f"{'complete':<20} {report.complete:>6}"]
    lines += [f"{title:<20} {len(entries):>6}" for title, entries in lists.items()]
    lines += [f"{'merged MBIDs':<20} {len(report.merged):>6}"]
    for title, entries in lists.items():
        if entries:
            lines += ["", f"{title}:"]
            lines += [f"  {entry['name']}: {entry['why']}" for entry in entries[:MAX_SHOWN]]
        if len(entries) > MAX_SHOWN:
            lines.append(f"  … and {len(entries) - MAX_SHOWN} more; --json shows all")
    if report.left_out:
        lines += ["", "files of the music folder left out:"]
    for reason, n_files in report.left_out.items():
        lines.append(f"  {n_files} {reason}: {', '.join(report.examples[reason])}")
    return "\n".join(lines)
