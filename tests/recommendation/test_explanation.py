"""Why two files have their score: sums that hold, labels that say what is exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support.audio import music, write_clip
from tests.support.scorers import FRONT, JOINED, small_scorer
from twinear.base.errors import ClipError, DataError
from twinear.encoders.musicnn import load_musicnn
from twinear.inference import score
from twinear.model.decomposition import CONVOLUTIONS, STATISTICS, WORDS
from twinear.recommendation.descriptors import Descriptors, describe
from twinear.recommendation.explanation import ClipExplanation, explain_clips, format_explanation

SR = 22050
FRONT_10 = FRONT.model_copy(update={"n_frames": round(10 * SR / 512)})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("clips")
    first, second = (write_clip(folder / f"{seed}.mp3", music(11, seed=seed)) for seed in (1, 2))
    return first, second


@pytest.fixture(scope="module")
def explanation(clips: tuple[Path, Path]) -> ClipExplanation:
    return explain_clips(small_scorer(front=FRONT_10), *clips)


SCORERS = {
    "both": small_scorer(front=FRONT_10),
    "statistics": small_scorer(front=FRONT_10, branches="statistics"),
    "convolutions": small_scorer(front=FRONT_10, branches="convolutions"),
    "both, l1": small_scorer(front=FRONT_10, head="l1"),
    "the original": small_scorer(front=FRONT_10, branches="convolutions", head="l1"),
}


@pytest.mark.parametrize("kind", SCORERS)
def test_the_explained_score_is_the_score_and_its_parts_sum_to_it(
    clips: tuple[Path, Path], kind: str
) -> None:
    scorer = SCORERS[kind]
    explained = explain_clips(scorer, *clips)
    assert explained.score == pytest.approx(score(scorer, *clips), abs=1e-5)
    contributions = [part.contribution for part in explained.parts]
    assert explained.bias + sum(contributions) == pytest.approx(explained.logit)
    assert 1 / (1 + np.exp(-explained.logit)) == pytest.approx(explained.score)
    assert contributions == sorted(contributions, reverse=True)
    assert sum(abs(part.share) for part in explained.parts) == pytest.approx(1)
    shares = {part.name: part.share for part in explained.parts}
    assert explained.convolutions_share == shares.get(CONVOLUTIONS, 0)
    assert explained.exact_to == ("branch" if scorer.model.head == "l1" else "block")
    assert (explained.score_without_convolutions is None) == ("both" not in kind)
    if kind == "both, l1":
        assert set(shares) == {STATISTICS, CONVOLUTIONS}


def test_the_order_of_the_clips_does_not_matter(
    clips: tuple[Path, Path], explanation: ClipExplanation
) -> None:
    first, second = clips
    back = explain_clips(SCORERS["both"], second, first)
    assert (back.first, back.second) == (explanation.second, explanation.first)
    there = {part.name: part.contribution for part in explanation.parts}
    assert {part.name: part.contribution for part in back.parts} == pytest.approx(there)
    assert back.score_without_convolutions == pytest.approx(explanation.score_without_convolutions)


def test_a_clip_and_itself_are_alike_in_every_part(clips: tuple[Path, Path]) -> None:
    same = explain_clips(SCORERS["both"], clips[0], clips[0])
    assert same.logit == pytest.approx(5, abs=1e-4)  # the most that the untrained head gives
    assert all(part.own > 0 for part in same.parts)
    assert same.windows is not None
    assert same.windows.best[0].score == pytest.approx(same.score, abs=1e-4)


def test_files_that_cannot_be_heard_are_refused(clips: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no sound")
    with pytest.raises(ClipError, match=r"text\.mp3"):
        explain_clips(SCORERS["both"], clips[0], tmp_path / "text.mp3")
    with pytest.raises(DataError, match=r"none\.mp3.*name an audio file"):
        explain_clips(SCORERS["both"], tmp_path / "none.mp3", clips[0])


def test_a_scorer_of_unknown_embeddings_cannot_explain_files(clips: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match=r"made by an unknown extractor.*twinear embed"):
        explain_clips(small_scorer(front=JOINED, n_dims=3), *clips)


@pytest.mark.parametrize(("embeddings", "parts"), [("concat", 9), ("only", 2)])
def test_the_embedding_of_an_encoder_is_a_part_of_the_score(
    clips: tuple[Path, Path], embeddings: str, parts: int
) -> None:
    front = FRONT_10.model_copy(update={"embeddings": embeddings})
    scorer = small_scorer(front=front, n_dims=200, extractor=load_musicnn("musicnn-msd").name)
    explained = explain_clips(scorer, *clips)
    assert explained.score == pytest.approx(score(scorer, *clips), abs=1e-5)
    contributions = {part.name: part.contribution for part in explained.parts}
    assert len(contributions) == parts
    assert contributions["embedding"]
    assert explained.bias + sum(contributions.values()) == pytest.approx(explained.logit)
    assert explained.windows is not None
    assert explained.windows.best[0].score > explained.windows.mean_score
    assert "pre-trained embedding" in format_explanation(explained)


@pytest.mark.parametrize("kind", ["both", "both, l1"])
def test_silence_and_a_second_are_explained_too(
    clips: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    silence = write_clip(tmp_path / "silence.wav", np.zeros(3 * SR, np.float32), SR)
    second = write_clip(tmp_path / "second.wav", music(1, SR), SR)
    scorer = SCORERS[kind]
    for first, other in ((silence, clips[0]), (silence, second), (second, clips[0])):
        explained = explain_clips(scorer, first, other)
        assert explained.score == pytest.approx(score(scorer, first, other), abs=1e-5)
        assert format_explanation(explained)
    assert explain_clips(scorer, silence, second).windows is None


# --- descriptors ------------------------------------------------------------------------------


def test_descriptors_of_clicks_and_of_a_tone_are_theirs() -> None:
    time = np.arange(8 * SR) / SR
    clicks = (np.sin(2 * np.pi * 1000 * time) * np.exp(-40 * (time % 0.5))).astype(np.float32)
    measured = describe(clicks, SR)
    assert measured.onsets_per_second == pytest.approx(2, abs=0.2)
    assert measured.tempo_bpm is not None
    assert min(abs(measured.tempo_bpm / bpm - 1) for bpm in (60, 120, 240)) < 0.05
    tones = [
        describe(np.sin(2 * np.pi * hertz * time).astype(np.float32), SR) for hertz in (500, 3000)
    ]
    brightness = [tone.brightness_hz for tone in tones]
    assert brightness == pytest.approx([500, 3000], rel=0.1)


def test_silence_has_no_tempo_and_no_brightness() -> None:
    silent = Descriptors(tempo_bpm=None, brightness_hz=None, onsets_per_second=0)
    assert describe(np.zeros(SR, np.float32), SR) == silent
    assert describe(np.zeros(0, np.float32), SR) == silent


def test_descriptors_are_measured_only_where_they_are_asked_for(
    clips: tuple[Path, Path], explanation: ClipExplanation
) -> None:
    assert explanation.descriptors is None
    assert "Measured" not in format_explanation(explanation)
    asked = explain_clips(SCORERS["both"], *clips, descriptors=True)
    assert asked.descriptors is not None
    assert replace(asked, descriptors=None) == explanation
    assert "Measured; not used by the score" in format_explanation(asked)


# --- text -------------------------------------------------------------------------------------


def test_the_text_says_what_is_exact_and_what_is_not(explanation: ClipExplanation) -> None:
    text = format_explanation(explanation)
    exact, approximate = text.index("Exact"), text.index("Approximate")
    for part in explanation.parts:
        assert exact < text.index(f"  {part.label} ") < approximate
    assert "Without learned patterns" in text
    assert f"{explanation.score:.3f}" in text


def test_the_documentation_has_the_words_of_every_part() -> None:
    page = (ROOT / "docs/explanation/why.md").read_text(encoding="utf-8")
    for name, words in WORDS.items():
        row = f"| `{name}` | {words.label} | {words.meaning} |"
        assert row in page or name == STATISTICS


def test_the_text_of_the_head_l1_says_that_blocks_have_no_part(clips: tuple[Path, Path]) -> None:
    text = format_explanation(explain_clips(SCORERS["both, l1"], *clips))
    assert "Exact by branch" in text
    assert "pulse" not in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "no such encoding"])
def test_every_line_has_at_most_80_columns_and_can_be_shown(
    explanation: ClipExplanation, encoding: str
) -> None:
    long = replace(explanation, first="a" * 300 + ".mp3")
    text = format_explanation(long, encoding)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert ("█" in text) == (encoding == "utf-8")
    if encoding != "utf-8":
        assert text.isascii()
    assert "aaa...aaaaaaaaaaaaaaaa.mp3" in text


def test_the_longest_bar_is_that_of_the_largest_part(explanation: ClipExplanation) -> None:
    text = format_explanation(explanation, "ascii")
    lengths = {
        part.name: len(line.split("%")[1].strip())
        for part in explanation.parts
        for line in text.splitlines()
        if line.startswith(f"  {part.label} ") and "%" in line
    }
    largest = max(explanation.parts, key=lambda part: abs(part.contribution))
    assert len(lengths) == len(explanation.parts)
    assert lengths[largest.name] == max(lengths.values()) == 24
    for part in explanation.parts:
        expected = 24 * abs(part.contribution / largest.contribution)
        assert lengths[part.name] == pytest.approx(expected, abs=0.51)
