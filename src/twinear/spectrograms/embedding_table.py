"""Vectors of clips, made by any extractor: a table beside the mel-spectrogram or in its place.

A table names each clip once, as `file` of `clips.csv` does, with one vector a clip or one vector
a frame:

```
.npz              clip (clips,) text; vector (clips, n_dims) or (clips, n_dims, n_frames) numbers;
                  and if known extractor, licence (text), sha256 (clips,) of the audio, "" unknown
.csv, .parquet    a column clip; every other column is a dimension
```

How the vectors came about, this module does not know: `embedding` makes some.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from twinear.base.errors import DataError
from twinear.base.files import replacing, require

Floats = npt.NDArray[np.float32]

TABLE = "clips/vectors.npz"  # under the data folder: where the pipeline finds the vectors
KINDS = (".npz", ".csv", ".parquet")
ARRAYS = "clip (text) and vector (numbers, as many for every clip)"
COLUMNS = "a column clip, all others numbers"
MAKE = "make it with 'twinear embed' or bring it with 'twinear import --vectors'"
AGAIN = "make the table again"


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """A table of vectors.

    Parameters
    ----------
    clips
        The clips' names, each once.
    vector
        (clips, n_dims), or (clips, n_dims, n_frames); finite.
    extractor, licence
        What made them, and the licence of its weights; "" where unknown.
    sha256
        Of the audio that was heard, (clips,), "" where unknown.
    """

    clips: Sequence[str]
    vector: Floats
    extractor: str = ""
    licence: str = ""
    sha256: Sequence[str] = ()

    def of(self, clips: Sequence[str], sha256: Sequence[str], place: Path) -> Floats:
        """The vectors of these clips, in this order.

        Parameters
        ----------
        clips
            Names.
        sha256
            Of their audio as it is now.
        place
            Where the table came from.

        Raises
        ------
        DataError
            A clip has no vector, or its audio is not what the vector was made of.
        """
        rows = {clip: row for row, clip in enumerate(self.clips)}
        remedy = "make their vectors with 'twinear embed', or take their rows out of clips.csv"
        _require_none([clip for clip in clips if clip not in rows], clips, "lacks", place, remedy)
        heard = dict(zip(self.clips, self.sha256, strict=False))
        changed = [
            clip
            for clip, content in zip(clips, sha256, strict=True)
            if heard.get(clip, "") not in ("", content)
        ]
        found = "is older than the audio of"
        _require_none(changed, clips, found, place, "make it again with 'twinear embed'")
        return self.vector[[rows[clip] for clip in clips]]

    def renamed(self, names: Mapping[str, str]) -> "Vectors":
        """The vectors of the clips in `names`, old to new; two of one new name count once."""
        contents = self.sha256 or [""] * len(self.clips)
        rows = {
            names[clip]: row for row, clip in reversed(list(enumerate(self.clips))) if clip in names
        }
        return Vectors(
            clips=list(rows),
            vector=self.vector[list(rows.values())],
            extractor=self.extractor,
            licence=self.licence,
            sha256=[contents[row] for row in rows.values()],
        )

    def write(self, path: Path) -> None:
        """Write the kind of table that the suffix of `path` names; .npz alone keeps everything.

        Raises
        ------
        DataError
            Vectors that `read` would refuse, another kind, or frames in a .csv or .parquet.
        """
        _require_kind(path)
        _check(self, path)
        if path.suffix != ".npz" and self.vector.ndim == 3:
            found = "holds one vector a clip, and these are one a frame"
            raise DataError(path, found, remedy="name a file .npz")
        with replacing(path) as temporary:
            if path.suffix == ".npz":
                _write_npz(self, temporary)
                return
            columns = {f"d{n}": values for n, values in enumerate(self.vector.T)}
            table = pl.DataFrame({"clip": list(self.clips), **columns})
            table.write_csv(temporary) if path.suffix == ".csv" else table.write_parquet(temporary)

    @staticmethod
    def read(path: Path) -> "Vectors":
        """Read a table.

        Raises
        ------
        DataError
            Missing, of another kind, without clips or vectors, a clip twice, vectors of several
            lengths, or anything that is no finite number.
        """
        require(path, MAKE)
        _require_kind(path)
        read = _read_npz(path) if path.suffix == ".npz" else _read_table(path)
        _check(read, path)
        return read


def vectors_of(clips: Sequence[str], sha256: Sequence[str], path: Path) -> Floats:
    """The vectors that the table at `path` holds of these clips, as `Vectors.of` gives them."""
    require(path, f"{MAKE}; or set spectrograms.embeddings: none")
    return Vectors.read(path).of(clips, sha256, path)


def require_width(n_dims: int, expected: int, place: object) -> None:
    """Refuse vectors of another width than a scorer was trained on."""
    if n_dims != expected:
        raise DataError(
            place,
            f"holds vectors of {n_dims} numbers",
            expected=f"{expected}, as the scorer was trained on",
            remedy="make them with the scorer's extractor, or train a scorer on these",
        )


def _require_none(
    wrong: Sequence[str], clips: Sequence[str], found: str, place: Path, remedy: str
) -> None:
    if wrong:
        count = f"{len(wrong)} of {len(clips)} clips, the first {wrong[0]}"
        raise DataError(place, f"{found} {count}", remedy=remedy)


def _require_kind(path: Path) -> None:
    if path.suffix not in KINDS:
        raise DataError(path, "is no table of vectors", expected=f"a file {', '.join(KINDS)}")


def _write_npz(vectors: Vectors, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            clip=np.array(vectors.clips, np.str_),
            vector=vectors.vector,
            extractor=np.array(vectors.extractor, np.str_),
            licence=np.array(vectors.licence, np.str_),
            sha256=np.array(vectors.sha256, np.str_),
        )


def _read_npz(path: Path) -> Vectors:
    try:
        with path.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            if not isinstance(held, np.lib.npyio.NpzFile):
                raise ValueError("one array without a name")
            arrays: dict[str, npt.NDArray[Any]] = {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(path, f"cannot be read ({error})", expected=ARRAYS, remedy=AGAIN) from None
    if not {"clip", "vector"} <= set(arrays):
        found = f"holds {', '.join(arrays) or 'nothing'}"
        raise DataError(path, found, expected=ARRAYS, remedy="rename its arrays")
    texts = {name: arrays.get(name, np.array("")) for name in ("extractor", "licence")}
    sha256 = arrays.get("sha256", np.array([], np.str_))
    for name, array, ndim in (
        ("clip", arrays["clip"], 1),
        ("sha256", sha256, 1),
        *((name, text, 0) for name, text in texts.items()),
    ):
        if array.dtype.kind != "U" or array.ndim != ndim:
            found = f"{name} is {array.dtype} {array.shape}"
            raise DataError(path, found, expected=("one text", "texts")[ndim], remedy=AGAIN)
    return Vectors(
        clips=arrays["clip"].tolist(),
        vector=_numbers(arrays["vector"], path),
        sha256=sha256.tolist(),
        **{name: str(text) for name, text in texts.items()},
    )


def _read_table(path: Path) -> Vectors:
    try:
        table = _read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        found = f"cannot be read ({str(error).splitlines()[0]})"
        raise DataError(path, found, expected=COLUMNS, remedy=AGAIN) from None
    if "clip" not in table.columns:
        found = f"has no column clip, but {', '.join(table.columns[:5])}"
        raise DataError(path, found, expected=COLUMNS, remedy="rename a column")
    for name, kind in table.drop("clip").schema.items():
        if not kind.is_numeric():
            found = f"column {name} holds {str(kind).lower()}"
            raise DataError(path, found, expected=COLUMNS, remedy="take it out")
    clips = table["clip"].cast(pl.String).fill_null("").to_list()
    return Vectors(clips=clips, vector=_numbers(table.drop("clip").to_numpy(), path))


def _read_csv(path: Path) -> pl.DataFrame:
    names = pl.read_csv(path, n_rows=0).columns
    text = {"clip": pl.String} if "clip" in names else {}  # a name may look like a number
    return pl.read_csv(path, schema_overrides=text, infer_schema_length=None)


@np.errstate(over="ignore")
def _numbers(array: npt.NDArray[Any], path: Path) -> Floats:
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3):
        expected = "numbers, (clips, n_dims) or (clips, n_dims, n_frames)"
        raise DataError(path, f"vector is {array.dtype} {array.shape}", expected=expected)
    return array.astype(np.float32)


def _check(vectors: Vectors, path: Path) -> None:
    clips, vector = vectors.clips, vectors.vector
    if not vector.size:
        raise DataError(path, f"holds no vectors {vector.shape}", expected=ARRAYS, remedy=AGAIN)
    for name, n in (("vectors", len(vector)), ("hashes", len(vectors.sha256) or len(clips))):
        if n != len(clips):
            found = f"holds {n} {name} of {len(clips)} clips"
            raise DataError(path, found, expected="one a clip", remedy=AGAIN)
    clip, n = Counter(clips).most_common(1)[0]
    if n > 1:
        found = f"names {clip or 'no clip'} in {n} rows"
        raise DataError(path, found, expected="each clip once", remedy="take the others out")
    bad = np.array([not np.isfinite(each).all() for each in vector])
    if bad.any():
        count = f"{bad.sum()} of {len(bad)} clips, the first {clips[int(bad.argmax())]}"
        found = f"holds values that are no finite numbers for {count}"
        raise DataError(path, found, expected="finite numbers", remedy=AGAIN)
