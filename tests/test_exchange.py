"""A model that was exported scores the same elsewhere; a damaged or foreign one is refused."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.audio import music, write_clip
from tests.support.command import run_twinear
from tests.support.scorers import ALONE, small_scorer
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.exchange import CARD, CONFIG, MUSICNN_LICENCE, SCORER, export_model, import_model
from twinear.model.scorer import Scorer


def write_model(folder: Path, scorer: Scorer | None = None) -> tuple[Path, Path]:
    """A scorer's file and a card that names it."""
    path, card = folder / "made.safetensors", folder / "card.md"
    (scorer or small_scorer()).write(path)
    card.write_text(f"---\nlicense: mit\n---\nScorer `{sha256(path)}`.\n", encoding="utf-8")
    return path, card


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    export_model(*write_model(tmp_path), tmp_path / "exported")
    return tmp_path / "exported"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_exported_model_scores_a_clip_elsewhere_with_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    clips = [str(tmp_path / name) for name in ("a.wav", "b.mp3")]
    for seed, clip in enumerate(clips):
        write_clip(Path(clip), music(2.0, seed=seed))
    scorer, card = write_model(home)
    monkeypatch.chdir(home)
    before = run_twinear(capsys, "score", *clips, "--scorer", str(scorer), "--json")
    words = ("--scorer", scorer.name, "--card", card.name, "--json")
    exported = json.loads(run_twinear(capsys, "model", "export", "given", *words).stdout)
    shutil.move(home / "given", elsewhere / "taken")
    shutil.rmtree(home)
    monkeypatch.chdir(elsewhere)
    imported = json.loads(run_twinear(capsys, "model", "import", "taken", "--json").stdout)
    shutil.rmtree(elsewhere / "taken")
    assert imported["sha256"] == exported["sha256"]
    after = run_twinear(capsys, "score", *clips, "--scorer", imported["scorer"], "--json")
    assert json.loads(after.stdout)["score"] == json.loads(before.stdout)["score"]
    assert set(imported["files"]) == {CARD, SCORER, CONFIG, "LICENSE"}


def test_the_settings_are_readable_without_the_scorer_and_equal_models_have_equal_bytes(
    exported: Path, tmp_path: Path
) -> None:
    scorer = small_scorer()
    settings = json.loads((exported / CONFIG).read_text(encoding="utf-8"))
    assert settings["spectrograms"] == scorer.spectrograms.model_dump(mode="json")
    assert settings["inputs"]["n_mels"] == 16
    assert "MIT" in (exported / "LICENSE").read_text(encoding="utf-8")
    export_model(*write_model(tmp_path), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(exported)


def test_a_model_that_needs_musicnn_says_so_and_has_its_licence(tmp_path: Path) -> None:
    scorer = small_scorer(front=ALONE, n_dims=3, extractor="musicnn-msd of a test")
    made = export_model(*write_model(tmp_path, scorer), tmp_path / "exported")
    assert made.encoder == "musicnn-msd of a test"
    assert "ISC" in (tmp_path / "exported" / MUSICNN_LICENCE).read_text(encoding="utf-8")


def test_a_card_of_another_scorer_is_refused(tmp_path: Path) -> None:
    scorer, card = write_model(tmp_path)
    small_scorer(seed=1).write(scorer)
    with pytest.raises(DataError, match=r"card\.md: is the card of another scorer.*dvc repro"):
        export_model(scorer, card, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize("name", [CARD, SCORER, "LICENSE"])
def test_a_damaged_or_missing_file_is_named_and_nothing_is_written(
    exported: Path, tmp_path: Path, name: str
) -> None:
    whole = (exported / name).read_bytes()
    (exported / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match=f"{name}: was changed"):
        import_model(exported, tmp_path / "imported")
    (exported / name).unlink()
    with pytest.raises(DataError, match=f"{name}: is missing"):
        import_model(exported, tmp_path / "imported")
    (exported / name).symlink_to(tmp_path / "card.md")
    with pytest.raises(DataError, match=f"{name}: is missing, or not a file"):
        import_model(exported, tmp_path / "imported")
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "pytorch"}, "format"),
        ({"format_version": 2}, "format_version.*update"),
        ({"files": {}}, "lacks README.md"),
        ({"files": {"../made.safetensors": "0" * 64}}, "files"),
        ({"files": {"/etc/passwd": "0" * 64}}, "files"),
        ({"spectrograms": {"sr": 8000}}, "other settings"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_config_of_something_else_is_refused(
    exported: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = exported / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
    with pytest.raises(DataError, match=rf"config\.json: .*{message}") as refused:
        import_model(exported, tmp_path / "imported")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '{"model_type": "bert"}'])
def test_a_folder_of_other_programs_is_refused(tmp_path: Path, text: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with pytest.raises(DataError, match=r"foreign: holds no config\.json"):
        import_model(foreign, tmp_path / "imported")
    (foreign / CONFIG).write_text(text)
    with pytest.raises(DataError, match=r"config\.json: is of another kind"):
        import_model(foreign, tmp_path / "imported")


def test_a_scorer_that_cannot_be_read_is_refused_though_its_hash_is_right(
    exported: Path, tmp_path: Path
) -> None:
    (exported / SCORER).write_bytes(b"no scorer")
    config = json.loads((exported / CONFIG).read_text(encoding="utf-8"))
    config["files"][SCORER] = sha256(exported / SCORER)
    (exported / CONFIG).write_text(json.dumps(config))
    with pytest.raises(DataError, match="is not a scorer"):
        import_model(exported, tmp_path / "imported")
    assert not (tmp_path / "imported").exists()


def test_only_a_model_is_replaced_and_only_when_asked(exported: Path, tmp_path: Path) -> None:
    import_model(exported, tmp_path / "imported")
    (exported / "notes.txt").write_text("of the hub, and not copied")
    with pytest.raises(DataError, match="holds a model; replace it with --replace"):
        import_model(exported, tmp_path / "imported")
    import_model(exported, tmp_path / "imported", replace=True)
    assert "notes.txt" not in contents(tmp_path / "imported")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.md").write_text("mine")
    for write in (
        import_model,
        lambda _, into, replace: export_model(*write_model(tmp_path), into),
    ):
        with pytest.raises(DataError, match="exists and is not a model"):
            write(exported, tmp_path / "mine", replace=True)
    assert list(contents(tmp_path / "mine")) == ["thesis.md"]
