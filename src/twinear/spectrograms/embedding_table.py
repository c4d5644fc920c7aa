"""A table of embeddings of clips, by any pre-trained network.

The table names each clip once, as `file` in `clips.csv`, with one vector for the clip or one for
each frame:

```
.npz              clip (clips,) text; vector (clips, n_dims) or (clips, n_dims, n_frames) numbers;
                  and if known extractor, licence (text), sha256 (clips,) of the audio, "" unknown
.csv, .parquet    a column clip; every other column is a dimension
```

`twinear evaluate` reads the same tables; there `artist` may replace `clip`. This module does not
know how the embeddings were made; `encoders` makes some.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from twinear.base.arrays import NOT_ARRAYS, is_bomb, refuse_bombs
from twinear.base.errors import DataError
from twinear.base.files import replacing, require
from twinear.base.table import read_table

Floats = npt.NDArray[np.float32]
Key = Literal["clip", "artist"]

TABLE = "clips/embeddings.npz"  # in the data folder
OLD_TABLE = "clips/vectors.npz"  # its name in twinear 0.1
KINDS = (".npz", ".csv", ".parquet")
ARRAYS = "{} (text) and vector (numbers, as many in every row)"
COLUMNS = "a column {}, all others numbers"
MAKE = "make it with 'twinear embed' or bring it with 'twinear import --embeddings'"
AGAIN = "make the table again"
BYTES_PER_NUMBER = 4  # at least, in memory


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingTable:
    """A table of embeddings.

    Parameters
    ----------
    clips
        Names of the clips, or of the artists where `key` says so; each once.
    vector
        (clips, n_dims), or (clips, n_dims, n_frames); finite.
    extractor, licence
        The network, and the licence of its weights; "" where unknown.
    sha256
        Of the encoded audio files, (clips,), "" where unknown.
    """

    clips: Sequence[str]
    vector: Floats
    extractor: str = ""
    licence: str = ""
    sha256: Sequence[str] = ()
    key: Key = "clip"

    def select(self, clips: Sequence[str], sha256: Sequence[str], place: Path) -> "EmbeddingTable":
        """Select the clips of these names, in this order.

        `sha256` are the hashes of their audio files now; errors call the table `place`.

        Raises
        ------
        DataError
            A clip has no embedding, or its audio has changed since.
        """
        rows = {clip: row for row, clip in enumerate(self.clips)}
        remedy = "encode them with 'twinear embed', or take their rows out of clips.csv"
        _require_none([clip for clip in clips if clip not in rows], clips, "lacks", place, remedy)
        encoded = dict(zip(self.clips, self.sha256, strict=False))
        changed = [
            clip
            for clip, content in zip(clips, sha256, strict=True)
            if encoded.get(clip, "") not in ("", content)
        ]
        found = "is older than the audio of"
        _require_none(changed, clips, found, place, "make it again with 'twinear embed'")
        vector = self.vector[[rows[clip] for clip in clips]]
        return replace(self, clips=list(clips), vector=vector, sha256=list(sha256))

    def unchanged(self, clips: Sequence[str], sha256: Sequence[str]) -> "EmbeddingTable":
        """Select those of these clips that have an embedding and have not changed since.

        `sha256` are the hashes of their audio files now.
        """
        rows = {clip: row for row, clip in enumerate(self.clips)}
        encoded = dict(zip(self.clips, self.sha256, strict=False))
        now = dict(zip(clips, sha256, strict=True))
        kept = [
            clip
            for clip, content in now.items()
            if clip in rows and encoded.get(clip, "") in ("", content)
        ]
        return replace(
            self,
            clips=kept,
            vector=self.vector[[rows[clip] for clip in kept]],
            sha256=[now[clip] for clip in kept],
        )

    def renamed(self, names: Mapping[str, str]) -> "EmbeddingTable":
        """Rename the clips in `names`, old to new, and drop all others and duplicates."""
        contents = self.sha256 or [""] * len(self.clips)
        rows = {
            names[clip]: row for row, clip in reversed(list(enumerate(self.clips))) if clip in names
        }
        kept = list(rows.values())
        hashes = [contents[row] for row in kept]
        return replace(self, clips=list(rows), vector=self.vector[kept], sha256=hashes)

    def write(self, path: Path) -> None:
        """Write the kind of table that the suffix of `path` names; .npz alone keeps everything.

        Raises
        ------
        DataError
            Vectors that `read` would refuse, another kind, or frames in a .csv or .parquet.
        """
        _require_kind(path)
        _check(self, path)
        suffix = path.suffix.lower()
        if suffix != ".npz" and self.vector.ndim == 3:
            found = "holds one vector a clip, and these are one a frame"
            raise DataError(path, found, remedy="name a file .npz")
        with replacing(path) as temporary:
            if suffix == ".npz":
                _write_npz(self, temporary)
                return
            columns = {f"d{n}": values for n, values in enumerate(self.vector.T)}
            table = pl.DataFrame({self.key: list(self.clips), **columns})
            table.write_csv(temporary) if suffix == ".csv" else table.write_parquet(temporary)

    @staticmethod
    def read(
        path: Path,
        keys: Sequence[Key] = ("clip",),
        dtype: npt.DTypeLike = np.float32,
        *,
        whole_numbers: bool = False,
    ) -> "EmbeddingTable":
        """Read a table.

        Parameters
        ----------
        keys
            What the rows may be named by; the table must have exactly one of them.
        dtype
            Of the vectors that are returned.
        whole_numbers
            Take whole numbers in an .npz as names too.

        Raises
        ------
        DataError
            Missing, of another kind, without names or vectors, a name twice, vectors of several
            lengths, or anything that is no finite number.
        """
        require(path, MAKE)
        _require_kind(path)
        if path.suffix.lower() == ".npz":
            read = _read_npz(path, keys, dtype, whole_numbers)
        else:
            reader = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
            read = reader(path, keys, dtype)
        _check(read, path)
        return read


def read_clip_embeddings(clips: Sequence[str], sha256: Sequence[str], path: Path) -> EmbeddingTable:
    """Read the embeddings of these clips from the table at `path`, see `EmbeddingTable.select`."""
    old = path.with_name(Path(OLD_TABLE).name)
    if path.name == Path(TABLE).name and old.exists() and not path.exists():
        raise DataError(
            path, f"is missing, but {old.name} is there", remedy=f"rename it to {path.name}"
        )
    require(path, f"{MAKE}; or set spectrograms.embeddings: none")
    return EmbeddingTable.read(path).select(clips, sha256, path)


def _require_none(
    wrong: Sequence[str], clips: Sequence[str], found: str, place: Path, remedy: str
) -> None:
    if wrong:
        count = f"{len(wrong)} of {len(clips)} clips, the first {wrong[0]}"
        raise DataError(place, f"{found} {count}", remedy=remedy)


def _require_kind(path: Path) -> None:
    if path.suffix.lower() not in KINDS:
        raise DataError(path, "is no table of vectors", expected=f"a file {', '.join(KINDS)}")


def _write_npz(table: EmbeddingTable, path: Path) -> None:
    with path.open("wb") as file:
        arrays: dict[str, Any] = {
            table.key: np.array(table.clips, np.str_),
            "vector": table.vector,
            "extractor": np.array(table.extractor, np.str_),
            "licence": np.array(table.licence, np.str_),
            "sha256": np.array(table.sha256, np.str_),
        }
        np.savez(file, **arrays)


def _read_npz(
    path: Path, keys: Sequence[Key], dtype: npt.DTypeLike, whole_numbers: bool
) -> EmbeddingTable:
    try:
        refuse_bombs(path)
        with path.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            if not isinstance(held, np.lib.npyio.NpzFile):
                raise ValueError("one array without a name")
            arrays: dict[str, npt.NDArray[Any]] = {name: held[name] for name in held.files}
    except NOT_ARRAYS as error:
        found, expected = f"cannot be read ({error})", ARRAYS.format(" or ".join(keys))
        raise DataError(path, found, expected=expected, remedy=AGAIN) from None
    key = _find_key(list(arrays), keys, path)
    if "vector" not in arrays:
        found = f"holds {', '.join(arrays)}"
        raise DataError(path, found, expected=ARRAYS.format(key), remedy="rename its arrays")
    names = arrays[key]
    if whole_numbers and names.dtype.kind in "iu":
        names = names.astype(np.str_)
    texts = {name: arrays.get(name, np.array("")) for name in ("extractor", "licence")}
    sha256 = arrays.get("sha256", np.array([], np.str_))
    for name, array, ndim in (
        (key, names, 1),
        ("sha256", sha256, 1),
        *((name, text, 0) for name, text in texts.items()),
    ):
        if array.dtype.kind != "U" or array.ndim != ndim:
            found = f"{name} is {array.dtype} {array.shape}"
            raise DataError(path, found, expected=("one text", "texts")[ndim], remedy=AGAIN)
    return EmbeddingTable(
        clips=names.tolist(),
        vector=_numbers(arrays["vector"], dtype, path),
        sha256=sha256.tolist(),
        key=key,
        **{name: str(text) for name, text in texts.items()},
    )


@np.errstate(over="ignore")
def _read_csv(path: Path, keys: Sequence[Key], dtype: npt.DTypeLike) -> EmbeddingTable:
    table = read_table(path, keys, AGAIN)
    key = _find_key(table.columns, keys, path)
    columns = [column for column in table.columns if column != key]
    clips, vectors = [], []
    for row in table.scan():
        try:
            numbers = [float(row.values[column] or "nan") for column in columns]
        except ValueError:
            column = next(name for name in columns if not _is_number(row.values[name] or "nan"))
            found = f"column {column} holds '{row.values[column]}'"
            expected = COLUMNS.format(key)
            raise DataError(f"{path}:{row.line}", found, expected=expected) from None
        clips.append(row.values[key])
        vectors.append(np.array(numbers, dtype))
    vector = np.array(vectors, dtype).reshape(len(clips), len(columns))
    return EmbeddingTable(clips=clips, vector=vector, key=key)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, keys: Sequence[Key], dtype: npt.DTypeLike) -> EmbeddingTable:
    import pyarrow.parquet as pq  # slow to import, and few tables are Parquet

    try:
        facts = pq.read_metadata(path)
        size = BYTES_PER_NUMBER * facts.num_rows * facts.num_columns
        if is_bomb(path.stat().st_size, size):
            raise ValueError(f"its {facts.num_rows:,} rows unpack to {size:,} bytes")
        table = pl.read_parquet(path, glob=False)
    except (ValueError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        found = f"cannot be read ({str(error).splitlines()[0]})"
        expected = COLUMNS.format(" or ".join(keys))
        raise DataError(path, found, expected=expected, remedy=AGAIN) from None
    key = _find_key(table.columns, keys, path)
    numbers = table.drop(key)
    for name, kind in numbers.schema.items():
        if not kind.is_numeric():
            found = f"column {name} holds {str(kind).lower()}"
            raise DataError(path, found, expected=COLUMNS.format(key), remedy="take it out")
    names = table[key].cast(pl.String).fill_null("").to_list()
    return EmbeddingTable(clips=names, vector=_numbers(numbers.to_numpy(), dtype, path), key=key)


def _find_key(held: Sequence[str], keys: Sequence[Key], path: Path) -> Key:
    """Find the one array or column that names the rows."""
    present = [key for key in keys if key in held]
    if len(present) == 1:
        return present[0]
    names, listed = " or ".join(keys), ", ".join(held[:5]) or "nothing"
    if present:
        found, expected = f"holds {listed}", f"{names}, not both"
    elif path.suffix.lower() == ".npz":
        found, expected = f"holds {listed}", ARRAYS.format(names)
    else:
        found, expected = f"has no column {names}, but {listed}", COLUMNS.format(names)
    raise DataError(path, found, expected=expected, remedy="rename what names the rows")


@np.errstate(over="ignore")
def _numbers(array: npt.NDArray[Any], dtype: npt.DTypeLike, path: Path) -> npt.NDArray[Any]:
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3):
        expected = "numbers, (clips, n_dims) or (clips, n_dims, n_frames)"
        raise DataError(path, f"vector is {array.dtype} {array.shape}", expected=expected)
    return array.astype(dtype)


def _check(table: EmbeddingTable, path: Path) -> None:
    names, vector, key = table.clips, table.vector, table.key
    if not vector.size:
        found = f"holds no vectors {vector.shape}"
        raise DataError(path, found, expected=ARRAYS.format(key), remedy=AGAIN)
    for what, n in (("vectors", len(vector)), ("hashes", len(table.sha256) or len(names))):
        if n != len(names):
            found = f"holds {n} {what} of {len(names)} {key}s"
            raise DataError(path, found, expected=f"one for each {key}", remedy=AGAIN)
    name, n = Counter(names).most_common(1)[0]
    if n > 1:
        found = f"names {name or f'no {key}'} in {n} rows"
        raise DataError(path, found, expected=f"each {key} once", remedy="take the others out")
    bad = np.array([not np.isfinite(each).all() for each in vector])
    if bad.any():
        count = f"{bad.sum()} of {len(bad)} {key}s, the first {names[int(bad.argmax())]}"
        found = f"holds values that are no finite numbers for {count}"
        raise DataError(path, found, expected="finite numbers", remedy=AGAIN)
