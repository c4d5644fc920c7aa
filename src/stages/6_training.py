"""Stage 6: spectrograms, similarity and split -> scorers, a checkpoint, a record an epoch.

Several processes may train together, started by torchrun or by TWINEAR_PROCESSES. All do the same;
that of rank 0 alone writes, prints and is tracked.
"""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from twinear.base.files import replacing, sha256, write_json
from twinear.base.params import read_params, read_stages
from twinear.base.stage import run_stage
from twinear.compute.memory import choose_memory
from twinear.listens.listens import Listens
from twinear.model.pooling import read_pooling
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms, digest
from twinear.split import Split
from twinear.tracking.datasets import TrackedData
from twinear.tracking.runs import Run, open_run
from twinear.training.checkpoint import Epoch, write_finished
from twinear.training.keeping import KeepDecision, ShareDecision, describe, measures
from twinear.training.launch import in_processes
from twinear.training.ranks import process_group, rank
from twinear.training.scorer_training import Trained, train_scorer
from twinear.training.training import TrainingParams
from twinear.training.untrained import untrained_scorer


def training(
    spectrograms: Path,
    similarity: Path,
    split: Path,
    listens: Path,
    scorer: Path,
    before_refit: Path,
    checkpoint: Path,
    table: Path,
    report: Path,
) -> None:
    """Train on the training artists; without listens the untrained scorer is the result."""
    params = read_params("training", TrainingParams)
    clips, target = Spectrograms.read(spectrograms), Similarity.read(similarity, may_be_empty=True)
    with process_group(params.device), _tracked(checkpoint) as run:
        run.log_data(
            TrackedData(
                name="spectrograms",
                source=spectrograms,
                digest=digest(spectrograms),
                schema=tuple(clips.values.shape),
                dtype=str(clips.values.dtype),
            )
        )
        epochs = pd.DataFrame(columns=[*(field.name for field in fields(Epoch)), "chosen"])
        if target.artists.empty:
            if rank() == 0:
                found = "no listens to learn from, the scorer stays untrained"
                print(f"training: {found}", file=sys.stderr)
            result = first = untrained_scorer(clips, params.model)
            share = None
            if clips.front.embeddings == "auto":
                share = ShareDecision(share=result.model.embeddings_shares[0], queries=0)
            decision = KeepDecision(kept="untrained", keep=params.keep, embeddings=share)
            write_finished(checkpoint)
        else:
            run.log_data(
                TrackedData(
                    name="similarity",
                    source=similarity,
                    digest=sha256(Similarity.file(similarity)),
                    schema=tuple(target.matrix.shape),
                    dtype=str(target.matrix.dtype),
                )
            )
            heard = Listens.read(listens) if params.listener_factors else None
            trained = _train(clips, target, Split.read(split), heard, params, checkpoint, run)
            result, first, decision = trained.scorer, trained.before_refit, trained.decision
            if trained.best is not None:
                epochs = pd.DataFrame(map(asdict, trained.history))
                epochs["chosen"] = (epochs["epoch"] == trained.best.epoch).astype(int)
        if rank() > 0:
            return
        result = replace(result, training=params.model_dump(mode="json", exclude={"model"}))
        result.write(scorer)
        first.write(before_refit)
        with replacing(table) as temporary:
            epochs.to_csv(temporary, index=False)
        write_json(report, decision)
        print(f"training: {describe(decision)}", file=sys.stderr)
        run.log_metrics(measures(decision))
        run.log_files(split)
        run.log_scorer(scorer, sha256(scorer), result.inputs)


def _tracked(checkpoint: Path) -> AbstractContextManager[Run]:
    if rank() > 0:
        return nullcontext(Run())
    return open_run(read_stages(), interrupted=checkpoint.exists())


def _train(
    clips: Spectrograms,
    target: Similarity,
    split: Split,
    listens: Listens | None,
    params: TrainingParams,
    checkpoint: Path,
    run: Run,
) -> Trained:
    with tqdm(total=params.epochs, unit="epoch", disable=rank() > 0) as bar:

        def say(epoch: Epoch) -> None:
            bar.set_postfix(loss=f"{epoch.train_loss:.4f}", ndcg=f"{epoch.validation_ndcg:.3f}")
            bar.update()
            run.log_metrics(epoch.measures, step=epoch.epoch)

        pooling, memory = read_pooling(), choose_memory(os.environ)
        return train_scorer(clips, target, split, params, checkpoint, say, listens, pooling, memory)


if __name__ == "__main__":
    run_stage(in_processes(training))
