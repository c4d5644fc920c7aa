"""A judgement written down: JSON for machines, Markdown for people, a table for the terminal."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twinear.base.files import replacing, write_text
from twinear.evaluation.comparison import Judgement
from twinear.evaluation.comparison_table import format_judgement

FILES = ("summary.json", "summary.md", "queries.parquet")


def as_json(judgement: Judgement, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but the values of single queries, with some facts about the run on top."""
    verdicts = {protocol: asdict(each) for protocol, each in judgement.verdicts.items()}
    return {**facts, "protocols": verdicts}


def write_result(
    judgement: Judgement, facts: Mapping[str, Any], against: str, folder: Path
) -> list[Path]:
    """Write summary.json, summary.md and queries.parquet; return their paths."""
    summary, text, queries = (folder / name for name in FILES)
    write_text(summary, json.dumps(as_json(judgement, facts), indent=2, ensure_ascii=False))
    lines = [f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items()]
    table = format_judgement(judgement, against)
    write_text(text, "\n".join(["# Cross-validation", "", *lines, "", "```text", table, "```"]))
    write_queries(judgement, queries)
    return [summary, text, queries]


def write_queries(judgement: Judgement, path: Path) -> None:
    """Write the value of every query as Parquet."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        judgement.queries.to_parquet(file, index=False)
