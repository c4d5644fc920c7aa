"""Where the embeddings of indexed clips come from, by what the front end asks for."""

from functools import partial
from pathlib import Path

from twinear.base.errors import TwinearError
from twinear.clips.clips import Clips
from twinear.clips.waveform import Waveform
from twinear.encoders.encoder import Cut, Encoder, Floats
from twinear.encoders.loading import DEFAULT, WINDOWS, find_encoder, load_encoder
from twinear.spectrograms.computation import NO_EMBEDDINGS, EmbeddingSource
from twinear.spectrograms.embedding_table import (
    OLD_TABLE,
    TABLE,
    EmbeddingTable,
    read_clip_embeddings,
)
from twinear.spectrograms.front_end import SpectrogramsParams


def find_embeddings(
    clips: Clips, data_folder: Path, front: SpectrogramsParams, extractor: str = ""
) -> EmbeddingSource:
    """Find the embeddings of clips: those of the data folder's table, or computed on the way.

    With `embeddings: auto` clips that have none in the table, or have changed since, are embedded
    by the network that made the table; without a table all are, by the default network. Embeddings
    of two networks are never mixed: where twinear does not have that of the table, every clip needs
    its row. With `concat` or `only` a table of all clips must be there.

    Parameters
    ----------
    extractor
        Of a scorer, for which the clips are: its network embeds what the table lacks, and a table
        of another network is not used.

    Raises
    ------
    TwinearError
        A table that is missing, damaged or lacks clips, or an encoder that cannot be loaded.
    """
    if front.embeddings == "none":
        return NO_EMBEDDINGS
    files, sha256s = (list(clips.table[column]) for column in ("file", "sha256"))
    path = data_folder / TABLE
    if (front.embeddings != "auto" and not extractor) or (data_folder / OLD_TABLE).exists():
        return _whole(read_clip_embeddings(files, sha256s, path))
    table = EmbeddingTable.read(path) if path.exists() else None
    if table is not None and extractor and table.extractor != extractor:
        table = None
    if table is None:
        encoder = find_encoder(extractor) if extractor else load_encoder(DEFAULT, lambda text: None)
        return _embedded(encoder, None, extractor or encoder.name)
    known = table.unchanged(files, sha256s)
    if len(known.clips) == len(set(files)):
        return _whole(table.select(files, sha256s, path))
    try:
        encoder = find_encoder(table.extractor)
    except TwinearError:
        return _whole(table.select(files, sha256s, path))  # says what it lacks
    return _embedded(encoder, known, table.extractor)


def _whole(table: EmbeddingTable) -> EmbeddingSource:
    return EmbeddingSource(extractor=table.extractor, table=table)


def _embedded(encoder: Encoder, known: EmbeddingTable | None, extractor: str) -> EmbeddingSource:
    frames = extractor.endswith(WINDOWS)
    return EmbeddingSource(
        extractor=extractor,
        table=known,
        cut=partial(_cut, sr=encoder.sr, cut=encoder.cut, fixed=frames),
        spans=encoder.spans,
        embed=partial(encoder.embed_clips, frames=frames),
    )


def _cut(waveform: Waveform, sr: int, cut: Cut, *, fixed: bool) -> Floats:
    return cut(waveform.at(sr), fixed=fixed)
