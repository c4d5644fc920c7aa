"""Stage 6: spectrograms, similarity and split -> the scorer, its checkpoint, a record an epoch."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from twinear.files import replacing, sha256
from twinear.pairs import Split
from twinear.params import read_params, read_sections
from twinear.scorer import Scorer
from twinear.similarity.similarity import Similarity
from twinear.spectrograms import Spectrograms, SpectrogramsParams
from twinear.stage import run_stage
from twinear.tracking.runs import open_run
from twinear.training import Epoch, TrainingParams, examples_of, fit


def training(
    spectrograms: Path, similarity: Path, pairs: Path, scorer: Path, checkpoint: Path, table: Path
) -> None:
    params = read_params("training", TrainingParams)
    clips, split, target = (
        Spectrograms.read(spectrograms), Split.read(pairs), Similarity.read(similarity)
    )  # fmt: skip
    train, validation = (
        examples_of(clips, target, split.members(each)) for each in ("train", "validation")
    )
    with open_run(read_sections()) as run, tqdm(total=params.epochs, unit="epoch") as bar:
        run.log_data("spectrograms", spectrograms, sha256(spectrograms / "spectrograms.npy"))
        run.log_data("similarity", similarity, sha256(similarity / "similarity.npy"))

        def say(epoch: Epoch) -> None:
            bar.set_postfix(loss=f"{epoch.train_loss:.4f}", ndcg=f"{epoch.validation_ndcg:.3f}")
            bar.update()
            run.log_metrics(epoch.measures, step=epoch.epoch)

        fitted = fit(train, validation, params, checkpoint, say)
        front = read_params("spectrograms", SpectrogramsParams)
        Scorer(spectrograms=front, model=params.model, net=fitted.net).write(scorer)
        with replacing(table) as temporary:
            pd.DataFrame(map(asdict, fitted.history)).to_csv(temporary, index=False)
        run.log_scorer(scorer, sha256(scorer), clips.values.shape[1:])


if __name__ == "__main__":
    run_stage(training)
