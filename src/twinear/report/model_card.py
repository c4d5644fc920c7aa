"""The model card: what the scorer is for, from what, how good and how limited it is.

In the form of the Hugging Face hub: a README whose front matter programs read. All numbers are
those of the report. Holds no dates, seconds or names of machines: equal inputs give equal bytes.
"""

import math
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from twinear.base.files import sha256, write_text
from twinear.base.text import markdown_table
from twinear.ranking.ranking import CATALOGUE, CORRECTED_NDCG, HEADLINE, SIAMESE
from twinear.report.figure_set import chosen_epoch
from twinear.report.inputs import (
    DataDescription,
    Metrics,
    ReportInputs,
    ScorerHeader,
    read_header,
)
from twinear.report.page import ReportParams, templates
from twinear.report.tables import hubness_table, popularity_table, ranking_table
from twinear.report.without_listens import CatalogueInputs
from twinear.report.wording import answer, escape, metric_name, system_name
from twinear.training.keeping import describe

TITLE = "A scorer of artists that sound alike"
MIT = "https://spdx.org/licenses/MIT.html"  # as `acquisition.croissant` writes it
SHOWN = (HEADLINE, "ndcg@200", "recall@10", "map", "mrr", CORRECTED_NDCG)
TAGS = ["audio", "music", "music-similarity", "recommendation", "siamese-network"]
UNTRAINED = "The scorer is untrained: it compares clips by statistics that were fixed beforehand."


def write_card(
    made: ReportInputs | CatalogueInputs,
    data_folder: Path,
    scorer: Path,
    params: ReportParams,
    confidence: float,
    card: Path,
) -> None:
    """Write the card of a scorer.

    Parameters
    ----------
    made
        What the report is made of, with listens or without.
    data_folder
        Of which the description is read, if there is one.
    """
    data, header = DataDescription.read(data_folder), read_header(scorer)
    results = made if isinstance(made, ReportInputs) else None
    clips = made.counts["clips"] if isinstance(made, ReportInputs) else made.clips
    front, extractor = header.spectrograms, header.inputs.get("extractor", "")
    encoder = "" if front["embeddings"] == "none" else extractor or "of an unknown name"
    ranking = _select(results.ranking) if results else {}
    text = (
        templates()
        .get_template("model_card.md.jinja")
        .render(
            front_matter=_front_matter(data, ranking),
            title=TITLE,
            params=params,
            evaluated=results is not None,
            sha256=sha256(scorer),
            facts=_facts(header),
            encoder=escape(encoder),
            musicnn=encoder.startswith("musicnn"),
            data=data,
            data_table=_data_table(made, clips),
            is_mit=data.license == (MIT,),
            escape=escape,
            learning=describe(results.decision) if results else UNTRAINED,
            epochs=len(results.training) if results else 0,
            chosen_epoch=chosen_epoch(results.training) if results and len(results.training) else 0,
            answer=answer(results, confidence) if results else "",
            ranking=ranking_table(ranking) if results else "",
            popularity=popularity_table(ranking) if results else "",
            hubness=hubness_table(made.hubness) if made.hubness else "",
            confidence=f"{confidence:.0%}".replace("%", " %"),
            n_test=len(results.test.artists) if results else 0,
            seconds=f"{front['n_frames'] * front['hop_length'] / front['sr']:.3g} seconds",
        )
    )
    write_text(card, text)


def _select(ranking: Metrics) -> Metrics:
    """Take the metrics that are shown, of every system."""
    return {
        system: {metric: metrics[metric] for metric in SHOWN if metric in metrics}
        for system, metrics in ranking.items()
    }


def _front_matter(data: DataDescription, ranking: Metrics) -> str:
    """Write what programs read: licence, tags, and the results as a model index."""
    content: dict[str, Any] = {"license": "unknown"}  # names that the hub knows
    if data.license == (MIT,):
        content = {"license": "mit"}
    elif data.license:
        content = {
            "license": "other",
            "license_name": "terms-of-the-data",
            "license_link": "README.md",
        }
    content |= {
        "library_name": "twinear",
        "pipeline_tag": "feature-extraction",
        "tags": TAGS,
    }
    metrics = [
        {
            "type": metric,
            "name": f"{metric_name(metric)}, {system_name(system)}",
            "value": at.value,
            "args": {"low": at.low, "high": at.high},
        }
        for system in (SIAMESE, CATALOGUE)
        for metric, at in ranking.get(system, {}).items()
        if math.isfinite(at.value)
    ]
    if metrics:
        dataset = {"type": data.name, "name": f"{data.name}, held-out artists", "split": "test"}
        task = {"type": "feature-extraction", "name": "ranking of similar artists"}
        results = [{"task": task, "dataset": dataset, "metrics": metrics}]
        content["model-index"] = [{"name": "twinear", "results": results}]
    yaml, text = YAML(), StringIO()
    yaml.width = 1000  # no value is wrapped
    yaml.dump(content, text)
    return text.getvalue().rstrip("\n")


def _facts(header: ScorerHeader) -> str:
    front = header.spectrograms
    if header.kind == "log_mel":
        takes = f"log-mel spectrogram, {front['n_mels']} bands x {front['n_frames']:,} frames"
        takes += f" of {front['hop_length']} samples at {front['sr']:,} Hz"
    else:
        takes = f"embedding, {header.inputs['n_dims']} x {header.inputs['n_frames']}"
    if header.inputs.get("n_joined"):
        takes += f", and an embedding of {header.inputs['n_joined']}"
    model = header.model
    rows = [
        ["input", takes],
        ["branches", model["branches"]],
        ["head", model["head"]],
        ["weights", f"{header.n_weights:,}"],
        ["file", "safetensors, with front end and network in its header; no pickle"],
    ]
    return markdown_table(["", ""], rows, left=2)


def _data_table(made: ReportInputs | CatalogueInputs, clips: Mapping[str, Any]) -> str:
    rows = [
        ["clips used", f"{clips['used']:,}"],
        ["hours of audio", f"{clips['seconds'] / 3600:.2f}"],
        ["artists in the catalogue", f"{made.measures.artists:,}"],
    ]
    if isinstance(made, ReportInputs):
        listens = made.counts["listens"]
        rows += [[name, f"{listens[name]:,}"] for name in ("listeners", "plays")]
        splits = made.split.artists["split"].value_counts()
        rows += [
            [f"{name} artists", f"{splits.get(name, 0):,}"]
            for name in ("train", "validation", "test")
        ]
    return markdown_table(["", ""], rows)
