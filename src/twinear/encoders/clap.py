"""Embeddings of clips by CLAP, a network pre-trained on audio and its descriptions.

Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and
keyword-to-caption augmentation", ICASSP 2023, in the implementation of `transformers`; only its
audio half is used. A model is a folder, or a name on the Hugging Face hub, whose safetensors are
then downloaded. Weights saved as pickle are refused, and code that a model brings is not run.

Of a clip's middle thirty seconds the network encodes three windows of ten seconds, evenly spread; a
shorter clip is repeated. The embedding of a window has length 1, as the network compares them. The
embedding of a clip is their mean, or each window is a frame.

No other module imports `transformers`, which is optional.
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
from twinear.base.errors import DataError, TwinearError
from twinear.base.files import require, sha256
from twinear.compute.pool import Progress, Workers, map_in_processes
from twinear.encoders.windows import N_WINDOWS, ClipWindows, load_windows
from twinear.spectrograms.embedding_table import EmbeddingTable

Floats = npt.NDArray[np.float32]

BATCH = 8  # clips whose windows go through the network together
WRITE_EVERY = 500  # clips between two writings of the table

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILES = ["config.json", "preprocessor_config.json", "README.md", "*.safetensors"]
FRONT_MATTER = re.compile(r"---\s*\n(.*?)\n---", re.DOTALL)  # of a model card
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
EXPECTED = "a CLAP model: config.json, preprocessor_config.json and *.safetensors"
ANOTHER = "name another model"


@dataclass(frozen=True, kw_only=True, eq=False)
class Extractor:
    """CLAP's audio half."""

    name: str  # the model, and the hash of its weights
    licence: str  # of the weights, from the model card; "" if it names none
    net: nn.Module
    front: Any  # its feature extractor: waveform to log-mel

    def embed(self, windows: Floats) -> Floats:
        """Windows (n, n_samples) at the extractor's sample rate -> (n, n_dims), of length 1."""
        device = next(self.net.parameters()).device
        features = self.front(list(windows), sampling_rate=self.front.sampling_rate)
        x = torch.from_numpy(np.stack(features["input_features"]).astype(np.float32)).to(device)
        # for short windows the front end marks one at random as longer; none of ours is
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
    """What was embedded; `set_aside` maps a clip that cannot be decoded to the reason."""

    clips: int
    new: int
    shape: tuple[int, ...]
    extractor: str
    licence: str
    set_aside: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class _ClipVector:
    sha256: str
    vector: Floats  # (n_dims,) or (n_dims, N_WINDOWS)


def load_extractor(model: str, say: Callable[[str], None]) -> Extractor:
    """Load CLAP from a folder, or by name (OWNER/MODEL) from the hub or its local cache.

    `say` is called with a message before a download. `TwinearError` if `transformers` is not
    installed, `DataError` for no such model, no network, not CLAP, weights that are pickle, missing
    or damaged.
    """
    try:
        import transformers
    except ModuleNotFoundError:
        found = "needs transformers, which is not installed"
        remedy = "pip install 'twinear[embed]'"
        raise TwinearError("twinear embed", found, remedy=remedy) from None
    is_folder = Path(model).is_dir()
    folder = Path(model) if is_folder else _download(model, say)
    weights = _require_clap(folder)
    transformers.utils.logging.set_verbosity_error()  # it lists every weight of the text half
    transformers.utils.logging.disable_progress_bar()
    try:
        net, loading = transformers.ClapAudioModelWithProjection.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="eager",  # whatever the model's config names
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        found = f"cannot be loaded ({(str(error).splitlines() or ['?'])[0]})"
        raise DataError(folder, found, expected=EXPECTED, remedy=ANOTHER) from None
    if missing := sorted(loading["missing_keys"]):
        found = f"lacks {len(missing)} weights, the first {missing[0]}"
        raise DataError(folder, found, expected=EXPECTED, remedy=ANOTHER)
    content = hashlib.sha256(b"".join(sha256(path).encode() for path in weights)).hexdigest()
    return Extractor(
        name=f"CLAP {folder.resolve().name if is_folder else model} {content[:16]}",
        licence=_read_licence(folder),
        net=net.to("cuda" if torch.cuda.is_available() else "cpu").eval(),
        front=transformers.ClapFeatureExtractor.from_pretrained(folder, local_files_only=True),
    )


def _download(model: str, say: Callable[[str], None]) -> Path:
    """The folder of a model of the hub, downloaded unless it was before."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if not HUB_NAME.fullmatch(model):
        expected = "a folder, or OWNER/MODEL of the Hugging Face hub"
        raise DataError(model, "is not a folder and not a model's name", expected=expected)
    try:
        return Path(snapshot_download(model, allow_patterns=HUB_FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    unreachable: tuple[type[Exception], ...] = HfHubHTTPError.__bases__  # its client's, OSError
    try:
        files = snapshot_download(model, allow_patterns=HUB_FILES, dry_run=True)
        names = ", ".join(
            f"{file.filename} ({(file.file_size or 0) / 1e6:.1f} MB)" for file in files
        )
        say(f"downloading {model} from the Hugging Face hub: {names}")
        return Path(snapshot_download(model, allow_patterns=HUB_FILES))
    except unreachable as error:
        cause = str(error.__cause__ or error).strip().splitlines()[0]
        found = f"cannot be downloaded from the Hugging Face hub ({cause})"
        remedy = "correct the name, check the network, or give a folder that holds the model"
        raise DataError(model, found, remedy=remedy) from None


def _require_clap(folder: Path) -> list[Path]:
    """The files of weights in the folder of a CLAP model."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = f"holds weights as pickle ({', '.join(pickles)})" if pickles else "holds no weights"
        remedy = f"save them as safetensors, or {ANOTHER}" if pickles else ANOTHER
        raise DataError(folder, found, expected="*.safetensors", remedy=remedy)
    config = require(folder / "config.json", ANOTHER)
    require(folder / "preprocessor_config.json", ANOTHER)
    try:
        model_type = json.loads(config.read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError):
        model_type = "unknown"
    if model_type != "clap":
        raise DataError(config, f"model_type is {model_type}", expected="clap", remedy=ANOTHER)
    return weights


def _read_licence(folder: Path) -> str:
    """The licence in the front matter of the model card; "" if there is none."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front_matter = FRONT_MATTER.match(text)
    try:
        data = YAML(typ="safe", pure=True).load(front_matter[1]) if front_matter else None
    except YAMLError:
        return ""
    if not isinstance(data, dict):
        return ""
    values = (data.get(key) for key in ("license", "license_name", "license_link"))
    return " ".join(str(value) for value in values if value)


def embed_clips(
    extractor: Extractor,
    data_folder: Path,
    into: Path,
    params: EmbedParams,
    progress: Progress,
    workers: Workers,
) -> EmbedReport:
    """Write the table of the embeddings of every clip of `clips.csv`.

    What `into` holds already by the same extractor is kept, unless a clip has changed. The table is
    written from time to time, and also on an interrupt, so that the next run can resume.
    `DataError` if there are no clips, none can be decoded, or `into` is of another extractor and
    not to be replaced.
    """
    files = sorted(set(read_clip_table(data_folder / "clips.csv")["file"]))
    rows = {} if params.replace else _read_unchanged(extractor, data_folder, into, params, files)
    todo = [file for file in files if file not in rows]
    n_kept = len(rows)
    set_aside: dict[str, str] = {}
    results = _embed(extractor, [data_folder / file for file in todo], params, workers)
    try:
        for n, (file, result) in enumerate(zip(progress(todo), results, strict=True), 1):
            if isinstance(result, str):
                set_aside[file] = result
                continue
            rows[file] = result
            if n % WRITE_EVERY == 0:
                _table(extractor, rows).write(into)
    finally:
        if rows:
            _table(extractor, rows).write(into)
    if not rows:
        reason = f"{todo[0]}: {set_aside[todo[0]]}" if todo else "it lists none"
        raise DataError(data_folder / "clips.csv", f"names no clip that can be decoded ({reason})")
    return EmbedReport(
        clips=len(rows),
        new=len(rows) - n_kept,
        shape=next(iter(rows.values())).vector.shape,
        extractor=extractor.name,
        licence=extractor.licence,
        set_aside=set_aside,
    )


def _read_unchanged(
    extractor: Extractor, data_folder: Path, into: Path, params: EmbedParams, files: list[str]
) -> dict[str, _ClipVector]:
    """The rows of `into` whose clips are among the files and have not changed."""
    if not into.exists():
        return {}
    table = EmbeddingTable.read(into)
    if table.extractor != extractor.name or (table.vector.ndim == 3) != params.frames:
        kind = "windows" if table.vector.ndim == 3 else "clips"
        raise DataError(
            into,
            f"holds vectors of {kind} by {table.extractor or 'an unknown extractor'}",
            expected=f"{'windows' if params.frames else 'clips'} by {extractor.name}",
            remedy="replace it with --replace, or name another file",
        )
    requested = set(files)
    return {
        file: _ClipVector(sha256=content, vector=vector)
        for file, content, vector in zip(table.clips, table.sha256, table.vector, strict=False)
        if file in requested
        and (data_folder / file).is_file()
        and sha256(data_folder / file) == content
    }


def _table(extractor: Extractor, rows: dict[str, _ClipVector]) -> EmbeddingTable:
    files = sorted(rows)
    return EmbeddingTable(
        clips=files,
        vector=np.stack([rows[file].vector for file in files]),
        extractor=extractor.name,
        licence=extractor.licence,
        sha256=[rows[file].sha256 for file in files],
    )


def _embed(
    extractor: Extractor, paths: Iterable[Path], params: EmbedParams, workers: Workers
) -> Iterator[_ClipVector | str]:
    """Each clip's embedding, or why there is none, in order."""
    front = extractor.front
    load = partial(load_windows, sr=front.sampling_rate, n_samples=front.nb_max_samples)
    crashed: ClipWindows | str = "crashes the decoder"
    loaded = map_in_processes(load, paths, workers, crashed)
    while batch := list(islice(loaded, BATCH)):
        windows = [clip.windows for clip in batch if isinstance(clip, ClipWindows)]
        vectors: Iterator[Floats] = iter(())
        if windows:
            # one pass of the network for the windows of all clips, (clips * N_WINDOWS, n_samples)
            embedded = extractor.embed(np.concatenate(windows))
            vectors = iter(embedded.reshape(len(windows), N_WINDOWS, -1))
        for clip in batch:
            if isinstance(clip, str):
                yield clip
                continue
            frames = next(vectors)  # (N_WINDOWS, n_dims)
            vector = frames.T if params.frames else frames.mean(axis=0)
            yield _ClipVector(sha256=clip.sha256, vector=vector)
