"""Evaluation of scorers, matrices and embeddings on a data folder of real sound files."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.support.planting import plant_params
from tests.support.scorers import small_scorer
from twinear.cli.main import main
from twinear.evaluation.evaluation import EvaluationOptions, evaluate

N = 8


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with listens, a clip for each artist, and nothing run."""
    folder = tmp_path_factory.mktemp("evaluation")
    params = plant_params(folder)
    text = params.read_text(encoding="utf-8").replace("require_mbid: true", "require_mbid: false")
    params.write_text(text.replace("min_seconds: 5.0", "min_seconds: 0.5"), encoding="utf-8")
    (folder / "data/clips").mkdir(parents=True)
    (folder / "data/listens").mkdir()
    generator = np.random.default_rng(2)
    rows = [
        (f"u{listener}", f"Artist {artist}", 1)
        for listener in range(60)
        for artist in generator.choice(N, 3, replace=False)
    ]
    listens = pd.DataFrame(rows, columns=["listener", "artist", "plays"])
    listens.to_csv(folder / "data/listens/plays.csv", index=False)
    for artist in range(N):
        tone = np.sin(np.arange(22050) * (0.02 + 0.05 * artist)) + generator.normal(0, 0.1, 22050)
        soundfile.write(folder / f"data/clips/{artist}.wav", 0.3 * tone, 22050)
    clips = pd.DataFrame({"file": [f"clips/{each}.wav" for each in range(N)]})
    clips.assign(artist=[f"Artist {each}" for each in range(N)]).to_csv(
        folder / "data/clips.csv", index=False
    )
    small_scorer().write(folder / "scorer.safetensors")
    vectors = generator.normal(size=(N, 5))
    np.savez(folder / "made.npz", clip=list(clips["file"]), vector=vectors)
    return folder


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, *words: str
) -> tuple[int, str, str]:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["twinear", "evaluate", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_scorer_matrix_and_embeddings_are_compared_and_the_prepared_data_is_kept(
    planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = np.random.default_rng(0).random((N, N))
    np.savez(planted / "m.npz", artists=[f"Artist {each}" for each in range(N)], scores=scores)
    words = ["scorer.safetensors", "--matrix", "mine=m.npz", "--embeddings", "made=made.npz"]
    words += ["--json", "--queries", "queries.parquet"]
    code, out, _ = run(monkeypatch, capsys, planted, *words)
    assert code == 0
    summary = json.loads(out)
    assert (summary["artists"], summary["left_out"]) == (N, 0)
    names = ["catalogue", "siamese", "chance", "mine", "made_cosine", "made_l2"]
    names += ["popularity", "l2", "mfcc", "mfcc_mp"]
    assert list(summary["protocols"]["all"]["hubness"]) == names
    assert set(pd.read_parquet(planted / "queries.parquet")["system"]) == set(names)
    made = sorted((path, path.stat().st_mtime_ns) for path in (planted / "artifacts").rglob("*"))
    _, again, stderr = run(monkeypatch, capsys, planted, *words)
    assert again == out
    assert "preparing" not in stderr
    assert sorted((path, path.stat().st_mtime_ns) for path, _ in made) == made


def test_the_library_returns_the_comparison_and_prints_nothing(
    planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(planted)
    options = EvaluationOptions(embeddings={"made": Path("made.npz")}, against="l2")
    result = evaluate(options)
    assert result.facts == {"data": "data", "artists": N, "left_out": 0}
    assert list(result.protocols) == ["all"]
    systems = ["made_cosine", "chance", "made_l2", "popularity", "l2", "mfcc", "mfcc_mp"]
    assert list(result.queries["system"].unique()) == systems
    assert capsys.readouterr() == ("", "")


def test_artists_that_were_trained_on_take_no_part(
    planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    split = pd.DataFrame({"artist": [f"artist {each}" for each in range(4)]})
    split.assign(name="-", split=["train", "validation", "test", "train"]).to_csv(
        planted / "split.csv", index=False
    )
    (planted / "names.txt").write_text("ARTIST 0\nartist 1\n\nsomebody else\n")
    for name, left in (("split.csv", 3), ("names.txt", 2)):
        words = ["scorer.safetensors", "--without", name, "--json"]
        code, out, _ = run(monkeypatch, capsys, planted, *words)
        assert (code, json.loads(out)["left_out"], json.loads(out)["artists"]) == (
            0,
            left,
            N - left,
        )


def test_a_clip_of_an_artist_that_was_merged_is_the_others(
    planted: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    old, new = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    folder = tmp_path / "copy"
    shutil.copytree(planted, folder)
    listens, clips = folder / "data/listens/plays.csv", folder / "data/clips.csv"
    plays, table = pd.read_csv(listens), pd.read_csv(clips)
    is_first = plays["artist"] == "Artist 0"
    plays.assign(mbid=np.where(is_first, new, "")).to_csv(listens, index=False)
    table["mbid"] = [old, *[""] * (N - 1)]
    table.loc[0, "artist"] = "Formerly"
    table.to_csv(clips, index=False)
    for artists in (N - 1, N):
        code, out, _ = run(monkeypatch, capsys, folder, "scorer.safetensors", "--json")
        assert (code, json.loads(out)["artists"]) == (0, artists)
        (folder / "data/listens/redirects.csv").write_text(f"old,new\n{old},{new}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "evaluate: nothing to evaluate, expected a scorer's file"),
        (["none.safetensors"], "none.safetensors: is missing"),
        (["scorer.safetensors", "--data", "nowhere"], "nowhere/clips.csv: is missing"),
        (["scorer.safetensors", "--without", "others.txt"], "none of 1 artists"),
        (["scorer.safetensors", "--without", "all.txt"], "there are none"),
        (["--embeddings", "few=few.npz"], "few.npz: lacks 3 of 8 clips"),
        (["--matrix", "m=few.npz"], "few.npz: has no 'artists'"),
        (["scorer.safetensors", "--against", "l4"], "against: no system 'l4'"),
    ],
)
def test_a_mistake_is_one_line(
    planted: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    (planted / "others.txt").write_text("somebody else\n")
    (planted / "all.txt").write_text("".join(f"Artist {each}\n" for each in range(N)))
    with np.load(planted / "made.npz") as made:
        np.savez(planted / "few.npz", clip=made["clip"][:5], vector=made["vector"][:5])
    code, out, stderr = run(monkeypatch, capsys, planted, *words)
    assert (code, out) == (1, "")
    assert message in stderr.splitlines()[-1]


def test_a_clip_that_changes_is_decoded_again(
    planted: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(planted, folder)
    run(monkeypatch, capsys, folder, "scorer.safetensors")
    before = len(list((folder / "artifacts/prepared").iterdir()))
    shutil.copy(folder / "data/clips/1.wav", folder / "data/clips/0.wav")
    soundfile.write(folder / "data/clips/0.wav", np.sin(np.arange(22050) * 0.3), 22050)
    code, _, _ = run(monkeypatch, capsys, folder, "scorer.safetensors")
    assert code == 0
    assert len(list((folder / "artifacts/prepared").iterdir())) == before + 2
