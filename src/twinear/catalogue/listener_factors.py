"""The listener factors of the artists whose listens may be used.

Apart from what reads a catalogue, which needs no listens.
"""

from dataclasses import replace

import numpy as np

from twinear.catalogue.collaborative import TrainingArtists
from twinear.listens.listens import Listens
from twinear.similarity.factors import listener_factors
from twinear.split import Split

N_FACTORS = 64


def add_listener_factors(known: TrainingArtists, listens: Listens, split: Split) -> TrainingArtists:
    """Compute the listener factors of the training and validation artists of a split.

    The listens of its test artists are not used; those of artists outside the split are. For the
    calibration the factors of the training artists are computed once more, without the listens of
    the validation artists.

    Parameters
    ----------
    known
        Made of the same split.
    """
    test, validation = split.members("test"), split.members("validation")
    factors = listener_factors(listens, known.artists, test, N_FACTORS)
    if not validation:
        return replace(known, factors=factors, training_factors=factors)
    training = [
        artist for artist, held in zip(known.artists, known.validation, strict=True) if not held
    ]
    training_factors = np.zeros_like(factors)
    training_factors[~known.validation] = listener_factors(
        listens, training, [*test, *validation], N_FACTORS
    )
    return replace(known, factors=factors, training_factors=training_factors)
