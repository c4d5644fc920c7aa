"""The best values as a change of params.yaml that touches nothing else.

Only the characters of a value are replaced, at the place where the parser found it, so that
comments, order and layout stay as they are.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from twinear.base.errors import ParamsError


def with_values(text: str, values: Mapping[str, Any], place: Path) -> str:
    """The text of params.yaml with the values of some whole names replaced.

    Raises
    ------
    ParamsError
        A name that the text does not have.
    """
    root = YAML(pure=True).compose(text)
    spans = [(*_span(root, name, place), _written(value)) for name, value in values.items()]
    plain = YAML(typ="safe", pure=True)
    for start, end, written in sorted(spans, reverse=True):
        if plain.load(text[start:end]) != plain.load(written):
            text = text[:start] + written + text[end:]
    return text


def _span(root: Node, name: str, place: Path) -> tuple[int, int]:
    """From where to where the value of a name is written."""
    at = root
    for key in name.split("."):
        pairs = at.value if isinstance(at, MappingNode) else []
        found = [value for each, value in pairs if each.value == key]
        if not found:
            raise ParamsError(f"{place}: {name}", "is missing", remedy="write it there once")
        at = found[0]
    return at.start_mark.index, at.end_mark.index


def _written(value: Any) -> str:
    if isinstance(value, str) and YAML(typ="safe", pure=True).load(value) == value:
        return value  # a word that needs no quotes
    return json.dumps(value)  # YAML 1.2 reads JSON


def difference(old: str, new: str, path: Path) -> str:
    """A unified diff; empty when nothing differs."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), str(path), f"{path} (best)", lineterm="", n=1
    )
    return "\n".join(lines)
