"""A served scorer takes audio and spectrograms, and refuses anything else in one line."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.support.audio import music, write_clip
from tests.support.scorers import JOINED, small_scorer, spectrograms
from tests.support.servers import answer, free_port, served
from twinear.base.errors import ClipError, DataError, TwinearError
from twinear.base.files import sha256
from twinear.inference import score
from twinear.tracking.runs import open_run
from twinear.tracking.served_clips import score_pairs

SCORER = small_scorer()
SPECTROGRAM = spectrograms(1)[0].astype(np.float32)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = folder / "a.mp3", folder / "b.wav"
    for seed, path in enumerate(paths):
        write_clip(path, music(2.0, seed=seed))
    return paths


def encoded(path: Path) -> str:
    """As `base64 FILE` prints it, in lines."""
    return base64.encodebytes(path.read_bytes()).decode("ascii")


def test_audio_in_base64_or_bytes_gets_the_score_of_the_files(clips: tuple[Path, Path]) -> None:
    a, b = clips
    pairs = [(encoded(a), encoded(b)), (b.read_bytes(), a.read_bytes()), (encoded(a), encoded(a))]
    between, same = score(SCORER, a, b), score(SCORER, a, a)
    assert between < same
    np.testing.assert_allclose(score_pairs(SCORER, pairs), [between, between, same], atol=1e-6)


def test_a_scorer_that_takes_embeddings_too_gets_them_beside_the_spectrogram() -> None:
    scorer = small_scorer(front=JOINED, n_dims=3)
    x, beside = spectrograms(2).astype(np.float32), np.array([[1, 0, 2], [0, 1, 1]], np.float32)
    pair = [
        {"spectrogram": x[side].tolist(), "embedding": beside[side].tolist()} for side in (0, 1)
    ]
    u, v = scorer.encode(x, beside)[:, None]
    np.testing.assert_allclose(score_pairs(scorer, [pair]), scorer.score(u, v)[0], atol=1e-6)
    with pytest.raises(DataError, match=r"pair 1, clip 2: no embedding, expected.*3"):
        score_pairs(scorer, [[pair[0], x[1]]])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ([[float("nan"), *row[1:]] for row in SPECTROGRAM.tolist()], "NaN"),
        ((SPECTROGRAM * np.inf).tolist(), "infinite"),
        ((SPECTROGRAM.astype(np.float64) + 1e300).tolist(), "infinite"),
        (SPECTROGRAM[:, 1:].tolist(), r"shape \(16, 63\), expected \(16, 64\)"),
        ([[1.0], [1.0, 2.0]], "not an array"),
        (None, "NaN|shape"),
        (3.5, "shape"),
        ({"audio": "x"}, "an object of audio"),
        ({}, "an object of nothing"),
        ("not base64 at all!", "is not base64"),
        ("größe", "is not base64"),
        ("", "is not audio"),
        (b"RIFF, but no more", "is not audio"),
    ],
)
def test_anything_else_is_refused_with_its_place(clip: object, message: str) -> None:
    with pytest.raises(TwinearError, match=rf"^pair 2, clip 1[,:].*({message})") as refused:
        score_pairs(SCORER, [(SPECTROGRAM, SPECTROGRAM), (clip, SPECTROGRAM)])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_request_without_pairs_is_refused() -> None:
    with pytest.raises(DataError, match="holds no clips"):
        score_pairs(SCORER, [])


def test_a_playlist_is_no_audio(tmp_path: Path) -> None:
    """FFmpeg would follow it to other files and to the network."""
    write_clip(tmp_path / "other.wav", music(1.0))
    playlist = f"#EXTM3U\n#EXTINF:1,\nfile:{tmp_path / 'other.wav'}\n"
    with pytest.raises(ClipError, match="pair 1, clip 1"):
        score_pairs(SCORER, [(playlist.encode(), SPECTROGRAM)])


def log(folder: Path) -> str:
    """Log the scorer; the model's address."""
    import mlflow

    path = folder / "scorer.safetensors"
    SCORER.write(path)
    with open_run({}) as run:
        run.log_scorer(path, sha256(path), SCORER.inputs)
    (model,) = mlflow.search_logged_models(output_format="list")
    return str(model.model_uri)


def post(address: str, body: object) -> tuple[int, Any]:
    """Post JSON as curl does; the status, and the answer, which must be valid JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{address}/invocations", content=text, headers=headers, timeout=300)
    return response.status_code, json.loads(response.text, parse_constant=refuse)


@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.slow(reason="starts a server of MLflow models")
def test_mlflow_serves_audio_and_spectrograms_and_refuses_the_rest_with_400(
    mlflow: Any, tmp_path: Path, clips: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, port = log(tmp_path), free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    command = ("mlflow", "models", "serve", "-m", model, "--env-manager", "local")
    address = f"http://127.0.0.1:{port}"
    expected = pytest.approx(score(SCORER, *clips), abs=1e-5)
    a, b = map(encoded, clips)
    spectrogram = SPECTROGRAM.tolist()
    spoiled = [[float("nan"), *row[1:]] for row in spectrogram]
    with served(tmp_path, *command, "--port", str(port)) as server:
        answer(server, f"{address}/ping")
        assert post(address, {"inputs": [[a, b]]}) == (200, {"predictions": [expected]})
        table = {"columns": ["clip", "other"], "data": [[a, b], [b, a]]}
        scored = post(address, {"dataframe_split": table})
        assert scored == (200, {"predictions": [expected, expected]})
        status, scored = post(address, {"inputs": [[spectrogram, a]]})
        assert status == 200
        assert 0 < scored["predictions"][0] < 1
        bad: tuple[object, ...] = (
            {"inputs": [[spectrogram, spoiled]]},
            {"inputs": [["not base64", a]]},
            {"inputs": [[base64.b64encode(b"no audio").decode(), a]]},
            {"inputs": [[spectrogram[1:], a]]},
            {"inputs": [[a]]},
            {"inputs": []},
            {"inputs": {"clip": a}},
            {"clips": [[a, b]]},
            "{",
        )
        refusals = [post(address, each) for each in bad]
        assert [status for status, _ in refusals] == [400] * len(bad)
        shown = refusals[0][1]["message"]
        assert shown.startswith("pair 1, clip 2, spectrogram: holds NaN")
        assert all(len(refused["message"]) < 300 for _, refused in refusals[:4])
        assert post(address, {"inputs": [[b, a]]})[0] == 200


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_a_logged_scorer_takes_a_table_of_bytes_and_shows_an_example_of_audio(
    mlflow: Any, tmp_path: Path, clips: tuple[Path, Path]
) -> None:
    model = mlflow.pyfunc.load_model(log(tmp_path))
    table = pd.DataFrame([[path.read_bytes() for path in clips]], columns=["one", "two"])
    np.testing.assert_allclose(model.predict(table), score(SCORER, *clips), atol=1e-6)
    (same,) = model.predict(model.input_example)
    assert same == pytest.approx(score_pairs(SCORER, model.input_example)[0])
    assert model.metadata.metadata["inputs"]["n_mels"] == SCORER.inputs.shape[0]
    with pytest.raises(mlflow.MlflowException, match=r"^pair 1, clip 1: is not base64"):
        model.predict([["?", "?"]])
