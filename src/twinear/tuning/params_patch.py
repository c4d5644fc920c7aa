"""The best values as a patch of params.yaml that changes nothing else.

Only the characters of a value are replaced, at the position where the parser found it, so that
comments, order and layout stay as they are.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode

from twinear.base.errors import ParamsError


def with_values(text: str, values: Mapping[str, Any], place: Path) -> str:
    r"""Replace the values of some full names in the text of params.yaml.

    `ParamsError` for a name that the text does not have.

    Examples
    --------
    >>> text = "training:\n  epochs: 30    # at most\n"
    >>> print(with_values(text, {"training.epochs": 12}, Path("params.yaml")), end="")
    training:
      epochs: 12    # at most
    """
    root = YAML(pure=True).compose(text)
    yaml = YAML(typ="safe", pure=True)
    patches = []
    for name, value in values.items():
        needs_no_quotes = isinstance(value, str) and yaml.load(value) == value
        written = value if needs_no_quotes else json.dumps(value)  # YAML 1.2 reads JSON
        node = root
        for key in name.split("."):
            pairs = node.value if isinstance(node, MappingNode) else []
            found = [value_node for key_node, value_node in pairs if key_node.value == key]
            if not found:
                raise ParamsError(f"{place}: {name}", "is missing", remedy="write it there once")
            node = found[0]
        patches.append((node.start_mark.index, node.end_mark.index, written))
    for start, end, written in sorted(patches, reverse=True):  # from the end: positions stay valid
        if yaml.load(text[start:end]) != yaml.load(written):
            text = text[:start] + written + text[end:]
    return text


def difference(old: str, new: str, path: Path) -> str:
    """Compute a unified diff; empty when the texts are equal.

    Examples
    --------
    >>> print(difference("a: 1", "a: 2", Path("params.yaml")))
    --- params.yaml
    +++ params.yaml (best)
    @@ -1 +1 @@
    -a: 1
    +a: 2
    """
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), str(path), f"{path} (best)", lineterm="", n=1
    )
    return "\n".join(lines)
