"""Why two clips have their score: what is exact, and what is labelled as not.

- The parts of the score are exact (`twinear.model.decomposition`), down to the blocks of statistics
  for the cosine head, to the branches for the head `l1`.
- What the convolutions do has no exact parts: beside their contribution stands the score that the
  network would give without them.
- The seconds that agree are approximate (`matching_windows`).
- Measured descriptors are not used by the score at all (`descriptors`).
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.special import expit

from twinear.base.files import require
from twinear.clips.waveform import Waveform, decode
from twinear.inference import compute_embedding, compute_input, find_scorer_encoder
from twinear.model.decomposition import CONVOLUTIONS, WORDS, decompose, split_logits
from twinear.model.scorer import Scorer
from twinear.recommendation.descriptors import Descriptors, describe
from twinear.recommendation.matching_windows import WindowMatches, match_windows
from twinear.spectrograms.front_end import Floats, excerpts

WIDTH = 80  # columns
BAR = 24  # columns of the longest bar
N_MEANINGS = 3  # parts whose meaning is told


@dataclass(frozen=True, kw_only=True)
class ScorePart:
    """What one part adds to the logit of two clips.

    Attributes
    ----------
    name
        A block of statistics, a branch or the convolutions, as in `decomposition.WORDS`.
    label, meaning
        Plain words for it.
    contribution
        In units of the logit; terms that a part shares with another one are halved.
    own
        The contribution without such terms.
    share
        The contribution as a share of the sum of all absolute contributions, in [-1, 1].
    """

    name: str
    label: str
    meaning: str
    contribution: float
    own: float
    share: float


@dataclass(frozen=True, kw_only=True)
class ClipExplanation:
    """Why two clips have their score.

    Attributes
    ----------
    first, second
        The files' names, or what else the clips are called.
    score, logit
        The score is the sigmoid of the logit.
    bias
        The logit without any part, as in `decomposition.LogitParts`; with the contributions it
        sums to the logit, exactly.
    exact_to
        What the parts are: with `branch` the blocks of statistics have no exact share.
    parts
        Largest contribution first.
    convolutions_share
        The share of the convolutions; 0 where the network has none.
    score_without_convolutions
        An ablation, not an exact part: the score by the statistics alone; None where the network
        has one branch only.
    windows
        An approximation: the seconds that agree most; None where there are no two windows.
    descriptors
        Measured, and not used by the score; None where they were not asked for.
    """

    first: str
    second: str
    score: float
    logit: float
    bias: float
    exact_to: Literal["block", "branch"]
    parts: tuple[ScorePart, ...]
    convolutions_share: float
    score_without_convolutions: float | None
    windows: WindowMatches | None
    descriptors: tuple[Descriptors, Descriptors] | None


def explain_clips(
    scorer: Scorer, first: Path | str, second: Path | str, *, descriptors: bool = False
) -> ClipExplanation:
    """Explain the score of two audio files.

    Parameters
    ----------
    descriptors
        Measure tempo, brightness and onsets too; librosa takes seconds to start.

    Raises
    ------
    ClipError
        A file that cannot be decoded.
    DataError
        A missing file, or a scorer whose encoder is not here.
    """
    front, encoder = scorer.spectrograms, find_scorer_encoder(scorer)
    files = [require(Path(path), "name an audio file") for path in (first, second)]
    decoded = [decode(path, front.max_seconds).without_silence() for path in files]
    waveforms = [waveform.at(front.sr) for waveform in decoded]
    inputs = [
        compute_input(scorer, waveform, path) for waveform, path in zip(decoded, files, strict=True)
    ]
    values = np.stack([each.values for each in inputs])
    parts = decompose(scorer, values, np.stack([each.joined for each in inputs]))
    pair = np.array([[0, 1]])
    split = split_logits(parts, pair)
    contributions, own = split.contributions[0], split.own[0]
    total = np.abs(contributions).sum()
    explained = [
        ScorePart(
            name=name,
            label=WORDS[name].label,
            meaning=WORDS[name].meaning,
            contribution=float(contributions[i]),
            own=float(own[i]),
            share=float(contributions[i] / total) if total else 0.0,
        )
        for i, name in enumerate(split.names)
    ]
    ablated = None
    if parts.blocks and CONVOLUTIONS in parts.names:
        ablated = float(expit(parts.logits(pair, without=CONVOLUTIONS)[0]))
    logit = float(split.logits[0])

    def embed(clip: int, start: float, end: float) -> Floats:
        y, sr = decoded[clip].y, decoded[clip].sr
        return compute_embedding(scorer, Waveform(y=y[int(start * sr) : int(end * sr)], sr=sr))

    measured = [describe(_heard(scorer, y), front.sr) for y in waveforms] if descriptors else None
    return ClipExplanation(
        first=files[0].name,
        second=files[1].name,
        score=float(expit(logit)),
        logit=logit,
        bias=split.bias,
        exact_to="block" if scorer.model.head == "cosine" else "branch",
        parts=tuple(sorted(explained, key=lambda part: -part.contribution)),
        convolutions_share=sum(part.share for part in explained if part.name == CONVOLUTIONS),
        score_without_convolutions=ablated,
        windows=match_windows(
            scorer,
            values,
            (len(waveforms[0]), len(waveforms[1])),
            (decoded[0].start, decoded[1].start),
            None if encoder is None else embed,
        ),
        descriptors=None if measured is None else (measured[0], measured[1]),
    )


def _heard(scorer: Scorer, y: Floats) -> Floats:
    """Join the parts of a waveform that the score hears."""
    return np.concatenate([y[part] for part in excerpts(len(y), scorer.spectrograms)])


def format_explanation(explanation: ClipExplanation, encoding: str = "utf-8") -> str:
    """Put an explanation into text of 80 columns.

    Parameters
    ----------
    encoding
        Of the terminal: where it has no block characters, bars are of `#` and `-`.
    """
    lines = [
        f"Score {explanation.score:.3f}",
        f"  first:   {_shortened(explanation.first)}",
        f"  second:  {_shortened(explanation.second)}",
        "",
        *_format_parts(explanation, encoding),
        *_format_windows(explanation.windows),
        *_format_descriptors(explanation.descriptors),
    ]
    return "\n".join(lines)


def _format_parts(explanation: ClipExplanation, encoding: str) -> Iterator[str]:
    exact = "Exact: unrelated clips have"
    if explanation.exact_to == "branch":
        exact = "Exact by branch, with no exact parts inside: equal clips have"
    yield from textwrap.wrap(
        f"What makes the score. {exact} the logit {explanation.bias:+.2f}; with what these parts "
        f"add it is {explanation.logit:+.2f}, and the score is its sigmoid.",
        WIDTH,
    )
    width = max(len(part.label) for part in explanation.parts)
    longest = max(abs(part.contribution) for part in explanation.parts) or 1.0
    full, light = _bar_characters(encoding)
    for part in explanation.parts:
        bar = (full if part.contribution > 0 else light) * round(
            BAR * abs(part.contribution) / longest
        )
        line = f"  {part.label:<{width}}  {part.contribution:+.2f}  {part.share:>+4.0%}  {bar}"
        yield line.rstrip()
    yield ""
    heaviest = sorted(explanation.parts, key=lambda part: -abs(part.contribution))
    for part in heaviest[:N_MEANINGS]:
        yield f"  {part.label}: {part.meaning}"
    yield ""
    if explanation.score_without_convolutions is not None:
        yield from textwrap.wrap(
            f"Without {WORDS[CONVOLUTIONS].label} (convolutions) the score would be "
            f"{explanation.score_without_convolutions:.3f}. They have no exact parts; this leaves "
            "the whole branch out.",
            WIDTH,
        )
        yield ""


def _format_windows(windows: WindowMatches | None) -> Iterator[str]:
    if windows is None:
        yield "Which seconds agree: both clips are too short to be cut."
        return
    yield from textwrap.wrap(
        "Which seconds agree. Approximate: windows are scored as if each were a clip; two of "
        f"them score {windows.mean_score:.3f} on average.",
        WIDTH,
    )
    for window in windows.best:
        first = f"{_clock(window.first_start)} to {_clock(window.first_end)}"
        second = f"{_clock(window.second_start)} to {_clock(window.second_end)}"
        yield f"  {first} of the first, {second} of the second: {window.score:.3f}"


def _format_descriptors(descriptors: tuple[Descriptors, Descriptors] | None) -> Iterator[str]:
    if descriptors is None:
        return
    first, second = descriptors
    yield ""
    yield f"{'Measured; not used by the score':<36}{'first':>10}{'second':>10}"
    for label, values, digits in (
        ("tempo, beats per minute", (first.tempo_bpm, second.tempo_bpm), 0),
        ("brightness, Hz", (first.brightness_hz, second.brightness_hz), 0),
        ("onsets per second", (first.onsets_per_second, second.onsets_per_second), 1),
    ):
        cells = ["-" if value is None else f"{value:.{digits}f}" for value in values]
        yield f"  {label:<34}{cells[0]:>10}{cells[1]:>10}"


def _bar_characters(encoding: str) -> tuple[str, str]:
    blocks = "█", "░"
    try:
        "".join(blocks).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "#", "-"
    return blocks


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _shortened(name: str) -> str:
    room = WIDTH - 11
    return name if len(name) <= room else f"{name[: room - 23]}...{name[-20:]}"
