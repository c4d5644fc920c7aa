"""`params.yaml`, read strictly and typed: every number that can change a result.

Each module declares the class of its own section (`class SplitParams(Params)`), without defaults:
values stand in the file only. The file is read as DVC reads it (YAML 1.2: `1e-3` is a number).
"""

import json
from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from twinear.base.errors import ParamsError, nearest
from twinear.base.files import require

STAGES = (
    "listens",
    "similarity",
    "clips",
    "spectrograms",
    "split",
    "training",
    "catalogue",
    "ranking",
    "report",
)
# `storage` belongs to the stage spectrograms, the last three to commands that are not stages
SECTIONS = (*STAGES, "storage", "tuning", "acceptance", "promotion")
PARAMS = Path("params.yaml")
MAX_DEPTH, MAX_VALUES = 20, 10_000  # of YAML, aliases written out: a few of them make billions

# names of twinear 0.1 and what they are called since
RENAMED = {
    "pairs": "split",
    "spectrograms.vectors": "spectrograms.embeddings (joined is now concat, alone is only)",
    "training.model.averaged_frames": "training.model.time_downsampling",
    "training.model.pool": "training.model.max_pool",
    "training.model.pooling": "training.model.global_pooling (moments is now statistics)",
    "training.model.vectors_share": "training.model.embeddings_shares (a list to choose from)",
    "training.model.embeddings_share": "training.model.embeddings_shares (a list to choose from)",
    "training.smoothing": "training.selection_window",
    "training.pull": "training.identity_decay",
    "training.averaging": "training.ema_decay",
    "training.augmentation.crop": "training.augmentation.min_crop",
    "training.augmentation.masked_bands": "training.augmentation.freq_mask",
    "training.augmentation.masked_frames": "training.augmentation.time_mask",
    "training.augmentation.mixed": "training.augmentation.mixup",
    "training.pretraining.crop": "training.pretraining.min_crop",
    "catalogue.hub_weight": "catalogue.csls_weight",
    "catalogue.company_weight": "catalogue.collaborative_weight",
    "catalogue.company_sharpness": "catalogue.collaborative_inverse_temperature",
}


class Params(BaseModel):
    """A section of `params.yaml`: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


P = TypeVar("P", bound=Params)


def read_params(section: str, kind: type[P], path: Path = PARAMS) -> P:
    """Read one section of `params.yaml` as `kind`.

    Raises
    ------
    ParamsError
        Missing or unreadable file, unknown section or key (with the likely meaning), missing
        key, value of another type or out of range.
    """
    return parse_params(section, kind, read_sections(path).get(section), path)


def read_sections(path: Path = PARAMS) -> dict[str, Any]:
    """Read every section of `params.yaml` as plain values; unknown sections are refused."""
    from ruamel.yaml.error import YAMLError  # slow to import, and `parse_params` does without

    require(path, "run from the project's root, where params.yaml stands")
    try:
        sections = deepcopy(load_yaml(path.read_bytes()))
        _count_values(sections)
    except YAMLError as error:
        raise ParamsError(path, "is not YAML", expected=str(error).replace("\n", " ")) from error
    except (RecursionError, OverflowError):
        expected = f"at most {MAX_DEPTH} levels and {MAX_VALUES:,} values, aliases written out"
        raise ParamsError(path, "is nested too deeply or too large", expected=expected) from None
    if not isinstance(sections, dict):
        raise ParamsError(path, f"holds a {type(sections).__name__}", expected="sections")
    for section in sections:
        if section not in SECTIONS:
            remedy = _suggest(str(section), str(section), SECTIONS)
            raise ParamsError(f"{path}: {section}", "unknown section", remedy=remedy)
    return sections


@lru_cache(maxsize=8)
def load_yaml(text: bytes) -> Any:
    """Parse YAML; a command reads many sections of one file, and this takes .05 s each time.

    The value is shared: copy it before you change it.
    """
    from ruamel.yaml import YAML  # as above

    return YAML(typ="safe", pure=True).load(text)


def _count_values(value: Any, depth: int = 0, n: int = 0) -> int:
    """Count the values within a value, on top of `n`; stop where they are too many or too deep."""
    if depth > MAX_DEPTH or n > MAX_VALUES:
        raise OverflowError
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            n = _count_values(each, depth + 1, n)
    return n + 1


def read_stages(path: Path = PARAMS) -> dict[str, Any]:
    """Read the sections that decide what a run of the pipeline gives."""
    sections = (*STAGES, "storage")
    return {name: values for name, values in read_sections(path).items() if name in sections}


def parse_params(section: str, kind: type[P], values: object, path: Path = PARAMS) -> P:
    """Check the plain `values` of one section against `kind`.

    Examples
    --------
    >>> class TeaParams(Params):
    ...     minutes: int
    >>> parse_params("tea", TeaParams, {"minutes": 4})
    TeaParams(minutes=4)
    >>> parse_params("tea", TeaParams, {"minuts": 4})
    Traceback (most recent call last):
        ...
    twinear.base.errors.ParamsError: params.yaml: tea.minuts: unknown key; did you mean 'minutes'?
    """
    if values is None:
        keys = ", ".join(kind.model_fields)
        raise ParamsError(path, f"has no section '{section}'", expected=f"one with {keys}")
    try:
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise _explain(error, section, kind, path) from None


def _explain(error: ValidationError, section: str, kind: type[Params], path: Path) -> ParamsError:
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    place = ".".join([str(path) + ": " + section, *map(str, first["loc"])])
    if first["type"] == "extra_forbidden":
        keys = _fields_at(kind, first["loc"][:-1])
        name = ".".join([section, *map(str, first["loc"])])
        return ParamsError(place, "unknown key", remedy=_suggest(name, str(first["loc"][-1]), keys))
    if first["type"] == "missing":
        return ParamsError(place, "is missing", remedy="add it, see the project's own params.yaml")
    reason = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    found = "does not fit together" if isinstance(first["input"], dict) else repr(first["input"])
    return ParamsError(place, f"found {found}" if found[0] != "d" else found, expected=reason)


def _fields_at(kind: type[Params], loc: tuple[int | str, ...]) -> list[str]:
    for key in loc:
        field = kind.model_fields.get(str(key))
        if field is None or not isinstance(field.annotation, type):
            return []
        kind = field.annotation
    return list(kind.model_fields)


def _suggest(name: str, word: str, words: Iterable[str]) -> str:
    if name in RENAMED:
        return f"it is called {RENAMED[name]} now"
    known = list(words)
    near = nearest(word, known)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
