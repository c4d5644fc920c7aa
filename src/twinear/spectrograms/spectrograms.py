"""The spectrograms of all clips, on disk and in memory.

The embeddings of a pre-trained network may be joined to the log-mel (`embeddings: concat`) or
replace it (`only`); this module does not know where they come from. With `auto` they are joined
too, and the training chooses what its scorer takes of both: `for_front_end` gives that view.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.base.errors import DataError, ParamsError
from twinear.base.files import replacing, require
from twinear.base.params import parse_params
from twinear.spectrograms.front_end import Floats, SpectrogramsParams

HALF_ONE = 0x3C00  # the bits of 1.0 in float16; those of 0..1 run from 0 to here
COLUMNS = ["file", "artist", "name", "title", "source", "seconds"]
TYPES = dict.fromkeys(COLUMNS, str) | {"seconds": float}
REMEDY = "run 'dvc repro spectrograms'"


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrograms:
    """What the network and the baselines get of every clip, in the order of the index.

    Parameters
    ----------
    clips
        Columns file, artist (id), name, title, source ("" where unknown), seconds.
    values
        float16 (clips, n_mels, n_frames) in [0, 1]; with `front.embeddings` only the embeddings
        themselves, float32 (clips, n_dims, n_frames), one frame where a clip has one vector.
    mfcc_mean
        float32 (clips, n_mfcc).
    mfcc_cov
        float32 (clips, n_mfcc, n_mfcc), positive definite.
    front
        The front end that made all this.
    joined
        float32 (clips, n_dims), the embeddings joined to `values`, averaged over their frames;
        n_dims is 0 where none are joined.
    extractor
        What made the embeddings, as in their table; "" where unknown, and without embeddings.
    """

    clips: pd.DataFrame
    values: npt.NDArray[np.floating]
    mfcc_mean: Floats
    mfcc_cov: Floats
    front: SpectrogramsParams
    joined: Floats
    extractor: str = ""

    def select(self, rows: npt.NDArray[np.int64]) -> "Spectrograms":
        """Select clips by row, in this order."""
        return Spectrograms(
            clips=self.clips.iloc[rows].reset_index(drop=True),
            values=self.values[rows],
            mfcc_mean=self.mfcc_mean[rows],
            mfcc_cov=self.mfcc_cov[rows],
            front=self.front,
            joined=self.joined[rows],
            extractor=self.extractor,
        )

    def for_front_end(self, front: SpectrogramsParams) -> "Spectrograms":
        """Take of joined log-mels and embeddings what another front end has; nothing is computed.

        Returns
        -------
        The spectrograms of `front`, where it differs in `embeddings` only and these hold what it
        needs; else these themselves.
        """
        own = self.front
        if (
            own == front
            or own.embeddings not in ("auto", "concat")
            or own.model_copy(update={"embeddings": front.embeddings}) != front
        ):
            return self
        nothing = np.empty((len(self.clips), 0), np.float32)
        if front.embeddings == "only":
            return replace(self, front=front, values=self.joined[:, :, None], joined=nothing)
        if front.embeddings == "none":
            return replace(self, front=front, joined=nothing, extractor="")
        return replace(self, front=front)

    def write(self, folder: Path) -> None:
        """Write params.json, clips.csv, spectrograms.npy, mfcc.npz and embeddings.npy."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            made = self.front.model_dump(mode="json")
            if self.extractor:
                made["extractor"] = self.extractor
            (temporary / "params.json").write_text(
                json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            self.clips.to_csv(temporary / "clips.csv", index=False, lineterminator="\n")
            np.save(temporary / "spectrograms.npy", self.values)
            np.savez(temporary / "mfcc.npz", mean=self.mfcc_mean, cov=self.mfcc_cov)
            np.save(temporary / "embeddings.npy", self.joined)

    @staticmethod
    def read(folder: Path) -> "Spectrograms":
        """Read and check what `write` wrote; `values` stay on disk until they are used."""
        for name in "params.json", "clips.csv", "spectrograms.npy", "mfcc.npz", "embeddings.npy":
            require(folder / name, REMEDY)
        try:
            made = json.loads((folder / "params.json").read_text(encoding="utf-8"))
            extractor = str(made.pop("extractor", ""))
            front = parse_params("spectrograms", SpectrogramsParams, made, folder / "params.json")
            clips = pd.read_csv(folder / "clips.csv", dtype=TYPES, keep_default_na=False)
            values = np.load(folder / "spectrograms.npy", mmap_mode="r", allow_pickle=False)
            with np.load(folder / "mfcc.npz", allow_pickle=False) as mfcc:
                mean, cov = mfcc["mean"], mfcc["cov"]
            joined = np.load(folder / "embeddings.npy", allow_pickle=False)
        except (ValueError, KeyError, EOFError, AttributeError, ParamsError) as error:
            raise DataError(folder, f"cannot be read ({error})", remedy=REMEDY) from None
        if list(clips.columns) != COLUMNS:
            raise DataError(folder / "clips.csv", "has other columns", expected=", ".join(COLUMNS))
        n, n_mfcc, alone = len(clips), mean.shape[-1], front.embeddings == "only"
        n_dims = joined.shape[-1] if front.embeddings in ("auto", "concat") else 0
        heard = values.shape[1:] if alone else (front.n_mels, front.n_frames)
        wanted: list[tuple[str, npt.NDArray[Any], Any, tuple[int, ...]]] = [
            ("spectrograms.npy", values, np.float32 if alone else np.float16, (n, *heard)),
            ("mfcc.npz", mean, np.float32, (n, n_mfcc)),
            ("mfcc.npz", cov, np.float32, (n, n_mfcc, n_mfcc)),
            ("embeddings.npy", joined, np.float32, (n, n_dims)),
        ]
        for name, array, dtype, shape in wanted:
            if array.dtype != dtype or array.shape != shape:
                found, expected = f"{array.dtype} {array.shape}", f"{np.dtype(dtype)} {shape}"
                raise DataError(folder / name, found, expected=expected, remedy=REMEDY)
        whole = all(np.isfinite(each).all() for each in (mean, cov, joined))
        # The bits of a log-mel are ordered: it has no negative zeros.
        in_range = np.isfinite(values).all() if alone else values.view(np.uint16).max() <= HALF_ONE
        if not whole or values.ndim != 3 or not in_range:
            expected = "finite numbers" if alone else "0 to 1"
            raise DataError(folder, "holds values out of range", expected=expected, remedy=REMEDY)
        return Spectrograms(
            clips=clips,
            values=values,
            mfcc_mean=mean,
            mfcc_cov=cov,
            front=front,
            joined=joined,
            extractor=extractor,
        )
