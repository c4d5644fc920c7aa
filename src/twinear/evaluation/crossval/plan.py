"""What a cross-validation is to do: which artefacts, which folds, which trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinear.base.params import read_sections
from twinear.catalogue.catalogue import CatalogueParams
from twinear.clips.clips import ClipsParams
from twinear.evaluation.crossval.folds import Fold, On, cut_folds, fold_by_column, fold_by_id
from twinear.evaluation.crossval.scoring import Task
from twinear.evaluation.dataset import Folders, Material, Preparation
from twinear.evaluation.recipes import Recipe
from twinear.listens.listens import ListensParams
from twinear.ranking.systems import form_lineup
from twinear.similarity.measures import SimilarityParams
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import SplitParams
from twinear.training.training import TrainingParams

MADE_BY = ("listens", "similarity", "clips", "spectrograms")  # sections that decide the artefacts


@dataclass(frozen=True, kw_only=True)
class Splitting:
    """How artists are cut into folds.

    Attributes
    ----------
    by
        A column of clips.csv; "" for the artist's id.
    clips
        That clips.csv.
    on
        Who is judged.
    n_folds
        0 for what params say.
    """

    by: str
    clips: Path
    on: On
    n_folds: int


def fits(folders: Folders, recipe: Recipe, params: Path) -> bool:
    """Whether the pipeline's artefacts are what a recipe asks for."""
    below = read_sections(params)
    if any(recipe.sections.get(each) != below.get(each) for each in MADE_BY[:-1]):
        return False
    if not (folders.similarity.exists() and folders.spectrograms.exists()):
        return False
    return Spectrograms.read(folders.spectrograms).front == recipe.read(
        "spectrograms", SpectrogramsParams
    )


def read_preparation(recipe: Recipe, front: SpectrogramsParams | None = None) -> Preparation:
    """The sections that decide the artefacts; a scorer's own `front` instead of the recipe's."""
    chosen = recipe.read("spectrograms", SpectrogramsParams) if front is None else front
    return Preparation(
        listens=recipe.read("listens", ListensParams),
        similarity=recipe.read("similarity", SimilarityParams),
        clips=recipe.read("clips", ClipsParams),
        spectrograms=chosen,
    )


def plan_folds(material: Material, recipe: Recipe, splitting: Splitting) -> list[Fold]:
    """Cut the artists with similarity and clips into folds."""
    split = recipe.read("split", SplitParams)
    n_folds = splitting.n_folds or split.n_folds
    ids = list(form_lineup(material.spectrograms, material.similarity).artists["artist"])
    if splitting.by:
        known = material.similarity.artists
        artists = known.set_index("artist", drop=False).loc[ids]
        fold = fold_by_column(artists, splitting.clips, splitting.by, n_folds)
    else:
        fold = fold_by_id(ids, n_folds)
    return cut_folds(ids, fold, n_folds, splitting.on, split.min_test)


def plan_tasks(
    folds: Sequence[Fold], seeds: Sequence[int], folders: Folders, recipe: Recipe, work: Path
) -> dict[int, list[Task]]:
    """One training for each seed and fold: seed -> fold by fold."""
    training = recipe.read("training", TrainingParams)
    digest = folders.digest
    return {
        seed: [
            Task(
                fold=fold,
                folders=folders,
                digest=digest,
                training=training.model_copy(update={"seed": seed}),
                catalogue=recipe.read("catalogue", CatalogueParams),
                path=work / f"fold{fold.number}-seed{seed}.npz",
            )
            for fold in folds
        ]
        for seed in seeds
    }
