"""A params file with names of twinear 0.1 is refused, and the message says the new name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import PARAMS
from twinear.base.errors import ParamsError
from twinear.base.params import RENAMED, Params, read_params, read_sections
from twinear.catalogue.params import CatalogueParams
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.training.training import TrainingParams

CLASSES: Mapping[str, type[Params]] = {
    "spectrograms": SpectrogramsParams,
    "training": TrainingParams,
    "catalogue": CatalogueParams,
}
KEYS = [name for name in RENAMED if "." in name]


def new_name(old: str) -> list[str]:
    return RENAMED[old].split(" ")[0].split(".")


def rename_back(sections: dict[str, Any], old: str) -> dict[str, Any]:
    """The sections with one key under its old name."""
    *parents, new = new_name(old)
    holder = sections
    for key in parents:
        holder = holder[key]
    holder[old.split(".")[-1]] = holder.pop(new)
    return sections


@pytest.mark.parametrize("old", KEYS)
def test_an_old_key_is_refused_with_its_new_name(tmp_path: Path, old: str) -> None:
    path = tmp_path / "params.yaml"
    YAML(typ="safe").dump(rename_back(read_sections(PARAMS), old), path)
    section = old.split(".")[0]
    with pytest.raises(ParamsError) as caught:
        read_params(section, CLASSES[section], path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {old}: unknown key")
    assert ".".join(new_name(old)) in message


def test_an_old_section_is_refused_with_its_new_name(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text(encoding="utf-8").replace("\nsplit:", "\npairs:"))
    with pytest.raises(ParamsError, match=r"pairs: unknown section; .*split"):
        read_sections(path)
