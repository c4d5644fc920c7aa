"""A scorer trained on embeddings gets those of a new clip from the encoder that its table names."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio import music, write_clip
from tests.support.scorers import ALONE, FRONT, JOINED, small_scorer
from twinear.base.errors import ClipError, DataError
from twinear.clips.clips import Clips, ClipsParams, index_clips
from twinear.encoders.embedding import EmbedParams, embed_clips
from twinear.encoders.loading import load_encoder
from twinear.encoders.sources import find_embeddings
from twinear.inference import embed, embed_waveforms, load_waveform, score
from twinear.model.scorer import Scorer
from twinear.recommendation.library import encode_recording
from twinear.recommendation.new_clips import USABLE, read_new_clips
from twinear.spectrograms.computation import compute_spectrograms
from twinear.spectrograms.embedding_table import TABLE
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two clips."""
    data = tmp_path_factory.mktemp("encoded") / "data"
    for seed in (0, 1):
        write_clip(data / f"clips/{seed}.flac", music(7, 44100, seed))
    (data / "clips.csv").write_text("file,artist\nclips/0.flac,A\nclips/1.flac,B\n")
    return data


def index(data: Path, min_seconds: float = USABLE.min_seconds) -> Clips:
    import pandas as pd

    table = pd.DataFrame({"file": ["clips/0.flac", "clips/1.flac"], "artist": ["a", "b"]})
    table = table.assign(name=["A", "B"], title="", source="", line=[2, 3])
    params = ClipsParams(**USABLE.model_dump() | {"min_seconds": min_seconds})
    clips, _ = index_clips(table, data, params, list, 1)
    return clips


def pipeline(data: Path, front: SpectrogramsParams) -> tuple[Scorer, Spectrograms]:
    """The stages up to the spectrograms, and a scorer of theirs as training would write it."""
    params = EmbedParams(frames=False, replace=False)  # made once
    embed_clips(load_encoder("musicnn-msd", print), data, data / TABLE, params, list, 1)
    clips = index(data)
    computed = compute_spectrograms(
        clips, data, front, list, 1, find_embeddings(clips, data, front)
    )
    computed.write(data / "../spectrograms")
    clips_read = Spectrograms.read(data / "../spectrograms")
    scorer = small_scorer(front=front, n_dims=200, extractor=clips_read.extractor)
    scorer.write(data / "../scorer")
    return Scorer.read(data / "../scorer"), clips_read


@pytest.mark.parametrize("front", [JOINED, ALONE], ids=["concat", "only"])
def test_a_new_clip_is_encoded_as_the_pipeline_encodes_it(
    data: Path, front: SpectrogramsParams
) -> None:
    scorer, clips = pipeline(data, front)
    assert scorer.inputs.extractor.startswith("musicnn-msd ")
    expected = scorer.encode_spectrograms(clips)
    files = [data / file for file in clips.clips["file"]]
    found = embed(scorer, files)
    np.testing.assert_allclose(found, expected, atol=1e-3)  # the log-mel is kept in float16
    assert 0 < score(scorer, *files) < 1
    new = read_new_clips(files, scorer)
    np.testing.assert_array_equal(new.clips[0].input.values, clips.values[0])
    np.testing.assert_allclose(new.clips[0].input.joined, clips.joined[0], atol=1e-5)
    recording = encode_recording(files[0], scorer)
    np.testing.assert_allclose(recording.embedding, found[0], atol=1e-5)


def test_a_table_of_windows_asks_for_the_windows_of_a_new_clip(data: Path, tmp_path: Path) -> None:
    data, front = Path(shutil.copytree(data, tmp_path / "data")), ALONE
    params = EmbedParams(frames=True, replace=True)
    embed_clips(load_encoder("musicnn-msd", print), data, data / TABLE, params, list, 1)
    clips = index(data)
    computed = compute_spectrograms(
        clips, data, front, list, 1, find_embeddings(clips, data, front)
    )
    assert computed.extractor.endswith(", one vector a window")
    inputs = replace(
        small_scorer(front=front, n_dims=200).inputs, n_frames=10, extractor=computed.extractor
    )
    scorer = replace(small_scorer(front=front, n_dims=200), inputs=inputs)
    (clip,) = read_new_clips([data / "clips/0.flac"], scorer).clips
    np.testing.assert_allclose(clip.input.values, computed.values[0], atol=1e-5)
    scorer = small_scorer(front=JOINED, n_dims=200, extractor=computed.extractor)
    (clip,) = read_new_clips([data / "clips/0.flac"], scorer).clips
    np.testing.assert_allclose(clip.input.joined, computed.values[0].mean(axis=1), atol=1e-5)


def test_a_waveform_at_the_front_ends_rate_is_nearly_as_good_as_the_file(data: Path) -> None:
    scorer, _ = pipeline(data, ALONE)
    file = data / "clips/0.flac"
    y = load_waveform(file, FRONT.sr)
    np.testing.assert_allclose(embed_waveforms(scorer, [y]), embed(scorer, [file]), atol=0.02)
    assert embed_waveforms(scorer, []).shape == (0, scorer.units)


def test_another_version_of_the_encoder_is_refused_before_the_audio_is_read(data: Path) -> None:
    scorer, clips = pipeline(data, JOINED)
    old = scorer.inputs.extractor.replace("mix 3", "mix 2")
    other = replace(scorer, inputs=replace(scorer.inputs, extractor=old))
    with pytest.raises(DataError, match=r"made by musicnn-msd .* mix 2, expected .* mix 3"):
        read_new_clips([data / "no such file"], other)
    with pytest.raises(DataError, match=r"extractor musicnn-msd .* mix 3, .*extractor .* mix 2"):
        other.encode_spectrograms(clips)


def test_a_clip_far_above_full_scale_is_refused(data: Path, tmp_path: Path) -> None:
    scorer, _ = pipeline(data, ALONE)
    loud = write_clip(tmp_path / "loud.wav", music(6) * 1e25, codec="pcm_f32le")
    with pytest.raises(ClipError, match=r"loud\.wav: is too loud"):
        embed(scorer, [loud])
