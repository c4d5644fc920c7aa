"""The spectrograms of all clips, on disk and in memory.

The embeddings of a pre-trained network may be joined to the log-mel (`embeddings: concat`) or
replace it (`only`); this module does not know where they come from. With `auto` they are joined
too, and the training chooses what its scorer takes of both: `for_front_end` gives that view.

Many clips are stored in shards, folders of a few thousand clips each, which stay on disk until
their rows are used. They may be in the compact form: 8 bits a value, neighbouring frames averaged
as the convolutions average them anyway, and beside them the statistics of the whole log-mel, in
full precision. A clip then takes 23 kB instead of 103 kB with the default front end.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from twinear.base.arrays import NOT_ARRAYS
from twinear.base.checksums import verify_checksums, write_checksums
from twinear.base.errors import DataError, ParamsError
from twinear.base.files import replacing, require, sha256
from twinear.base.params import Params, parse_params
from twinear.base.text import one_line
from twinear.spectrograms.front_end import Floats, SpectrogramsParams
from twinear.spectrograms.shards import Shards

HALF_ONE = 0x3C00  # the bits of 1.0 in float16; those of 0..1 run from 0 to here
COLUMNS = ["file", "artist", "name", "title", "source", "seconds"]
TYPES = dict.fromkeys(COLUMNS, str) | {"seconds": float}
REMEDY = "run 'dvc repro spectrograms'"
SHARDS = "shards"  # their folder; each is a folder named by its number
# the arrays of a shard, and the field of each
ARRAYS = {
    "spectrograms.npy": "values",
    "mfcc_mean.npy": "mfcc_mean",
    "mfcc_cov.npy": "mfcc_cov",
    "embeddings.npy": "joined",
    "statistics.npy": "statistics",
}


class StorageParams(Params):
    """How the spectrograms of many clips are stored.

    Parameters
    ----------
    shards_from
        Clips; fewer are stored in one piece, in full.
    shard_clips
        Clips of a shard.
    form
        Of the shards.
    average_frames
        How many frames are averaged to one in the compact form.
    """

    shards_from: int = Field(gt=0)
    shard_clips: int = Field(gt=0)
    form: Literal["compact", "full"]
    average_frames: int = Field(gt=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Compact:
    """What the compact form has beside its values.

    Parameters
    ----------
    average_frames
        How many frames of the log-mel were averaged to one.
    statistics
        float32 (clips, n), those of the whole log-mel (`statistics.spectrogram_statistics`), all
        blocks side by side.
    """

    average_frames: int
    statistics: Floats | Shards


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrograms:
    """What the network and the baselines get of every clip, in the order of the index.

    Parameters
    ----------
    clips
        Columns file, artist (id), name, title, source ("" where unknown), seconds.
    values
        float16 (clips, n_mels, n_frames) in [0, 1]; in the compact form uint8, in 255ths, with
        fewer frames; with `front.embeddings` only the embeddings themselves, float32
        (clips, n_dims, n_frames), one frame where a clip has one vector. `as_floats` gives the
        numbers they stand for.
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
    compact
        None in the full form.
    """

    clips: pd.DataFrame
    values: npt.NDArray[Any] | Shards
    mfcc_mean: Floats | Shards
    mfcc_cov: Floats | Shards
    front: SpectrogramsParams
    joined: Floats
    extractor: str = ""
    compact: Compact | None = None

    def select(self, rows: npt.NDArray[np.int64]) -> "Spectrograms":
        """Select clips by row, in this order."""
        compact = self.compact
        if compact is not None:
            compact = replace(compact, statistics=select_rows(compact.statistics, rows))
        return replace(
            self,
            clips=self.clips.iloc[rows].reset_index(drop=True),
            values=select_rows(self.values, rows),
            mfcc_mean=select_rows(self.mfcc_mean, rows),
            mfcc_cov=select_rows(self.mfcc_cov, rows),
            joined=self.joined[rows],
            compact=compact,
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
            embeddings = self.joined[:, :, None]
            return replace(self, front=front, values=embeddings, joined=nothing, compact=None)
        if front.embeddings == "none":
            return replace(self, front=front, joined=nothing, extractor="")
        return replace(self, front=front)

    def write(self, folder: Path) -> None:
        """Write params.json, clips.csv, spectrograms.npy, mfcc.npz and embeddings.npy."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            _write_json(temporary / "params.json", self._made())
            self.clips.to_csv(temporary / "clips.csv", index=False, lineterminator="\n")
            np.save(temporary / "spectrograms.npy", self.values)
            np.savez(temporary / "mfcc.npz", mean=self.mfcc_mean, cov=self.mfcc_cov)
            np.save(temporary / "embeddings.npy", self.joined)
            write_checksums(temporary)

    def write_shard(self, folder: Path) -> None:
        """Write params.json and each array as a file, for `join_shards`."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            made = self._made() | {"files": _digest_names(self.clips["file"])}
            _write_json(temporary / "params.json", made)
            arrays = vars(self) | ({} if self.compact is None else vars(self.compact))
            for name, field in ARRAYS.items():
                if field in arrays and arrays[field].size:
                    np.save(temporary / name, arrays[field])
            write_checksums(temporary)

    def _made(self) -> dict[str, Any]:
        made = self.front.model_dump(mode="json")
        if self.extractor:
            made["extractor"] = self.extractor
        if self.compact is not None:
            made["average_frames"] = self.compact.average_frames
        return made

    @staticmethod
    def read(folder: Path) -> "Spectrograms":
        """Read and check what `write` or `join_shards` wrote.

        `values` stay on disk until they are used; of shards everything but the embeddings does.
        Files are compared with their checksums, but for shards: `digest` compares those.

        Raises
        ------
        DataError
            A file or a shard is missing, truncated, changed since it was written, or of other
            params.
        """
        for name in "params.json", "clips.csv":
            require(folder / name, REMEDY)
        verify_checksums(folder, ["params.json", "clips.csv"], REMEDY)
        try:
            made = json.loads((folder / "params.json").read_text(encoding="utf-8"))
            n_shards = made.pop("n_shards", 0)
            front_made = dict(made)
            extractor = str(front_made.pop("extractor", ""))
            average_frames = front_made.pop("average_frames", 0)
            place = folder / "params.json"
            front = parse_params("spectrograms", SpectrogramsParams, front_made, place)
            clips = pd.read_csv(folder / "clips.csv", dtype=TYPES, keep_default_na=False)
        except (ValueError, AttributeError, TypeError, ParamsError) as error:
            raise DataError(folder, f"cannot be read ({error})", remedy=REMEDY) from None
        if list(clips.columns) != COLUMNS:
            raise DataError(folder / "clips.csv", "has other columns", expected=", ".join(COLUMNS))
        if n_shards:
            arrays = _read_shards(folder / SHARDS, n_shards, made, clips, front)
        else:
            arrays = _read_arrays(folder)
        statistics = arrays.pop("statistics", None)
        compact = None
        if statistics is not None:
            compact = Compact(average_frames=average_frames, statistics=statistics)
        read = Spectrograms(
            clips=clips, front=front, extractor=extractor, compact=compact, **arrays
        )
        read._check(folder)
        return read

    def _check(self, folder: Path) -> None:
        """Check the shapes of all arrays, and the values of those that are in memory.

        Raises
        ------
        DataError
            An array has another shape or type than params.json and clips.csv say, or values out
            of range.
        """
        front, values, mean, cov = self.front, self.values, self.mfcc_mean, self.mfcc_cov
        n, n_mfcc, alone = len(self.clips), mean.shape[-1], front.embeddings == "only"
        n_dims = self.joined.shape[-1] if front.embeddings in ("auto", "concat") else 0
        heard: tuple[Any, ...] = values.shape[1:] if alone else (front.n_mels, front.n_frames)
        dtype: Any = np.float32 if alone else np.float16
        if self.compact is not None and not alone:
            dtype = np.uint8
            heard = (front.n_mels, -(-front.n_frames // self.compact.average_frames))
        wanted: list[tuple[str, Any, Any, tuple[Any, ...]]] = [
            ("spectrograms.npy", values, dtype, (n, *heard)),
            ("mfcc.npz", mean, np.float32, (n, n_mfcc)),
            ("mfcc.npz", cov, np.float32, (n, n_mfcc, n_mfcc)),
            ("embeddings.npy", self.joined, np.float32, (n, n_dims)),
        ]
        if self.compact is not None:
            statistics = self.compact.statistics
            shape = (n, statistics.shape[-1])
            wanted.append(("statistics.npy", statistics, np.float32, shape))
        for name, array, dtype, shape in wanted:
            if array.dtype != dtype or array.shape != shape:
                found, expected = f"{array.dtype} {array.shape}", f"{np.dtype(dtype)} {shape}"
                raise DataError(folder / name, found, expected=expected, remedy=REMEDY)
        in_memory = [each for each in (mean, cov, self.joined) if isinstance(each, np.ndarray)]
        in_range = all(np.isfinite(each).all() for each in in_memory) and values.ndim == 3
        if isinstance(values, np.ndarray) and in_range:
            # The bits of a log-mel are ordered: it has no negative zeros.
            bits = values.view(np.uint16).max() <= HALF_ONE if not alone else True
            in_range = bits and (not alone or bool(np.isfinite(values).all()))
        if not in_range:
            expected = "finite numbers" if alone else "0 to 1"
            raise DataError(folder, "holds values out of range", expected=expected, remedy=REMEDY)


def select_rows(array: npt.NDArray[Any] | Shards, rows: npt.NDArray[Any]) -> Any:
    """Select rows of an array; of shards nothing is read."""
    return array.select(rows) if isinstance(array, Shards) else array[rows]


def join_shards(shards: Sequence[Path], clips: pd.DataFrame, folder: Path) -> None:
    """Move shards that `Spectrograms.write_shard` wrote, of the clips in order, into one folder."""
    with replacing(folder) as temporary:
        (temporary / SHARDS).mkdir(parents=True)
        made = json.loads((shards[0] / "params.json").read_text(encoding="utf-8"))
        del made["files"]
        _write_json(temporary / "params.json", made | {"n_shards": len(shards)})
        clips[COLUMNS].to_csv(temporary / "clips.csv", index=False, lineterminator="\n")
        for number, shard in enumerate(shards):
            shard.rename(temporary / SHARDS / f"{number:05d}")
        write_checksums(temporary, ["params.json", "clips.csv"])


def array_files(folder: Path) -> list[Path]:
    """List the files of a folder of spectrograms that decide what a network gets of the clips."""
    shards = sorted((folder / SHARDS).glob("*/")) or [folder]
    names = ("spectrograms.npy", "statistics.npy", "embeddings.npy")
    return [shard / name for shard in shards for name in names if (shard / name).exists()]


def digest(folder: Path) -> str:
    """Hash the spectrograms: SHA-256 of the file, or of the hashes of all shards.

    Raises
    ------
    DataError
        Missing, or a shard has changed since it was written: every byte of it is read here.
    """
    if not (folder / SHARDS).exists():
        return sha256(require(folder / "spectrograms.npy", REMEDY))
    for shard in sorted((folder / SHARDS).glob("*/")):
        verify_checksums(shard, ["params.json", *ARRAYS], REMEDY)
    return hashlib.sha256("".join(map(sha256, array_files(folder))).encode()).hexdigest()


def _read_arrays(folder: Path) -> dict[str, Any]:
    """Read what `Spectrograms.write` wrote."""
    names = "spectrograms.npy", "mfcc.npz", "embeddings.npy"
    for name in names:
        require(folder / name, REMEDY)
    verify_checksums(folder, names, REMEDY)
    try:
        values = np.load(folder / "spectrograms.npy", mmap_mode="r", allow_pickle=False)
        with np.load(folder / "mfcc.npz", allow_pickle=False) as mfcc:
            mean, cov = mfcc["mean"], mfcc["cov"]
        joined = np.load(folder / "embeddings.npy", allow_pickle=False)
    except NOT_ARRAYS as error:
        found = f"cannot be read ({one_line(str(error))})"
        raise DataError(folder, found, remedy=REMEDY) from None
    return {"values": values, "mfcc_mean": mean, "mfcc_cov": cov, "joined": joined}


def _read_shards(
    folder: Path,
    n_shards: int,
    made: dict[str, Any],
    clips: pd.DataFrame,
    front: SpectrogramsParams,
) -> dict[str, Any]:
    """Open what `Spectrograms.write_shard` wrote, of every shard."""
    shards = [folder / f"{number:05d}" for number in range(n_shards)]
    own = [_read_made(shard) for shard in shards]
    for shard, params in zip(shards, own, strict=True):
        differing = [name for name in made if params.get(name) != made[name]]
        if differing:
            found, expected = (
                ", ".join(f"{name} {values.get(name)}" for name in differing)
                for values in (params, made)
            )
            raise DataError(shard, f"has {found}", expected=expected, remedy=REMEDY)
    absent = set() if front.embeddings in ("auto", "concat") else {"joined"}
    if "average_frames" not in made:
        absent.add("statistics")
    arrays: dict[str, Any] = {
        field: Shards.open([shard / name for shard in shards], REMEDY)
        for name, field in ARRAYS.items()
        if field not in absent
    }
    starts = arrays["values"].starts.tolist()
    for shard, params, start, end in zip(shards, own, starts[:-1], starts[1:], strict=True):
        if params.get("files") != _digest_names(clips["file"].iloc[start:end]):
            expected = f"those in rows {start} to {end - 1} of clips.csv"
            raise DataError(shard, "is of other clips", expected=expected, remedy=REMEDY)
    joined = arrays.get("joined", np.empty((len(clips), 0), np.float32))
    return arrays | {"joined": np.asarray(joined)}


def _read_made(shard: Path) -> dict[str, Any]:
    path = require(shard / "params.json", REMEDY)
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(path, f"cannot be read ({error})", remedy=REMEDY) from None
    return made if isinstance(made, dict) else {}


def _digest_names(files: pd.Series) -> str:
    return hashlib.sha256("\n".join(files).encode()).hexdigest()


def _write_json(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
