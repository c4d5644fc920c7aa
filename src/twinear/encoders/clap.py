"""Vectors of clips by CLAP: a network that others trained on audio and its descriptions.

Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and
keyword-to-caption augmentation", ICASSP 2023, as `transformers` has it: its audio half alone. A
model is a folder, or a name of the Hugging Face hub, whose safetensors are then fetched. Weights
kept as pickle are refused, and no code of a model's own runs.

Of a clip's middle thirty seconds three windows of the network's ten are heard, evenly spread; a
shorter clip is repeated. A window's vector has length 1, as the network compares them; a clip's
vector is their mean, or each window is a frame.

This module alone knows `transformers`, which is optional.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from safetensors import SafetensorError
from torch import nn

from twinear.artists.clip_table import read_clip_table
from twinear.base.errors import ClipError, DataError, TwinearError
from twinear.base.files import require, sha256
from twinear.clips.waveform import load_waveform
from twinear.compute.pool import Progress, Workers, spread
from twinear.spectrograms.embedding_table import Vectors

Floats = npt.NDArray[np.float32]

N_WINDOWS = 3
MAX_SECONDS = 300.0  # no more of a clip is decoded, as the spectrograms do it
BATCH = 8  # clips whose windows go through the network together
KEEP_EVERY = 500  # clips between two times that the table is written

NAME = re.compile(r"[\w.-]+/[\w.-]+")  # of a model on the hub
WANTED = ["config.json", "preprocessor_config.json", "README.md", "*.safetensors"]
FRONT_MATTER = re.compile(r"---\s*\n(.*?)\n---", re.DOTALL)  # of a model card
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
EXPECTED = "a CLAP model: config.json, preprocessor_config.json and *.safetensors"
ANOTHER = "name another model"


@dataclass(frozen=True, kw_only=True, eq=False)
class Extractor:
    """CLAP's audio half.

    Parameters
    ----------
    name
        The model, and the hash of its weights.
    licence
        Of the weights, as the model card names it; "" where it does not.
    front
        Its feature extractor: waveform to log-mel.
    """

    name: str
    licence: str
    net: nn.Module
    front: Any

    def embed(self, windows: Floats) -> Floats:
        """Windows (n, n_samples) at the extractor's `sr` to vectors (n, n_dims) of length 1."""
        device = next(self.net.parameters()).device
        heard = self.front(list(windows), sampling_rate=self.front.sampling_rate)
        x = torch.from_numpy(np.stack(heard["input_features"]).astype(np.float32)).to(device)
        # the front end calls one window at random longer than it is; none are
        longer = torch.zeros(len(windows), 1, dtype=torch.bool, device=device)
        with torch.inference_mode():
            vectors = self.net(input_features=x, is_longer=longer).audio_embeds
            return np.asarray(nn.functional.normalize(vectors, dim=-1).cpu().numpy())


@dataclass(frozen=True, kw_only=True)
class EmbedParams:
    """`frames`: one vector a window, not one a clip. `replace`: another extractor's table."""

    frames: bool
    replace: bool


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What was done; `set_aside` maps a clip that cannot be heard to the reason."""

    clips: int
    new: int
    shape: tuple[int, ...]
    extractor: str
    licence: str
    set_aside: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Row:
    sha256: str
    vector: Floats  # (n_dims,) or (n_dims, N_WINDOWS)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Heard:
    sha256: str
    windows: Floats  # (N_WINDOWS, n_samples)


def load_extractor(model: str, say: Callable[[str], None]) -> Extractor:
    """Load CLAP from a folder, or by name from the hub or what was fetched of it before.

    Parameters
    ----------
    model
        A folder, or ARTIST_INDEX/MODEL.
    say
        Is told what is fetched.

    Raises
    ------
    TwinearError
        `transformers` is not installed.
    DataError
        No such model, no network, not CLAP, weights that are pickle, missing or damaged.
    """
    try:
        import transformers
    except ModuleNotFoundError:
        found = "needs transformers, which is not installed"
        remedy = "pip install 'twinear[embed]'"
        raise TwinearError("twinear embed", found, remedy=remedy) from None
    folder = Path(model) if Path(model).is_dir() else _fetched(model, say)
    weights = _require_clap(folder)
    transformers.utils.logging.set_verbosity_error()  # it lists every weight of the text half
    transformers.utils.logging.disable_progress_bar()
    net = _load_net(folder, transformers)
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    content = hashlib.sha256(b"".join(sha256(path).encode() for path in weights)).hexdigest()
    known_as = folder.resolve().name if Path(model).is_dir() else model
    return Extractor(
        name=f"CLAP {known_as} {content[:16]}",
        licence=_licence(folder),
        net=net.eval(),
        front=transformers.ClapFeatureExtractor.from_pretrained(folder, local_files_only=True),
    )


def _load_net(folder: Path, transformers: Any) -> nn.Module:
    try:
        net, loaded = transformers.ClapAudioModelWithProjection.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="eager",  # and not one that a config names
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        found = f"cannot be loaded ({(str(error).splitlines() or ['?'])[0]})"
        raise DataError(folder, found, expected=EXPECTED, remedy=ANOTHER) from None
    if missing := sorted(loaded["missing_keys"]):
        found = f"lacks {len(missing)} weights, the first {missing[0]}"
        raise DataError(folder, found, expected=EXPECTED, remedy=ANOTHER)
    loaded_net: nn.Module = net
    return loaded_net


def _fetched(model: str, say: Callable[[str], None]) -> Path:
    """The folder of a model of the hub: fetched before, or now."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if not NAME.fullmatch(model):
        expected = "a folder, or ARTIST_INDEX/MODEL of the Hugging Face hub"
        raise DataError(model, "is no folder and no model's name", expected=expected)
    try:
        return Path(snapshot_download(model, allow_patterns=WANTED, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    unreachable: tuple[type[Exception], ...] = HfHubHTTPError.__bases__  # its client's, OSError
    try:
        files = snapshot_download(model, allow_patterns=WANTED, dry_run=True)
        names = ", ".join(
            f"{file.filename} ({(file.file_size or 0) / 1e6:.1f} MB)" for file in files
        )
        say(f"fetching {model} from the Hugging Face hub: {names}")
        return Path(snapshot_download(model, allow_patterns=WANTED))
    except unreachable as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        found = f"cannot be fetched from the Hugging Face hub ({reason})"
        remedy = "mend name or network, or give a folder that holds the model"
        raise DataError(model, found, remedy=remedy) from None


def _require_clap(folder: Path) -> list[Path]:
    """The files of weights in the folder of a CLAP model."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = f"holds weights as pickle ({', '.join(pickles)})" if pickles else "holds no weights"
        remedy = "save them as safetensors, or name another model" if pickles else ANOTHER
        raise DataError(folder, found, expected="*.safetensors", remedy=remedy)
    config = require(folder / "config.json", ANOTHER)
    require(folder / "preprocessor_config.json", ANOTHER)
    try:
        kind = json.loads(config.read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError):
        kind = "none that is known"
    if kind != "clap":
        found = f"model_type is {kind}"
        raise DataError(config, found, expected="clap", remedy=ANOTHER)
    return weights


def _licence(folder: Path) -> str:
    """The licence that the model card's front matter names; "" for none."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front = FRONT_MATTER.match(text)
    try:
        data = YAML(typ="safe", pure=True).load(front.group(1)) if front else None
    except YAMLError:
        return ""
    if not isinstance(data, dict):
        return ""
    named = (data.get(key) for key in ("license", "license_name", "license_link"))
    return " ".join(str(each) for each in named if each)


def embed_clips(
    extractor: Extractor,
    data_folder: Path,
    into: Path,
    params: EmbedParams,
    progress: Progress,
    workers: Workers,
) -> EmbedReport:
    """Make the table of the vectors of every clip of `clips.csv`.

    What `into` holds already by the same extractor is kept, unless a clip has changed. What is
    done is written now and then, and also when this is stopped, so that it can go on.

    Raises
    ------
    DataError
        No clips, none that can be heard, or an `into` of another extractor that is not to be
        replaced.
    """
    files = sorted(set(read_clip_table(data_folder / "clips.csv")["file"]))
    rows = _known(extractor, data_folder, into, params, files)
    todo = [file for file in files if file not in rows]
    kept = len(rows)
    set_aside: dict[str, str] = {}
    made = _embedded(extractor, [data_folder / file for file in todo], params, workers)
    try:
        for n, (file, row) in enumerate(zip(progress(todo), made, strict=True), 1):
            if isinstance(row, str):
                set_aside[file] = row
                continue
            rows[file] = row
            if n % KEEP_EVERY == 0:
                _table(extractor, rows).write(into)
    finally:
        if rows:
            _table(extractor, rows).write(into)
    if not rows:
        reason = f"{todo[0]}: {set_aside[todo[0]]}" if todo else "it lists none"
        raise DataError(data_folder / "clips.csv", f"names no clip to be heard ({reason})")
    return EmbedReport(
        clips=len(rows),
        new=len(rows) - kept,
        shape=next(iter(rows.values())).vector.shape,
        extractor=extractor.name,
        licence=extractor.licence,
        set_aside=set_aside,
    )


def _known(
    extractor: Extractor, data_folder: Path, into: Path, params: EmbedParams, files: list[str]
) -> dict[str, _Row]:
    """What `into` holds already of these files as they are."""
    if not into.exists() or params.replace:
        return {}
    table = Vectors.read(into)
    if table.extractor != extractor.name or (table.vector.ndim == 3) != params.frames:
        kind = "windows" if table.vector.ndim == 3 else "clips"
        raise DataError(
            into,
            f"holds vectors of {kind} by {table.extractor or 'an unknown extractor'}",
            expected=f"{'windows' if params.frames else 'clips'} by {extractor.name}",
            remedy="replace it with --replace, or name another file",
        )
    held = zip(table.clips, table.sha256, table.vector, strict=False)
    rows = {clip: _Row(sha256=content, vector=vector) for clip, content, vector in held}
    return {
        file: rows[file]
        for file in files
        if file in rows
        and (data_folder / file).is_file()
        and sha256(data_folder / file) == rows[file].sha256
    }


def _table(extractor: Extractor, rows: dict[str, _Row]) -> Vectors:
    files = sorted(rows)
    return Vectors(
        clips=files,
        vector=np.stack([rows[file].vector for file in files]),
        extractor=extractor.name,
        licence=extractor.licence,
        sha256=[rows[file].sha256 for file in files],
    )


def _embedded(
    extractor: Extractor, paths: Iterable[Path], params: EmbedParams, workers: Workers
) -> Iterator[_Row | str]:
    """Each clip's row, or why there is none, in order."""
    front = extractor.front
    hear = partial(_hear, sr=front.sampling_rate, n=front.nb_max_samples)
    crashed: _Heard | str = "crashes the decoder"
    heard = spread(hear, paths, workers, crashed)
    while batch := list(islice(heard, BATCH)):
        windows = [each.windows for each in batch if isinstance(each, _Heard)]
        vectors: Iterator[Floats] = iter(())
        if windows:
            embedded = extractor.embed(np.concatenate(windows))
            vectors = iter(embedded.reshape(len(windows), N_WINDOWS, -1))
        for each in batch:
            if isinstance(each, str):
                yield each
                continue
            frames = next(vectors)  # (N_WINDOWS, n_dims)
            vector = frames.T if params.frames else frames.mean(axis=0)
            yield _Row(sha256=each.sha256, vector=vector)


def _hear(path: Path, sr: int, n: int) -> _Heard | str:
    if not path.is_file():
        return "is not there"
    try:
        y = load_waveform(path, sr, MAX_SECONDS)
    except ClipError as error:
        return str(error).removeprefix(f"{path}: ").partition(";")[0]
    return _Heard(sha256=sha256(path), windows=cut_windows(y, n))


def cut_windows(y: Floats, n: int) -> Floats:
    """Evenly spread windows of the middle of a waveform: (N_WINDOWS, n)."""
    start = max(0, len(y) - N_WINDOWS * n) // 2
    y = y[start : start + N_WINDOWS * n]
    if len(y) < n:
        y = np.resize(y, n)  # repeats it
    starts = np.linspace(0, len(y) - n, N_WINDOWS).round().astype(int)
    return np.stack([y[at : at + n] for at in starts])
