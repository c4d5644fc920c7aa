"""The model card: programs of the Hugging Face hub read it, and its numbers are the report's."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.report.test_report import PARAMS, plant
from tests.support.scorers import ALONE, JOINED, small_scorer
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import HEADLINE
from twinear.report.inputs import ReportInputs
from twinear.report.model_card import MIT, write_card
from twinear.report.wording import interval


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    planted = plant(tmp_path_factory.mktemp("planted"))
    clips = {"used": 158, "seconds": 4741.5}
    listens = {"listeners": 1999, "plays": 12345}
    return replace(planted, counts={**planted.counts, "clips": clips, "listens": listens})


def write(
    inputs: ReportInputs,
    folder: Path,
    licences: Sequence[str] = (),
    scorer: Scorer | None = None,
    description: str = "A corpus.",
) -> Path:
    folder.mkdir(exist_ok=True)
    content = {"name": "corpus", "description": description, "license": licences, "@type": "x"}
    (folder / "croissant.json").write_text(json.dumps(content))
    (scorer or small_scorer()).write(folder / "scorer.safetensors")
    card = folder / "card.md"
    write_card(inputs, folder, folder / "scorer.safetensors", PARAMS, 0.95, card)
    return card


def test_the_hub_reads_licence_tags_and_every_result_with_its_interval(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(write(inputs, tmp_path, [MIT]))
    assert (card.data.license, card.data.library_name) == ("mit", "twinear")
    assert "music-similarity" in card.data.tags
    found = {result.metric_name: result for result in card.data.eval_results}
    for system, name in (("siamese", "siamese network alone"), ("catalogue", "catalogue")):
        at, result = inputs.ranking[system][HEADLINE], found[f"NDCG@10, {name}"]
        assert (result.metric_type, result.metric_value) == ("ndcg@10", at.value)
        assert result.metric_args == {"low": at.low, "high": at.high}
        assert (result.dataset_type, result.dataset_split) == ("corpus", "test")
    assert type(card)(str(card)).data.to_dict() == card.data.to_dict()


def test_its_numbers_are_those_of_the_report(inputs: ReportInputs, tmp_path: Path) -> None:
    path = write(inputs, tmp_path, [MIT])
    text = path.read_text(encoding="utf-8")
    for shown in (
        interval(inputs.ranking["catalogue"][HEADLINE]),
        interval(inputs.ranking["l2"]["map"]),
        "| catalogue | 1.250 | .312 | .087 |",  # hubness
        "| clips used | 158 |",
        "| plays | 12,345 |",
        "| test artists | 6 |",
        sha256(tmp_path / "scorer.safetensors"),
        PARAMS.corpus_note,
        "30 epochs; with the weights of epoch 17",
        "A clip is 1.49 seconds",
        f"| weights | {sum(each.size for each in small_scorer().weights.values()):,} |",
    ):
        assert shown in text, shown
    tables = MarkdownIt("commonmark").enable("table").render(text)
    assert tables.count("<table>") == 5  # a table without a blank line before it is none
    assert "nan" not in text.split()


def test_equal_inputs_give_equal_bytes(inputs: ReportInputs, tmp_path: Path) -> None:
    one, two = (write(inputs, tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("licences", "license_", "said"),
    [
        ([MIT], "license: mit\n", "may be used under the MIT licence"),
        (["non-commercial"], "license: other\n", "- non-commercial"),
        ([MIT, "CC BY 4.0"], "license: other\n", "- CC BY 4.0"),
        ([], "license: unknown\n", "states no licence"),
    ],
)
def test_a_licence_is_claimed_only_where_all_data_has_it(
    inputs: ReportInputs, tmp_path: Path, licences: list[str], license_: str, said: str
) -> None:
    text = write(inputs, tmp_path, licences).read_text(encoding="utf-8")
    assert license_ in text
    assert said in text


def test_texts_of_the_data_are_plain_words(inputs: ReportInputs, tmp_path: Path) -> None:
    odd = "<script>alert(1)</script> ![x](http://example.org)\n---\nlicense: mit"
    text = write(inputs, tmp_path, [odd], description=odd).read_text(encoding="utf-8")
    page = MarkdownIt("commonmark").render(text)
    assert "<script" not in page
    assert "<img" not in page
    assert text.count("\n---\n") == 1  # the end of the front matter


def test_a_scorer_of_embeddings_names_their_network(inputs: ReportInputs, tmp_path: Path) -> None:
    for front in (ALONE, JOINED):
        scorer = small_scorer(front=front, n_dims=3, extractor="musicnn-msd 1")
        text = write(inputs, tmp_path, scorer=scorer).read_text(encoding="utf-8")
        assert "musicnn-msd 1, whose weights come with twinear (ISC licence)" in text


def test_a_folder_without_a_description_and_one_that_cannot_be_read(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    card = write(inputs, tmp_path)
    scorer = tmp_path / "scorer.safetensors"
    (tmp_path / "croissant.json").write_text('{"license": 7}')
    with pytest.raises(DataError, match=r"croissant\.json: cannot be read \(license"):
        write_card(inputs, tmp_path, scorer, PARAMS, 0.95, card)
    (tmp_path / "croissant.json").unlink()
    write_card(inputs, tmp_path, scorer, PARAMS, 0.95, card)
    assert "states no licence" in card.read_text(encoding="utf-8")
