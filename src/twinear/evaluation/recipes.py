"""A recipe: sections that override those of `params.yaml`, and single keys set by hand.

A recipe is YAML like `params.yaml` with only what differs: nested keys are merged, lists and plain
values replaced. The result is checked by the same classes as `params.yaml` itself, when a section
is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from twinear.base.errors import ParamsError, nearest
from twinear.base.params import SECTIONS, Params, parse_params, read_sections

P = TypeVar("P", bound=Params)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The params after a recipe."""

    sections: Mapping[str, Any]
    place: str  # the files and settings they come from, for messages

    def read(self, section: str, kind: type[P]) -> P:
        """Read one section as `kind`; errors as of `read_params`."""
        return parse_params(section, kind, self.sections.get(section), Path(self.place))


def read_recipe(params: Path, recipe: Path | None = None, settings: Sequence[str] = ()) -> Recipe:
    """Read `params.yaml`, override it by a recipe, then by settings `section.key=value`.

    Raises
    ------
    ParamsError
        Not YAML, an unknown section, a setting that is not `section.key=value` or has an unknown
        key.
    """
    sections, place = read_sections(params), str(params)
    if recipe is not None:
        sections, place = _merged(sections, read_sections(recipe)), f"{place} + {recipe}"
    for setting in settings:
        override = _parse_setting(setting, sections)
        sections, place = _merged(sections, override), f"{place} + {setting}"
    return Recipe(sections=sections, place=place)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two levels of keys; values of `above` win.

    Examples
    --------
    >>> _merged({"training": {"seed": 1, "epochs": 30}}, {"training": {"epochs": 2}})
    {'training': {'seed': 1, 'epochs': 2}}
    """
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _parse_setting(setting: str, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Parse one setting to sections that hold nothing else."""
    name, equals, text = setting.partition("=")
    *above, key = name.strip().split(".")
    if not (equals and above and key):
        expected = "section.key=value, such as training.learning_rate=3e-4"
        raise ParamsError("--set", f"found '{setting}'", expected=expected)
    within: Any = sections
    for part in above:
        within = within.get(part) if isinstance(within, Mapping) else None
    if not isinstance(within, Mapping) or key not in within:
        keys = list(within) if isinstance(within, Mapping) else []
        known = [f"{'.'.join(above)}.{other}" for other in keys] or list(SECTIONS)
        near = nearest(name, known)
        remedy = f"did you mean '{near[0]}'?" if near else "see params.yaml for the keys"
        raise ParamsError(f"--set {name}", "unknown key", remedy=remedy)
    try:
        override: dict[str, Any] = {key: YAML(typ="safe", pure=True).load(text)}
    except YAMLError as error:
        reason = str(error).replace("\n", " ")
        raise ParamsError(f"--set {setting}", "is not YAML", expected=reason) from error
    for part in reversed(above):
        override = {part: override}
    return override
