"""A data folder's description is valid, and programs that know Croissant read the clips from it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from twinear.acquisition.croissant import FILE, MIT, read_licences, write_description
from twinear.acquisition.import_corpus import import_corpus
from twinear.acquisition.sample.corpus import CorpusSize, write_corpus
from twinear.artists.clip_table import read_clip_rows
from twinear.base.errors import DataError

# inside mlcroissant and its RDF library
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def write_clips(folder: Path, *rows: str) -> None:
    folder.mkdir(exist_ok=True)
    text = "\n".join(["file,artist,mbid,title,terms", *rows])
    (folder / "clips.csv").write_text(text + "\n", encoding="utf-8")


def description(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return read


def read_as_croissant(folder: Path) -> list[dict[str, str]]:
    """Validate the description and read the clips, as any program would."""
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(folder / FILE))
    assert not dataset.metadata.ctx.issues.errors
    return [
        {name.removeprefix("clips/"): value.decode() for name, value in record.items()}
        for record in dataset.records("clips")
    ]


def test_the_sample_and_an_import_are_described_alike(tmp_path: Path) -> None:
    sample, imported = tmp_path / "sample", tmp_path / "imported"
    write_corpus(sample, 1, CorpusSize(n_artists=2, clips_per_artist=1, n_listeners=5, seconds=1))
    import_corpus(sample / "listens", sample / "clips.csv", imported)
    for folder in (sample, imported):
        rows = [row.values for row in read_clip_rows(folder / "clips.csv").rows]
        assert read_as_croissant(folder) == rows
        sets = {each["name"]: each for each in description(folder)["distribution"]}
        assert sets["listens-files"]["includes"] == ["listens/*.tsv"]
        assert "2 clips of 2 artists" in description(folder)["description"]
    assert read_licences(sample) == (MIT,)
    assert "made-up" in description(sample)["description"]
    assert read_licences(imported) == ()  # whoever imports a file does not say what its terms are


def test_the_bundled_sample_is_described(tmp_path: Path) -> None:
    def stored(md5: str) -> Path:
        return ROOT / "dvcstore/files/md5" / md5[:2] / md5[2:]

    pinned = YAML(typ="safe").load(ROOT / "data.dvc")["outs"][0]["md5"]
    listed = json.loads(stored(pinned).read_text(encoding="utf-8"))
    files = {each["relpath"]: stored(each["md5"]) for each in listed}
    for name in (FILE, "clips.csv"):
        shutil.copy(files[name], tmp_path / name)
    clips = {row["file"] for row in read_as_croissant(tmp_path)}
    assert len(clips) == 160
    assert clips <= set(files)
    assert read_licences(tmp_path) == (MIT,)


def test_a_damaged_description_is_not_valid(tmp_path: Path) -> None:
    import mlcroissant

    write_clips(tmp_path, "clips/a.mp3,Air,,,")
    write_description(tmp_path)
    content = description(tmp_path)
    del content["distribution"][0]["sha256"]
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(mlcroissant.ValidationError, match="sha256"):
        read_as_croissant(tmp_path)


def test_terms_are_those_of_clips_of_listens_and_of_the_description_before(tmp_path: Path) -> None:
    write_clips(tmp_path, "clips/a.mp3,Air,,,CC BY 4.0", "clips/b.ogg,Air,,,")
    (tmp_path / "listens").mkdir()
    (tmp_path / "listens/source.json").write_text('{"licence": "non-commercial"}')
    write_description(tmp_path, licences=[MIT])
    write_description(tmp_path)
    assert read_licences(tmp_path) == ("CC BY 4.0", MIT, "non-commercial")


def test_equal_folders_have_equal_bytes_and_a_change_of_the_table_is_seen(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        write_clips(folder, "clips/a.mp3,Air,,Sexy Boy,")
        write_description(folder)
    one, two = ((folder / FILE).read_bytes() for folder in folders)
    assert one == two
    write_clips(folders[0], "clips/a.mp3,Air,,All I Need,")
    write_description(folders[0])
    assert (folders[0] / FILE).read_bytes() != two


def test_a_folder_of_listens_alone_is_described_too(tmp_path: Path) -> None:
    (tmp_path / "listens/2024").mkdir(parents=True)
    (tmp_path / "listens/2024/1.listens.zst").write_text("")
    (tmp_path / "listens/.DS_Store").write_text("")
    write_description(tmp_path)
    (files,) = description(tmp_path)["distribution"]
    assert files["includes"] == ["listens/*.zst"]
    assert "recordSet" not in description(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_description_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match=r"croissant\.json: "):
        read_licences(tmp_path)
