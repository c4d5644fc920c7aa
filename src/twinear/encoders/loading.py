"""Which encoder a name stands for.

Names are those that `twinear embed` takes, and those that tables of embeddings hold, with which the
encoder of a scorer is found again. The encoders themselves are imported when one is loaded: torch
is slow to import.
"""

import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from twinear.base.errors import DataError

if TYPE_CHECKING:
    from twinear.encoders.encoder import Encoder

WINDOWS = ", one vector a window"  # after an encoder's name in a table of `encode_frames`
DEFAULT = "musicnn-msd"
SHIPPED = (DEFAULT, "musicnn-mtt")
CLAP_FOLDER = "TWINEAR_CLAP"  # environment: the folder of a CLAP model that is not of the hub
CLAP_NAME = re.compile(r"CLAP (\S.*) [0-9a-f]{16} .*")
AGAIN = "make the table again with 'twinear embed --replace', and train on it"


def load_encoder(model: str, say: Callable[[str], None]) -> "Encoder":
    """Load an encoder that ships with twinear, or CLAP from a folder or by its name on the hub.

    It is on a GPU if there is one. `say` is called with a message before a download, which musicnn
    never needs.

    Raises
    ------
    TwinearError
        CLAP without `transformers`.
    DataError
        No such model, or one that is damaged.
    """
    if model in SHIPPED:
        import torch

        from twinear.encoders.musicnn import load_musicnn

        return load_musicnn(model, "cuda" if torch.cuda.is_available() else "cpu")
    from twinear.encoders.clap import load_clap

    return load_clap(model, say)


@lru_cache(maxsize=2)
def find_encoder(extractor: str) -> "Encoder":
    """Find the encoder that a table of embeddings names as its extractor; nothing is downloaded.

    Raises
    ------
    TwinearError
        As `load_encoder`.
    DataError
        It is unknown, not on this machine, or of another version.
    """
    name = extractor.removesuffix(WINDOWS)
    model = name.partition(" ")[0]
    encoder: Encoder
    if model in SHIPPED:
        from twinear.encoders.musicnn import load_musicnn

        encoder = load_musicnn(model)
    elif clap := CLAP_NAME.fullmatch(name):
        from twinear.encoders.clap import load_clap

        try:
            encoder = load_clap(os.environ.get(CLAP_FOLDER) or clap[1])
        except DataError as error:
            found = f"were made by {name}, which cannot be loaded ({error})"
            remedy = f"name the model's folder in {CLAP_FOLDER}"
            raise DataError("embeddings", found, remedy=remedy) from None
    else:
        found = f"were made by {extractor or 'an unknown extractor'}"
        raise DataError("embeddings", found, expected=f"{', '.join(SHIPPED)} or CLAP", remedy=AGAIN)
    if encoder.name != name:
        found, expected = f"were made by {extractor}", f"{encoder.name}, which is here"
        raise DataError("embeddings", found, expected=expected, remedy=AGAIN)
    return encoder
