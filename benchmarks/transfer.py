"""What another corpus costs: held-out clips re-encoded, resampled, filtered, quieter, noisy.

Each fold's scorer is trained on clips as they are. Its held-out artists are then heard as they are,
and after each shift; the catalogue's other artists stay as they are. "all": shifted queries among
all artists; "fold": the held-out artists among themselves, all shifted alike. Told is NDCG@10 of
the scorer alone: for the default training; for the same with the statistics of shifted and of other
clips each brought to their own mean; and, if asked, for a training with augmentation by equaliser,
masks and mixing, which takes half an hour of two cores or more. Nothing is chosen by it.

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
from twinear.catalogue.catalogue import score_artists
from twinear.clips.clips import Clips
from twinear.clips.waveform import load_waveform
from twinear.evaluation.crossval.folds import Fold, cut_folds, fold_by_column, fold_by_id
from twinear.evaluation.dataset import Folders, Material
from twinear.evaluation.recipes import read_recipe
from twinear.metrics.ranking_metrics import Bools, Floats, query_ndcg, rank_truth
from twinear.model.scorer import Scorer
from twinear.ranking.systems import Lineup, form_lineup
from twinear.spectrograms.front_end import SpectrogramsParams, log_mel
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

SR = 22050
HEALED = [
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
    "as it is": lambda y: y, "opus 14k": recoded, "150-5000 Hz": telephone,
    "11,025 a second": resampled, "20 dB quieter": quiet, "noise at -30 dB": noisy,
}  # fmt: skip


def hear(
    clips: Clips, data: Path, front: SpectrogramsParams, shift: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The shifted spectrograms, (clips, n_mels, n_frames)."""
    files = tqdm(clips.table["file"], desc=shift.__name__, unit="clip")
    waveforms = (load_waveform(data / file, front.sr, front.max_seconds) for file in files)
    return np.stack([log_mel(shift(y), front).astype(np.float16) for y in waveforms])


def train(material: Material, folds: Sequence[Fold], params: TrainingParams) -> list[Scorer]:
    """A scorer for each fold."""
    everyone = material.similarity.artists
    with tempfile.TemporaryDirectory() as folder:
        return [
            train_scorer(
                material.spectrograms,
                material.similarity,
                Split.from_ids(everyone, train=fold.train, validation=fold.validation),
                params,
                Path(folder) / f"{fold.number}.pt",
            ).scorer
            for fold in tqdm(folds, desc="training", unit="fold")
        ]


def judge(
    scorers: Sequence[Scorer],
    folds: Sequence[Fold],
    material: Material,
    heard: np.ndarray,
    centred: bool = False,
) -> str:
    """The mean NDCG@10 of all queries, in both protocols."""
    lineup = form_lineup(material.spectrograms, material.similarity)
    ids = list(lineup.artists["artist"])
    fold = np.array([next(f.number for f in folds if a in f.queries) for a in ids])
    found: dict[str, list[Floats]] = {"all": [], "fold": []}
    for scorer, held in zip(scorers, folds, strict=True):
        queries = fold == held.number
        scores = score(scorer, lineup, material, heard, queries, centred)
        rows, others = np.flatnonzero(queries), ~np.eye(len(ids), dtype=bool)
        for name, mask in (("all", others), ("fold", others & queries)):
            found[name].append(ndcg(lineup.truth[rows], scores[rows], mask[rows]))
    return " / ".join(f"{np.nanmean(np.concatenate(each)):.3f}" for each in found.values())


def score(
    scorer: Scorer,
    lineup: Lineup,
    material: Material,
    heard: np.ndarray,
    queries: Bools,
    centred: bool,
) -> Floats:
    """Sound alone; the queries' clips as `heard`, all others as they are."""
    values = np.array(material.spectrograms.values[lineup.clips])
    shifted = queries[lineup.artist_index]
    values[shifted] = heard[lineup.clips][shifted]
    clips = replace(material.spectrograms.select(lineup.clips), values=values)
    embeddings = (
        encode_centred(scorer, clips, shifted) if centred else scorer.encode_spectrograms(clips)
    )
    return score_artists(scorer, embeddings, lineup.artist_index).astype(np.float64)


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
    asked = parser.parse_args()
    folders = Folders(
        similarity=asked.artifacts / "similarity", spectrograms=asked.artifacts / "spectrograms"
    )
    material, clips = Material.read(folders), Clips.read(asked.artifacts / "clips.csv")
    artists = form_lineup(material.spectrograms, material.similarity).artists
    known = material.similarity.artists.set_index("artist", drop=False).loc[artists["artist"]]
    ids = list(artists["artist"])
    fold = (
        fold_by_column(known, asked.data / "clips.csv", asked.fold_by, 5)
        if asked.fold_by
        else fold_by_id(ids, 5)
    )
    folds = cut_folds(ids, fold, 5, "test", 3)
    trained = [
        train(
            material,
            folds,
            read_recipe(PARAMS, None, [*asked.set, *more]).read("training", TrainingParams),
        )
        for more in ([[], HEALED] if asked.augmented else [[]])
    ]
    print(f"{len(ids)} artists, NDCG@10 of sound alone; all / fold")
    print(f"{'':<16} {'default':<15} {'centred':<15}" + (" augmented" if asked.augmented else ""))
    for name, shift in SHIFTS.items():
        heard = hear(clips, asked.data, material.spectrograms.front, shift)
        cells = [judge(scorers, folds, material, heard) for scorers in trained]
        cells.insert(1, judge(trained[0], folds, material, heard, centred=True))
        print(f"{name:<16} " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
