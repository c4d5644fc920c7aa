"""A folder of music and nothing else: the pipeline runs, and what needs listens says so."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import PARAMS
from tests.support.audio import music, write_clip
from tests.support.stages import COMMANDS, run_stage
from twinear.acquisition.import_corpus import import_corpus
from twinear.base.errors import DataError
from twinear.catalogue.calibration import SiameseScale
from twinear.catalogue.catalogue import Catalogue
from twinear.cli.app import app
from twinear.listens.readers.formats import NO_LISTENS
from twinear.listens.without_listens import is_without_listens
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import Ranking
from twinear.split import SPLITS, Split

SR = 22050
SECONDS = 6.0  # a little more than clips.min_seconds


def noise(seed: int) -> np.ndarray:
    """Bursts of noise, eight a second."""
    y = np.random.default_rng(seed).normal(0, 0.1, round(SECONDS * SR))
    return y * np.exp(-20 * (np.arange(len(y)) / SR % 0.125))


def make_music(folder: Path, artists: int) -> None:
    """Two artists of notes, then two of noise; a clip of each, of the first two clips."""
    sounds = {
        "Flute": [music(SECONDS, SR, 1), music(SECONDS, SR, 2)],
        "Oboe": [music(SECONDS, SR, 3)],
        "Drum": [noise(4)],
        "Snare": [noise(5)],
    }
    for name in list(sounds)[:artists]:
        for number, y in enumerate(sounds[name], 1):
            write_clip(folder / name / f"Song {number}.flac", y, SR, codec="flac")


def run_pipeline(folder: Path, artists: int) -> None:
    """Import music without listens into a project, and run all stages there."""
    shutil.copy(PARAMS, folder / "params.yaml")
    make_music(folder / "music", artists)
    import_corpus(None, folder / "music", folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TWINEAR_TRACKING", "off")
        for stage in COMMANDS:
            run_stage(stage)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music-only")
    run_pipeline(folder, artists=4)
    return folder


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words, catch_exceptions=False)


def test_nobody_trains_and_the_scorer_stays_untrained(project: Path) -> None:
    split = Split.read(project / "artifacts/split.csv")
    assert [split.members(name) for name in SPLITS] == [[], [], []]
    assert pd.read_csv(project / "reports/training.csv").empty
    scorer = Scorer.read(project / "artifacts/training/scorer.safetensors")
    assert not scorer.weights["statistics.map.weight"].any()  # the identity, and nothing beside it
    assert (scorer.model.branches, scorer.model.head) == ("statistics", "cosine")


def test_the_catalogue_finds_who_sounds_alike_by_sound_alone(project: Path) -> None:
    catalogue = Catalogue.read(project / "artifacts/catalogue")
    names = [record.name for record in catalogue.artists]
    nearest = {
        name: names[best] for name, best in zip(names, catalogue.neighbours[:, 0], strict=True)
    }
    assert nearest == {"Flute": "Oboe", "Oboe": "Flute", "Drum": "Snare", "Snare": "Drum"}
    assert catalogue.scoring.colistening is None
    assert isinstance(catalogue.calibration, SiameseScale)


def test_a_scorer_of_clips_puts_a_clip_nearest_to_itself(project: Path) -> None:
    catalogue = Catalogue.read(project / "artifacts/catalogue")
    u = np.asarray(catalogue.encoded.embeddings)
    assert np.allclose(np.linalg.norm(u, axis=1), 1, atol=1e-5)
    assert ((u @ u.T).argmax(axis=1) == np.arange(len(u))).all()


def test_the_reports_say_that_there_is_nothing_to_judge_by(project: Path) -> None:
    for name in ("ranking", "differences"):
        content = json.loads((project / f"reports/{name}.json").read_text())
        assert content == {"note": "no listens: nothing to judge by"}
    assert Ranking.read(project / "artifacts/ranking").artists.empty
    page = (project / "reports/report.md").read_text(encoding="utf-8")
    assert "5 clips of 4 artists" in page
    assert "twinear import --listens" in page
    assert "map.png" in page
    assert (project / "reports/figures/map.png").exists()
    assert "NDCG" not in page  # no figure that needs listens
    assert "synthes" not in page  # nor the note of the bundled sample
    card = (project / "reports/model_card.md").read_text(encoding="utf-8")
    assert "How well it ranks is not known" in card
    assert "5 clips of 4 artists" in card
    assert "license: unknown" in card
    assert not re.search("NDCG|synthes|[^ ]nan", card)


def test_commands_that_ask_the_catalogue_work(here: Path) -> None:
    clip = str(next((here / "music/Flute").iterdir()))
    file = Catalogue.read(here / "artifacts/catalogue").artists.clip(0).file
    for words, part in (
        (("similar", "flute", "--why"), "Oboe"),
        (("similar", "--clip", clip, "--top", "2"), "Flute"),
        (("similar-clips", file), "Snare"),
        (("playlist", "--from", "Flute", "--length", "3"), "Oboe"),
        (("catalogue", "add", "Clarinet", "--clips", clip), "Clarinet"),
        (("similar", "Clarinet"), "Flute"),
        (("catalogue", "remove", "Clarinet"), "Clarinet"),
        (("score", clip, clip), "0.99"),
    ):
        result = run(*words)
        assert result.exit_code == 0, result.output
        assert part in result.stdout, words


def test_ranking_says_that_there_are_no_listens(here: Path) -> None:
    assert "no listens" in run("ranking").stdout
    assert json.loads(run("ranking", "--json").stdout)["ranking"].keys() == {"note"}


@pytest.mark.parametrize(
    "words",
    [
        ("neighbours", "Flute"),
        ("crossval",),
        ("evaluate", "artifacts/training/scorer.safetensors"),
    ],
)
def test_what_needs_listens_is_refused_with_the_remedy(here: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"no listens.*twinear import"):
        run(*words)


@pytest.mark.parametrize("artists", [1, 2])
def test_one_or_two_artists_are_a_catalogue_too(tmp_path: Path, artists: int) -> None:
    run_pipeline(tmp_path, artists)
    catalogue = Catalogue.read(tmp_path / "artifacts/catalogue")
    assert catalogue.neighbours.shape == (artists, artists - 1)
    assert json.loads((tmp_path / "reports/hubness.json").read_text()) == {}
    assert f"of {artists} artist" in (tmp_path / "reports/report.md").read_text(encoding="utf-8")


def test_only_a_marked_folder_is_one_without_listens(tmp_path: Path) -> None:
    listens = tmp_path / "listens"
    listens.mkdir()
    assert not is_without_listens(listens)  # emptied by mistake, perhaps
    (listens / NO_LISTENS).write_text("none")
    (listens / ".DS_Store").write_text("of the system")
    (listens / "redirects.csv").write_text("old,new\n")
    assert is_without_listens(listens)
    (listens / "plays.csv").write_text("listener,artist,plays\n")
    assert not is_without_listens(listens)


def test_listens_that_cannot_be_used_stay_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(PARAMS, "params.yaml")
    Path("data/listens").mkdir(parents=True)
    Path("data/listens", NO_LISTENS).write_text("none")
    Path("data/listens/plays.csv").write_text("listener,artist,plays\n")
    with pytest.raises(SystemExit):
        run_stage("listens")
    assert "plays.csv: holds no listens" in capsys.readouterr().err


def test_a_folder_without_music_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music/cover.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(DataError, match=r"music: holds no music \(1 not audio\)"):
        import_corpus(None, tmp_path / "music", tmp_path / "data")
    assert not (tmp_path / "data").exists()
