"""Which artists sound alike, learned from what people listen to.

The public functions are imported when they are first used, so that `import twinear` is fast:

>>> import twinear
>>> sorted(twinear.__all__)[-3:]
['similar_artists', 'similar_clips', 'train_scorer']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinear.catalogue.catalogue import Catalogue
    from twinear.evaluation.cross_validation import CrossValidationOptions, cross_validate
    from twinear.evaluation.evaluation import EvaluationOptions, evaluate
    from twinear.inference import (
        embed,
        embed_waveforms,
        load_catalogue,
        load_scorer,
        load_waveform,
        score,
    )
    from twinear.model.scorer import Scorer
    from twinear.recommendation.similar_artists import SimilarArtist, similar_artists
    from twinear.recommendation.similar_clips import SimilarClip, similar_clips
    from twinear.recommendation.why import Why, explain_similarity
    from twinear.training.scorer_training import train_scorer

    __version__: str

MODULES = {  # public name -> the module that defines it
    "Catalogue": "twinear.catalogue.catalogue",
    "CrossValidationOptions": "twinear.evaluation.cross_validation",
    "EvaluationOptions": "twinear.evaluation.evaluation",
    "Scorer": "twinear.model.scorer",
    "SimilarArtist": "twinear.recommendation.similar_artists",
    "SimilarClip": "twinear.recommendation.similar_clips",
    "Why": "twinear.recommendation.why",
    "cross_validate": "twinear.evaluation.cross_validation",
    "embed": "twinear.inference",
    "embed_waveforms": "twinear.inference",
    "evaluate": "twinear.evaluation.evaluation",
    "explain_similarity": "twinear.recommendation.why",
    "load_catalogue": "twinear.inference",
    "load_scorer": "twinear.inference",
    "load_waveform": "twinear.inference",
    "score": "twinear.inference",
    "similar_artists": "twinear.recommendation.similar_artists",
    "similar_clips": "twinear.recommendation.similar_clips",
    "train_scorer": "twinear.training.scorer_training",
}

__all__ = [
    "Catalogue",
    "CrossValidationOptions",
    "EvaluationOptions",
    "Scorer",
    "SimilarArtist",
    "SimilarClip",
    "Why",
    "__version__",
    "cross_validate",
    "embed",
    "embed_waveforms",
    "evaluate",
    "explain_similarity",
    "load_catalogue",
    "load_scorer",
    "load_waveform",
    "score",
    "similar_artists",
    "similar_clips",
    "train_scorer",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name == "__version__":  # reading the metadata takes longer than all the rest
        from importlib.metadata import version

        return version("twinear")
    if name in MODULES:
        return getattr(import_module(MODULES[name]), name)
    raise AttributeError(f"module 'twinear' has no attribute '{name}'")


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
