"""Give a scorer to others, or take one in: a folder that says what it is and can be checked.

```
README.md           the model card
scorer.safetensors  front end, network and weights
config.json         the same settings to be read by programs, and the SHA-256 of every other file
LICENSE             of twinear; beside it that of a pre-trained encoder, if the scorer needs one
```

The layout is that of a repository on the Hugging Face hub. A folder is written whole or not at all.
Equal scorers and cards give equal bytes.
"""

import json
import shutil
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from twinear import encoders
from twinear.base.errors import DataError, TwinearError
from twinear.base.files import replacing, require, sha256, write_json
from twinear.base.params import Params
from twinear.model.inputs import describe_input
from twinear.model.scorer import Scorer

CARD, SCORER, CONFIG, LICENCE = "README.md", "scorer.safetensors", "config.json", "LICENSE"
MUSICNN_LICENCE = "LICENSE-musicnn.md"
NEEDED = (CARD, SCORER, LICENCE)
EXPORTED = "a folder that 'twinear model export' wrote"
AGAIN = "get the folder again"
MAX_CONFIG = 1_000_000  # bytes

# a name in the folder, which cannot lead out of it
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ModelConfig(Params):
    """What `config.json` holds."""

    format: Literal["twinear scorer"]
    format_version: Literal[1]
    twinear: str  # the version that wrote it
    spectrograms: dict[str, Any]  # the front end
    inputs: dict[str, Any]
    model: dict[str, Any]
    files: dict[FileName, Sha256] = Field(max_length=20)


@dataclass(frozen=True, kw_only=True)
class ExchangedModel:
    """A folder that was exported or imported.

    Attributes
    ----------
    scorer
        The scorer's file in it.
    sha256
        Of that file.
    encoder
        The pre-trained encoder that the scorer needs; "": none.
    """

    folder: str
    scorer: str
    sha256: str
    encoder: str
    files: tuple[str, ...]


def export_model(scorer: Path, card: Path, into: Path, *, replace: bool = False) -> ExchangedModel:
    """Write a scorer's folder.

    Parameters
    ----------
    card
        The model card that the report wrote for this scorer.
    replace
        Replace an exported model.

    Raises
    ------
    DataError
        No scorer; a card of another scorer; a folder that holds anything else.
    """
    _require_free(into, replace)
    text = require(card, "run 'dvc repro report'").read_text(encoding="utf-8")
    with replacing(into) as temporary:
        temporary.mkdir()
        shutil.copyfile(require(scorer, "run 'dvc repro training'"), temporary / SCORER)
        digest = sha256(temporary / SCORER)
        if digest not in text:
            found, expected = "is the card of another scorer", f"one that names {digest}"
            raise DataError(card, found, expected=expected, remedy="run 'dvc repro report'")
        read = Scorer.read(temporary / SCORER)
        (temporary / CARD).write_text(text, encoding="utf-8")
        for name, licence in _licences(read).items():
            (temporary / name).write_text(licence, encoding="utf-8")
        files = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        config = {
            "format": "twinear scorer",
            "format_version": 1,
            "twinear": version("twinear"),
            **_settings(read),
            "files": files,
        }
        write_json(temporary / CONFIG, config)
    return _describe(into, files, read)


def import_model(folder: Path, into: Path, *, replace: bool = False) -> ExchangedModel:
    """Check a folder that was exported and copy it, without what else lies in it.

    Parameters
    ----------
    replace
        Replace a model that was imported before.

    Raises
    ------
    DataError
        It is not of twinear or of a later version, lacks a file, holds one that was changed, or its
        scorer cannot be read; `into` holds anything else.
    """
    _require_free(into, replace)
    config = _read_config(folder)
    with replacing(into) as temporary:
        temporary.mkdir()
        for name, digest in config.files.items():
            path = folder / name
            if path.is_symlink() or not path.is_file():
                raise DataError(path, "is missing, or not a file", remedy=AGAIN)
            shutil.copyfile(path, temporary / name)
            if sha256(temporary / name) != digest:
                found = "was changed or damaged: its SHA-256 is not that of config.json"
                raise DataError(path, found, remedy=AGAIN)
        scorer = Scorer.read(temporary / SCORER)
        if _settings(scorer) != config.model_dump(include={"spectrograms", "inputs", "model"}):
            found, expected = "has other settings than the scorer's file", "the same"
            raise DataError(folder / CONFIG, found, expected=expected, remedy=AGAIN)
        shutil.copyfile(folder / CONFIG, temporary / CONFIG)
    return _describe(into, config.files, scorer)


def _read_config(folder: Path) -> ModelConfig:
    path = folder / CONFIG
    if not folder.is_dir() or not path.is_file():
        raise DataError(folder, f"holds no {CONFIG}", expected=EXPORTED, remedy="name another")
    if path.stat().st_size > MAX_CONFIG:
        raise DataError(path, "is too large", expected=EXPORTED, remedy="name another")
    try:
        config = ModelConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        found = f"is of another kind or version ({place}: {first['msg']})"
        remedy = f"name another, or update twinear {version('twinear')}"
        raise DataError(path, found, expected=EXPORTED, remedy=remedy) from error
    if missing := [name for name in NEEDED if name not in config.files]:
        raise DataError(path, f"lacks {', '.join(missing)}", expected=EXPORTED, remedy=AGAIN)
    return config


def _require_free(into: Path, replace: bool) -> None:
    """Require that nothing is there, or a model to be replaced."""
    if not into.exists() or (into.is_dir() and not any(into.iterdir())):
        return
    if not (into / CONFIG).is_file() or not (into / SCORER).is_file():
        raise DataError(into, "exists and is not a model", remedy="name another folder")
    if not replace:
        raise DataError(into, "holds a model", remedy="replace it with --replace")


def _settings(scorer: Scorer) -> dict[str, Any]:
    settings = {
        "spectrograms": scorer.spectrograms.model_dump(mode="json"),
        "inputs": describe_input(scorer.inputs),
        "model": scorer.model.model_dump(mode="json"),
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _licences(scorer: Scorer) -> dict[str, str]:
    # in a checkout there may be two, and what setuptools left in `src` holds no licences
    found = (each.read_text(f"licenses/{LICENCE}") for each in distributions(name="twinear"))
    own = next(filter(None, found), None)
    if own is None:
        raise TwinearError(
            "twinear", "was installed without its licence", remedy="install it again"
        )
    texts = {LICENCE: own}
    if _encoder(scorer).startswith("musicnn"):
        weights = Path(encoders.__path__[0]) / "weights"
        texts[MUSICNN_LICENCE] = (weights / MUSICNN_LICENCE).read_text(encoding="utf-8")
    return texts


def _encoder(scorer: Scorer) -> str:
    return "" if scorer.spectrograms.embeddings == "none" else scorer.inputs.extractor


def _describe(folder: Path, files: dict[str, str], scorer: Scorer) -> ExchangedModel:
    return ExchangedModel(
        folder=str(folder),
        scorer=str(folder / SCORER),
        sha256=files[SCORER],
        encoder=_encoder(scorer),
        files=(*sorted(files), CONFIG),
    )
