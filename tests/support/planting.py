"""Artefacts with a planted truth: artists of hidden styles, their clips and listeners."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import PARAMS
from twinear.base.params import read_params
from twinear.evaluation.dataset import ArtefactFolders
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms

FRONT = read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
    update={"n_mels": 8, "n_frames": 16, "n_mfcc": 4, "embeddings": "none"}
)
SMALL = {
    "n_mels: 40": "n_mels: 8",
    "n_frames: 1292": "n_frames: 16",
    "n_mfcc: 20 ": "n_mfcc: 4 ",
    "embeddings: auto": "embeddings: none",
    "channels: 32": "channels: 8",
    "dense_units: 128": "dense_units: 8",
    "epochs: 30": "epochs: 2",
    "threads: 2": "threads: 1",
    "min_test: 5": "min_test: 3",
    "n_bootstrap: 2000": "n_bootstrap: 200",
    "n_chance: 1000": "n_chance: 40",
}


def plant_params(folder: Path) -> Path:
    """Write the project's params, made small."""
    text = PARAMS.read_text(encoding="utf-8")
    for old, new in SMALL.items():
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def plant_artefacts(folder: Path, n_artists: int = 24, seed: int = 1) -> ArtefactFolders:
    """Write similarity, and spectrograms of two clips an artist, the last one without listens."""
    generator = np.random.default_rng(seed)
    style = generator.random((n_artists, 3))
    folders = ArtefactFolders(
        similarity=folder / "similarity", spectrograms=folder / "spectrograms"
    )
    plant_similarity(style[:-1], generator).write(folders.similarity)
    plant_spectrograms(style, generator).write(folders.spectrograms)
    return folders


def name(at: int) -> str:
    return f"artist {at}"


def plant_similarity(style: np.ndarray, generator: np.random.Generator) -> Similarity:
    apart = np.linalg.norm(style[:, None] - style, axis=2)
    matrix = np.exp(-3 * apart) * generator.uniform(0.8, 1, apart.shape)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1)
    listeners = np.arange(len(style), 0, -1) * 10
    artists = pd.DataFrame(
        {
            "artist": [name(at) for at in range(len(style))],
            "name": [name(at).title() for at in range(len(style))],
            "mbid": "",
            "listeners": listeners,
            "plays": listeners * 5,
        }
    )
    return Similarity(artists=artists, matrix=matrix.astype(np.float32))


def plant_spectrograms(style: np.ndarray, generator: np.random.Generator) -> Spectrograms:
    artist_index = np.repeat(np.arange(len(style)), 2)
    bands = np.kron(style[artist_index], np.ones((1, 3)))[:, :8]  # (clips, 8)
    noise = generator.uniform(-0.1, 0.1, (len(artist_index), 8, 16))
    values = np.clip(bands[:, :, None] * 0.8 + 0.1 + noise, 0, 1)
    clips = pd.DataFrame(
        {
            "file": [f"clips/{at:03}.wav" for at in range(len(artist_index))],
            "artist": [name(int(at)) for at in artist_index],
            "name": [name(int(at)).title() for at in artist_index],
            "title": "",
            "source": np.where(artist_index % 2, "radio", "shop"),
            "seconds": 1.0,
        }
    )
    return Spectrograms(
        clips=clips,
        values=values.astype(np.float16),
        mfcc_mean=generator.normal(size=(len(artist_index), 4)).astype(np.float32),
        mfcc_cov=np.tile(np.eye(4, dtype=np.float32), (len(artist_index), 1, 1)),
        front=FRONT,
        joined=np.zeros((len(artist_index), 0), np.float32),
    )
