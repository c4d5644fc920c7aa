"""What a fetch gave and what it did not, for people and for machines."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from twinear.acquisition.previews.journal import Outcome

SHOWN = 20  # of a list, for people

Entry = dict[str, str]  # artist (id), name, why


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """What came of the artists; each is in exactly one of complete to failed.

    Parameters
    ----------
    clips
        Of these artists, those of earlier fetches included.
    by_source
        Source -> artists of whom, and clips that, it gave.
    complete
        Artists with as many clips as were asked for.
    few
        Some clips, but not so many.
    ambiguous
        None, because several have the name.
    without_audio
        None, because no source knows the artist or has a preview that can be used.
    failed
        None, because of errors.
    set_aside
        Previews that were not taken, and why.
    merged
        MusicBrainz id -> the one it was merged into.
    """

    artists: int
    clips: int
    by_source: dict[str, dict[str, int]]
    complete: int
    few: list[Entry]
    ambiguous: list[Entry]
    without_audio: list[Entry]
    failed: list[Entry]
    set_aside: list[Entry]
    merged: dict[str, str]


def summarise(outcomes: Sequence[Outcome], n_clips: int) -> FetchReport:
    """Count what came of the artists."""
    clips = Counter(kept.clip.source for each in outcomes for kept in each.clips)
    given = [{kept.clip.source for kept in each.clips} for each in outcomes]
    artists = Counter(source for sources in given for source in sources)
    lists: defaultdict[str, list[Entry]] = defaultdict(list)
    for each in outcomes:
        lists[_kind(each, n_clips)].append(_entry(each, _why(each)))
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
            _entry(each, f"{preview}: {why}")
            for each in outcomes
            for preview, why in each.set_aside.items()
        ],
        merged={old: new for each in outcomes for old, new in each.redirects.items()},
    )


def _kind(outcome: Outcome, n_clips: int) -> str:
    if outcome.clips:
        return "complete" if len(outcome.clips) >= n_clips else "few"
    if outcome.faults:
        return "failed"
    return "ambiguous" if outcome.ambiguous else "without_audio"


def _why(outcome: Outcome) -> str:
    reasons = [f"{len(outcome.clips)} clips"] if outcome.clips else []
    reasons += [f"{source}: {why}" for source, why in outcome.ambiguous.items()]
    reasons += list(outcome.faults.values())
    if outcome.set_aside:
        reasons.append(f"{len(outcome.set_aside)} previews set aside")
    return "; ".join(reasons) or "no source has it"


def _entry(outcome: Outcome, why: str) -> Entry:
    return {"artist": outcome.artist, "name": outcome.name or outcome.artist, "why": why}


def format_report(report: FetchReport) -> str:
    """The report as a table, and what is missing as lists."""
    lines = [f"{'source':<10} {'artists':>8} {'clips':>8}"]
    lines += [
        f"{source:<10} {n['artists']:>8} {n['clips']:>8}" for source, n in report.by_source.items()
    ]
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
        lines += _listed(title, entries)
    return "\n".join(lines)


def _listed(title: str, entries: Sequence[Entry]) -> list[str]:
    if not entries:
        return []
    lines = ["", f"{title}:"]
    lines += [f"  {entry['name']}: {entry['why']}" for entry in entries[:SHOWN]]
    if len(entries) > SHOWN:
        lines.append(f"  … and {len(entries) - SHOWN} more; --json shows all")
    return lines
