"""How much a domain shift costs: held-out clips re-encoded, resampled, filtered, quieter, noisy.

Each fold's scorer is trained on unchanged clips. The clips of its held-out artists are then scored
unchanged, and after each shift; the clips of the other artists never change. "all": shifted queries
among all artists; "fold": the held-out artists among themselves, all shifted alike. Printed is
NDCG@10 of the siamese network alone: for the default training; for the same with the statistics of
shifted and of other clips centred separately; and with --augmented for a training with equaliser,
masks and mixup, which takes at least half an hour on two cores. No setting is chosen by it.

    python -m benchmarks.transfer [--fold-by COLUMN] [--augmented]
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr
import torch
from scipy.signal import butter, sosfilt
from tqdm import tqdm

from twinear.acquisition.sample.corpus import Codec, encode
from twinear.base.params import PARAMS
from twinear.catalogue.scoring import score_artists
from twinear.clips.clips import Clips
from twinear.clips.waveform import load_waveform
from twinear.evaluation.crossval.folds import Fold, cut_folds, fold_by_column
from twinear.evaluation.dataset import ArtefactFolders, EvaluationData
from twinear.evaluation.recipes import read_recipe
from twinear.metrics.ranking_metrics import Bools, Floats, query_ndcg, rank_truth
from twinear.model.scorer import Scorer
from twinear.spectrograms.front_end import SpectrogramsParams, log_mel
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split, fold_of
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

SR = 22050
AUGMENTED = [
    "training.augmentation.tilt_db=12", "training.augmentation.freq_mask=0.2",
    "training.augmentation.time_mask=0.2", "training.augmentation.mixup=0.1",
]  # fmt: skip


def recoded(y: np.ndarray) -> np.ndarray:
    """Opus at 14 kbit/s, mono, and back."""
    codec = Codec(suffix=".ogg", muxer="ogg", encoder="libopus", sr=24000, bit_rate=14000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.ogg"
        encode(soxr.resample(y, SR, codec.sr).astype(np.float32), codec, path)
        return load_waveform(path, SR, 300.0)


def telephone(y: np.ndarray) -> np.ndarray:
    """An old recording: 150 Hz to 5 kHz."""
    sos = butter(4, (150, 5000), "bandpass", fs=SR, output="sos")
    return np.asarray(sosfilt(sos, y), dtype=np.float32)


def resampled(y: np.ndarray) -> np.ndarray:
    """Through 11,025 samples a second."""
    low = soxr.resample(y, SR, SR // 2)
    return np.asarray(soxr.resample(low, SR // 2, SR), dtype=np.float32)


def quiet(y: np.ndarray) -> np.ndarray:
    """20 dB quieter, as 16-bit samples."""
    return np.asarray(np.round(y * 3276.7) / 32767, dtype=np.float32)


def noisy(y: np.ndarray) -> np.ndarray:
    """White noise 30 dB under the clip."""
    level = 10 ** (-30 / 20) * float(np.sqrt(np.mean(y**2)))
    noise = np.random.default_rng(0).normal(0, level, len(y))
    return np.asarray(y + noise, dtype=np.float32)


SHIFTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "unchanged": lambda y: y, "opus 14k": recoded, "150-5000 Hz": telephone,
    "11,025 a second": resampled, "20 dB quieter": quiet, "noise at -30 dB": noisy,
}  # fmt: skip


def compute_log_mels(
    clips: Clips, data: Path, front: SpectrogramsParams, shift: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Compute the shifted spectrograms, (clips, n_mels, n_frames)."""
    files = tqdm(clips.table["file"], desc=shift.__name__, unit="clip")
    waveforms = (load_waveform(data / file, front.sr, front.max_seconds) for file in files)
    return np.stack([log_mel(shift(y), front).astype(np.float16) for y in waveforms])


def train(data: EvaluationData, folds: Sequence[Fold], params: TrainingParams) -> list[Scorer]:
    """Train a scorer for each fold."""
    artists = data.similarity.artists
    with tempfile.TemporaryDirectory() as folder:
        return [
            train_scorer(
                data.spectrograms,
                data.similarity,
                Split.from_ids(artists, train=fold.train, validation=fold.validation),
                params.network_alone,
                Path(folder) / f"{fold.number}.pt",
            ).scorer
            for fold in tqdm(folds, desc="training", unit="fold")
        ]


def evaluate_folds(
    scorers: Sequence[Scorer],
    folds: Sequence[Fold],
    data: EvaluationData,
    shifted: np.ndarray,
    centred: bool = False,
) -> str:
    """Compute the mean NDCG@10 of all queries, in both protocols."""
    ids = data.artists.ids
    fold_numbers = np.array([next(f.number for f in folds if a in f.queries) for a in ids])
    values: dict[str, list[Floats]] = {"all": [], "fold": []}
    for scorer, fold in zip(scorers, folds, strict=True):
        queries = fold_numbers == fold.number
        scores = score(scorer, data, shifted, queries, centred)
        rows, others = np.flatnonzero(queries), ~np.eye(len(ids), dtype=bool)
        for protocol, mask in (("all", others), ("fold", others & queries)):
            values[protocol].append(ndcg(data.artists.truth[rows], scores[rows], mask[rows]))
    return " / ".join(f"{np.nanmean(np.concatenate(each)):.3f}" for each in values.values())


def score(
    scorer: Scorer, data: EvaluationData, shifted: np.ndarray, queries: Bools, centred: bool
) -> Floats:
    """Score by the siamese network alone; only the clips of the queries are shifted."""
    artists = data.artists
    values = np.array(data.spectrograms.values[artists.clips])
    of_queries = queries[artists.artist_index]
    values[of_queries] = shifted[artists.clips][of_queries]
    clips = replace(data.spectrograms.select(artists.clips), values=values)
    embeddings = (
        encode_centred(scorer, clips, of_queries) if centred else scorer.encode_spectrograms(clips)
    )
    return score_artists(scorer, embeddings, artists.artist_index).astype(np.float64)


def encode_centred(scorer: Scorer, clips: Spectrograms, shifted: Bools) -> np.ndarray:
    """Embeddings with the statistics of shifted and other clips around their own means."""
    net = scorer.net
    assert net.statistics is not None
    with torch.inference_mode():
        blocks = torch.arange(len(clips.values)).split(64)
        x, joined = torch.from_numpy(np.array(clips.values)), torch.from_numpy(clips.joined)
        known = torch.cat([net.statistics.coordinates(x[b].float(), joined[b]) for b in blocks])
        for group in (shifted, ~shifted):
            known[torch.from_numpy(group)] -= known[torch.from_numpy(group)].mean(dim=0)
        return torch.cat([net.encode(x[b].float(), joined[b], known[b]) for b in blocks]).numpy()


def ndcg(truth: Floats, scores: Floats, candidates: Bools) -> Floats:
    ranked = rank_truth(truth, candidates, 10, np.random.default_rng(1))
    return query_ndcg(ranked, scores, 10, np.random.default_rng(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--fold-by", default="", help="a column of clips.csv")
    parser.add_argument("--augmented", action="store_true", help="a second training")
    parser.add_argument("--set", nargs="*", default=[], help="section.key=value, for both")
    options = parser.parse_args()
    folders = ArtefactFolders(
        similarity=options.artifacts / "similarity", spectrograms=options.artifacts / "spectrograms"
    )
    data, clips = EvaluationData.read(folders), Clips.read(options.artifacts / "clips.csv")
    ids = data.artists.ids
    artists = data.similarity.artists.set_index("artist", drop=False).loc[ids]
    fold = (
        fold_by_column(artists, options.data / "clips.csv", options.fold_by, 5)
        if options.fold_by
        else fold_of(ids, 5)
    )
    folds = cut_folds(ids, fold, 5, "test", 3)
    trained = [
        train(
            data,
            folds,
            read_recipe(PARAMS, None, [*options.set, *more]).read("training", TrainingParams),
        )
        for more in ([[], AUGMENTED] if options.augmented else [[]])
    ]
    print(f"{len(ids)} artists, NDCG@10 of the siamese network alone; all / fold")
    print(f"{'':<16} {'default':<15} {'centred':<15}" + (" augmented" if options.augmented else ""))
    for name, shift in SHIFTS.items():
        shifted = compute_log_mels(clips, options.data, data.spectrograms.front, shift)
        cells = [evaluate_folds(scorers, folds, data, shifted) for scorers in trained]
        cells.insert(1, evaluate_folds(trained[0], folds, data, shifted, centred=True))
        print(f"{name:<16} " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
