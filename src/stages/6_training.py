"""Stage 6: spectrograms, similarity and split -> scorers, a checkpoint, a record an epoch."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from twinear.base.files import replacing, sha256
from twinear.base.params import read_params, read_stages
from twinear.base.stage import run_stage
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.tracking.runs import open_run
from twinear.training.checkpoint import Epoch
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams


def training(
    spectrograms: Path,
    similarity: Path,
    split: Path,
    scorer: Path,
    before_refit: Path,
    checkpoint: Path,
    table: Path,
) -> None:
    params = read_params("training", TrainingParams)
    clips, target = Spectrograms.read(spectrograms), Similarity.read(similarity)
    with open_run(read_stages()) as run, tqdm(total=params.epochs, unit="epoch") as bar:
        run.log_data("spectrograms", spectrograms, sha256(spectrograms / "spectrograms.npy"))
        run.log_data("similarity", similarity, sha256(similarity / "similarity.npy"))

        def say(epoch: Epoch) -> None:
            bar.set_postfix(loss=f"{epoch.train_loss:.4f}", ndcg=f"{epoch.validation_ndcg:.3f}")
            bar.update()
            run.log_metrics(epoch.measures, step=epoch.epoch)

        trained = train_scorer(clips, target, Split.read(split), params, checkpoint, say)
        trained.scorer.write(scorer)
        trained.before_refit.write(before_refit)
        epochs = pd.DataFrame(map(asdict, trained.fit.history))
        with replacing(table) as temporary:
            chosen = (epochs["epoch"] == trained.fit.best.epoch).astype(int)
            epochs.assign(chosen=chosen).to_csv(temporary, index=False)
        run.log_files(split)
        run.log_scorer(scorer, sha256(scorer), trained.scorer.inputs)


if __name__ == "__main__":
    run_stage(training)
