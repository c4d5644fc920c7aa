"""A disk that fills up while a noun is written: one line, and the last good one stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.support.disk import limited_disk
from twinear.base.errors import DataError
from twinear.clips.clips import Clips
from twinear.listens.listens import Listens
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import Ranking
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split

NOUNS: dict[str, Callable[[Path], "Clips | Listens | Split | Scorer | Spectrograms"
                                  " | Ranking | Similarity"]] = {
    "listens": Listens.read,
    "similarity": Similarity.read,
    "clips.csv": Clips.read,
    "spectrograms": Spectrograms.read,
    "split.csv": Split.read,
    "training/scorer.safetensors": Scorer.read,
    "training/before_refit.safetensors": Scorer.read,
    "ranking": Ranking.read,
}  # fmt: skip


@pytest.mark.parametrize("name", NOUNS)
def test_a_disk_that_fills_up_is_one_line_and_the_last_good_one_stays(
    finished: Project, tmp_path: Path, name: str
) -> None:
    noun = NOUNS[name](finished.folder / "artifacts" / name)
    path = tmp_path / "written"
    noun.write(path)
    before = contents(path)
    with pytest.raises(DataError, match=r"written: .*not be written"), limited_disk(1000):
        noun.write(path)
    assert contents(path) == before
    assert [each.name for each in tmp_path.iterdir()] == ["written"]


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {each.name: each.read_bytes() for each in files}
