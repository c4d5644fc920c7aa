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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from safetensors import SafetensorError
from torch import nn

from twinear.base.errors import DataError, TwinearError
from twinear.base.files import require, sha256
from twinear.clips.waveform import MIX
from twinear.encoders.encoder import Encoder, Floats
from twinear.encoders.windows import cut_windows

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILES = ["config.json", "preprocessor_config.json", "README.md", "*.safetensors"]
FRONT_MATTER = re.compile(r"---\s*\n(.*?)\n---", re.DOTALL)  # of a model card
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
EXPECTED = "a CLAP model: config.json, preprocessor_config.json and *.safetensors"
ANOTHER = "name another model"


def load_clap(model: str, say: Callable[[str], None] | None = None) -> Encoder:
    """Load CLAP from a folder, or by name (OWNER/MODEL) from the hub or its local cache.

    `say` is called with a message before a download; without it nothing is downloaded.
    `TwinearError` if `transformers` is not installed, `DataError` for no such model, no network,
    not CLAP, weights that are pickle, missing or damaged.
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
    front = transformers.ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Encoder(
        name=f"CLAP {folder.resolve().name if is_folder else model} {content[:16]} {MIX}",
        licence=_read_licence(folder),
        sr=front.sampling_rate,
        cut=partial(cut_windows, sr=front.sampling_rate, n_samples=front.nb_max_samples),
        embed=partial(_embed_windows, net.to(device).eval(), front),
    )


def _embed_windows(net: nn.Module, front: Any, windows: Floats) -> Floats:
    """Embed windows (n, n_samples), (n, n_dims), of length 1.

    `front` is the model's feature extractor: waveform to log-mel.
    """
    device = next(net.parameters()).device
    features = front(list(windows), sampling_rate=front.sampling_rate)
    x = torch.from_numpy(np.stack(features["input_features"]).astype(np.float32)).to(device)
    # for short windows the front end marks one at random as longer; none of ours is
    longer = torch.zeros(len(windows), 1, dtype=torch.bool, device=device)
    with torch.inference_mode():
        vectors = net(input_features=x, is_longer=longer).audio_embeds
        return np.asarray(nn.functional.normalize(vectors, dim=-1).cpu().numpy())


def _download(model: str, say: Callable[[str], None] | None) -> Path:
    """The folder of a model of the hub, downloaded unless it was before."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if not HUB_NAME.fullmatch(model):
        expected = "a folder, or OWNER/MODEL of the Hugging Face hub"
        raise DataError(model, "is not a folder and not a model's name", expected=expected)
    try:
        return Path(snapshot_download(model, allow_patterns=HUB_FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        if say is None:
            found, remedy = "is not on this machine", f"run 'twinear embed --model {model}'"
            raise DataError(model, found, remedy=remedy) from None
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
