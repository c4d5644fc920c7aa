"""Small trainings with a planted truth."""

import numpy as np

from tests.conftest import PARAMS
from twinear.base.params import parse_params, read_params
from twinear.model.inputs import LogMel
from twinear.training.batches import ClipInputs, Examples
from twinear.training.training import TrainingParams

SOUND = LogMel(n_mels=12, n_frames=24, frames_per_second=8.0, top_db=80.0)
TINY = {"channels": 8, "dense_units": 8, "statistics_units": 8, "max_pool": [4, 2]}
EVERYTHING = {  # that a resumed training must take up again
    "refit": True, "ema_decay": 0.5, "batch_similar": 0.5, "epochs": 5, "patience": 5,
    "batch_artists": 16, "model": {"dropout": 0.2},
    "augmentation": {"min_crop": 0.7, "tilt_db": 3.0, "freq_mask": 0.2, "time_mask": 0.2,
                     "mixup": 0.2},
    "pretraining": {"epochs": 2, "min_crop": 0.5, "temperature": 0.1, "batch_clips": 16},
}  # fmt: skip


def params(**changes: object) -> TrainingParams:
    values = read_params("training", TrainingParams, PARAMS).model_dump(mode="json")
    small = {"epochs": 8, "patience": 8, "batch_artists": 8, "device": "cpu", "threads": 1}
    model = changes.pop("model", {})
    assert isinstance(model, dict)
    values |= small | {"selection_window": 1, "refit": False} | changes
    values["model"] |= TINY | model
    return parse_params("training", TrainingParams, values, PARAMS)


def planted(n_artists: int, seed: int) -> Examples:
    """Artists on a line; a clip hums at its artist's place, similarity falls with distance."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 1, n_artists)
    artist_index = np.repeat(np.arange(n_artists), 2)
    bands = np.linspace(0, 1, 12)
    hum = np.exp(-(((place[artist_index][:, None] - bands) / 0.1) ** 2))  # (clips, n_bands)
    values = hum[:, :, None] * rng.uniform(0.5, 1, (len(artist_index), 12, 24))
    return Examples(
        clip_inputs=ClipInputs(
            values=values.astype(np.float16), joined=np.zeros((len(artist_index), 0))
        ),
        artist_index=artist_index,
        similarity=np.exp(-np.abs(place[:, None] - place) / 0.2),
        validation=np.zeros(n_artists, dtype=bool),
    )


def together(learn: Examples, check: Examples) -> Examples:
    """To learn from the first, and to validate by the second."""
    n = len(learn.similarity)
    similarity = np.zeros((n + len(check.similarity),) * 2)
    similarity[:n, :n], similarity[n:, n:] = learn.similarity, check.similarity
    both = (learn.clip_inputs, check.clip_inputs)
    return Examples(
        clip_inputs=ClipInputs(
            values=np.concatenate([each.values for each in both]),
            joined=np.concatenate([each.joined for each in both]),
        ),
        artist_index=np.concatenate([learn.artist_index, check.artist_index + n]),
        similarity=similarity,
        validation=np.arange(len(similarity)) >= n,
    )


def examples() -> Examples:
    return together(planted(24, 1), planted(12, 2))
