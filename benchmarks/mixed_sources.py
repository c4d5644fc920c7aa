"""How much a ranking loses where recordings come from different sources.

Users' libraries and preview services differ in length, band, codec, level, and silence at the ends.
Clips of whole artists, drawn by seed, are cut to 8 to 15 s, filtered, put at another level between
silence, and encoded by a real codec at a low bit rate. Compared are the catalogue and the scorer
alone

- on the clips as they are,
- with half of the artists shifted, in training and as queries and candidates,
- with the queries of each fold shifted, and everything else as it is.

Each for own statistics and for embeddings of musicnn, with other copies and another half for each
seed. There are two families of shifts, without a codec, cut-off or filter in common and with other
levels and another kind of silence. Settings are chosen on `choosing` with `--on validation`, and
`judging` is looked at once, at the end: what is judged later is neither.

Copies are kept in a temporary folder, never in the project. By default the network is not trained
(`training.epochs=0`), which would take hours.

    python -m benchmarks.mixed_sources [--family judging] [--fold-by COLUMN] [--truth NAME=FILE]
"""

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
from scipy.signal import butter, sosfilt
from tqdm import tqdm

from twinear.acquisition.sample.corpus import Codec, encode
from twinear.base.params import PARAMS
from twinear.catalogue.params import CatalogueParams
from twinear.clips.waveform import decode
from twinear.encoders.encoder import Encoder
from twinear.encoders.loading import load_encoder
from twinear.evaluation.comparison import Comparison, compare_systems
from twinear.evaluation.comparison_table import format_comparison
from twinear.evaluation.cross_validation import CrossValidationOptions, plan_folds
from twinear.evaluation.crossval.fold_scores import TRAINED, FoldScores, Task, score_fold
from twinear.evaluation.crossval.folds import Fold
from twinear.evaluation.crossval.systems import combine_folds
from twinear.evaluation.dataset import ArtefactFolders, EvaluationData, PreparationParams, prepare
from twinear.evaluation.other_truths import read_truths
from twinear.evaluation.recipes import Recipe, read_recipe
from twinear.ranking.ranking import RankingParams
from twinear.spectrograms.front_end import SpectrogramsParams, log_mel
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.training.training import TrainingParams

ARMS = ("statistics", "musicnn")
SMALLEST = ["training.epochs=0", "spectrograms.embeddings=none", "ranking.n_chance=100"]


@dataclass(frozen=True, kw_only=True)
class Shifts:
    """A family of differences between recordings; a shifted clip draws one of each.

    Attributes
    ----------
    seconds
        Least and largest length of what is left of a clip.
    low_pass_hz, high_pass_hz
        Cut-offs of Butterworth filters; 0: no filter.
    order
        Of the filters.
    gain_db
        Least and largest change of level.
    silence_seconds
        Least and largest length of what is put before and after.
    silence_dbfs
        Level of the noise in it; -inf: digital silence.
    """

    codecs: tuple[Codec, ...]
    seconds: tuple[float, float]
    low_pass_hz: tuple[float, ...]
    high_pass_hz: tuple[float, ...]
    order: int
    gain_db: tuple[float, float]
    silence_seconds: tuple[float, float]
    silence_dbfs: tuple[float, ...]


CHOOSING = Shifts(
    codecs=(
        Codec(suffix=".mp3", muxer="mp3", encoder="libmp3lame", sr=22050, bit_rate=48000),
        Codec(suffix=".mp3", muxer="mp3", encoder="libmp3lame", sr=44100, bit_rate=56000),
        Codec(suffix=".m4a", muxer="ipod", encoder="aac", sr=24000, bit_rate=32000),
    ),
    seconds=(8.0, 15.0),
    low_pass_hz=(4000.0, 5500.0, 7000.0),
    high_pass_hz=(0.0, 0.0, 120.0),
    order=4,
    gain_db=(-12.0, 0.0),
    silence_seconds=(0.2, 2.0),
    silence_dbfs=(-np.inf,),
)
JUDGING = Shifts(
    codecs=(
        Codec(suffix=".ogg", muxer="ogg", encoder="libopus", sr=24000, bit_rate=20000),
        Codec(suffix=".wma", muxer="asf", encoder="wmav2", sr=22050, bit_rate=32000),
        Codec(suffix=".mp2", muxer="mp2", encoder="mp2", sr=24000, bit_rate=48000),
        Codec(suffix=".opus", muxer="ogg", encoder="libopus", sr=48000, bit_rate=32000),
    ),
    seconds=(8.0, 15.0),
    low_pass_hz=(4700.0, 6200.0, 8000.0),
    high_pass_hz=(0.0, 80.0, 200.0),
    order=8,
    gain_db=(-24.0, -3.0),
    silence_seconds=(0.0, 3.0),
    silence_dbfs=(-80.0, -65.0),
)
FAMILIES = {"choosing": CHOOSING, "judging": JUDGING}


def shift_clip(path: Path, shifts: Shifts, rng: np.random.Generator, into: Path) -> Path:
    """Write a shifted copy of a clip; `into` has no suffix."""
    wave = decode(path)
    y, sr = wave.y.astype(np.float64), wave.sr
    n = min(round(rng.uniform(*shifts.seconds) * sr), len(y))
    start = rng.integers(len(y) - n + 1)
    y = y[start : start + n]
    low, high = rng.choice(shifts.low_pass_hz), rng.choice(shifts.high_pass_hz)
    if low < sr / 2:
        y = sosfilt(butter(shifts.order, low, "lowpass", fs=sr, output="sos"), y)
    if high:
        y = sosfilt(butter(shifts.order, high, "highpass", fs=sr, output="sos"), y)
    y = y * 10 ** (rng.uniform(*shifts.gain_db) / 20)
    level = 10 ** (rng.choice(shifts.silence_dbfs) / 20)
    before, after = (
        rng.normal(0, level, round(rng.uniform(*shifts.silence_seconds) * sr)) for _ in range(2)
    )
    codec = shifts.codecs[rng.integers(len(shifts.codecs))]
    shifted = soxr.resample(np.concatenate([before, y, after]).astype(np.float32), sr, codec.sr)
    to = into.with_name(into.name + codec.suffix)
    encode(shifted.astype(np.float32), codec, to)
    return to


def clip_generator(file: str, seed: int) -> np.random.Generator:
    """The generator of one clip: the shifts of the others do not change it."""
    digest = hashlib.sha256(file.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8])])


def shift_clips(
    data: Path, files: Sequence[str], family: str, seed: int, cache: Path
) -> list[Path]:
    """Shift every clip, unless the cache holds its copy."""
    folder = cache / f"{family}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    copies = {path.stem: path for path in folder.iterdir()}
    paths = []
    for file in tqdm(files, desc=folder.name, unit="clip"):
        name = Path(file).stem
        if name not in copies:
            generator = clip_generator(file, seed)
            copies[name] = shift_clip(data / file, FAMILIES[family], generator, folder / name)
        paths.append(copies[name])
    return paths


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """What the networks get of the clips, by arm; (clips, bands, frames)."""

    values: dict[str, np.ndarray]

    @classmethod
    def of_files(
        cls, paths: Sequence[Path], front: SpectrogramsParams, encoder: Encoder, arms: Sequence[str]
    ) -> "Inputs":
        """Decode files, once for all arms."""
        values: dict[str, list[np.ndarray]] = {arm: [] for arm in arms}
        for path in tqdm(paths, desc="encoding", unit="clip"):
            wave = decode(path, front.max_seconds).without_silence()
            if "statistics" in values:
                mel = log_mel(wave.at(front.sr), front)
                values["statistics"].append(mel.astype(np.float16))
            if "musicnn" in values:
                values["musicnn"].append(encoder.encode(wave.at(encoder.sr))[:, None])
        return cls(values={arm: np.stack(each) for arm, each in values.items()})


def score_queries(
    data: EvaluationData,
    clips: Spectrograms,
    folds: Sequence[Fold],
    folders: ArtefactFolders,
    recipe: Recipe,
) -> dict[int, list[FoldScores]]:
    """Train and score every fold on these clips, as `twinear crossval` does."""
    with tempfile.TemporaryDirectory() as folder:
        spectrograms = Path(folder) / "spectrograms"
        clips.write(spectrograms)
        of_clips = replace(folders, spectrograms=spectrograms)
        tasks = [
            Task(
                fold=fold,
                folders=of_clips,
                digest="",
                training=recipe.read("training", TrainingParams),
                catalogue=recipe.read("catalogue", CatalogueParams),
                path=Path(folder) / f"{fold.number}.npz",
            )
            for fold in folds
        ]
        return {1: [score_fold(task) for task in tasks]}


def compare_shifts(
    data: EvaluationData,
    folders: ArtefactFolders,
    folds: Sequence[Fold],
    recipe: Recipe,
    unshifted: Spectrograms,
    shifted: Sequence[np.ndarray],
) -> Comparison:
    """Score the clips as they are, half of the artists shifted, and the queries shifted."""
    ids = np.array(data.artists.ids)
    artist = unshifted.clips["artist"].to_numpy()

    def mixed(copies: np.ndarray, artists: npt.ArrayLike) -> Spectrograms:
        theirs = np.isin(artist, artists)[:, None, None]
        return replace(unshifted, values=np.where(theirs, copies, unshifted.values))

    def tables(trained: dict[int, list[FoldScores]]) -> Comparison:
        return combine_folds(data, folds, trained, TRAINED, {})

    clean = tables(score_queries(data, unshifted, folds, folders, recipe))
    scores = {f"{name}": list(clean.scores[name]) for name in TRAINED}
    for seed, copies in enumerate(tqdm(shifted, desc="scoring", unit="seed"), 1):
        half = np.random.default_rng(seed).permutation(ids)[: len(ids) // 2]
        of_half = score_queries(data, mixed(copies, half), folds, folders, recipe)
        of_asked: dict[int, list[FoldScores]] = {1: []}
        for fold in folds:
            asked = mixed(copies, fold.queries)
            of_asked[1] += score_queries(data, asked, [fold], folders, recipe)[1]
        for kind, trained in (("half shifted", of_half), ("queries shifted", of_asked)):
            compared = tables(trained)
            for name in TRAINED:
                scores.setdefault(f"{name}, {kind}", []).extend(compared.scores[name])
    return replace(clean, scores=dict(sorted(scores.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--fold-by", default="", help="a column of clips.csv")
    parser.add_argument("--family", choices=list(FAMILIES), default="choosing")
    parser.add_argument("--on", choices=["validation", "test"], default="validation")
    parser.add_argument("--seeds", type=int, default=3, help="of the copies and the halves")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--truth", nargs="*", default=[], help="NAME=FILE of other people's truth")
    parser.add_argument("--set", nargs="*", default=[], help="section.key=value")
    cache = Path(tempfile.gettempdir()) / "twinear-mixed-sources"
    parser.add_argument("--cache", type=Path, default=cache)
    options = parser.parse_args()
    recipe = read_recipe(PARAMS, None, [*SMALLEST, *options.set])
    cache = options.cache
    folders = prepare(options.data, PreparationParams.from_recipe(recipe), cache, tqdm)
    data = EvaluationData.read(folders)
    planned = CrossValidationOptions(data=options.data, fold_by=options.fold_by, on=options.on)
    folds = plan_folds(data, recipe, planned)
    files = list(data.spectrograms.clips["file"])
    front, encoder = data.spectrograms.front, load_encoder("musicnn-msd", print)
    clean = Inputs.of_files([options.data / file for file in files], front, encoder, options.arms)
    shifted = [
        Inputs.of_files(
            shift_clips(options.data, files, options.family, seed, cache),
            front,
            encoder,
            options.arms,
        )
        for seed in range(1, options.seeds + 1)
    ]
    named = dict(truth.split("=", 1) for truth in options.truth)
    truths = {name: Path(file) for name, file in named.items()}
    others = read_truths(truths, data.identities, data.artists.truth, recipe)
    for arm in options.arms:
        unshifted = replace(data.spectrograms, values=clean.values[arm])
        if arm == "musicnn":
            only = front.model_copy(update={"embeddings": "only"})
            unshifted = replace(unshifted, front=only, extractor=encoder.name)
        copies = [inputs.values[arm] for inputs in shifted]
        comparison = compare_shifts(data, folders, folds, recipe, unshifted, copies)
        params = recipe.read("ranking", RankingParams)
        result = compare_systems(replace(comparison, others=others), params)
        print(f"\n{arm}, {options.family} shifts, {len(data.artists.ids)} artists, {options.on}\n")
        for system in TRAINED:
            print(format_comparison(result, system), flush=True)


if __name__ == "__main__":
    main()
