"""Which share the embeddings of a pre-trained network have in what a scorer takes of a clip.

With `spectrograms.embeddings: auto` log-mels and embeddings are both there, and which of them
compare artists better depends on the music: embeddings win on real music, the statistics of the
log-mel on sounds that the pre-trained network never heard. The candidates are
`training.model.embeddings_shares`. A share of 1 takes the embeddings alone: such a scorer needs no
log-mel and has no convolutions. A share of 0 takes the log-mel alone: it needs no pre-trained
network. Held-out artists choose (`keeping.decide_share`); the first candidate is the prior.
"""

from twinear.base.errors import ParamsError
from twinear.model.params import ModelParams
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms


def candidate_shares(front: SpectrogramsParams, model: ModelParams) -> tuple[float, ...]:
    """List the shares to choose from; one where the front end leaves no choice.

    Raises
    ------
    ParamsError
        The front end is of both (`concat`), and no share is between 0 and 1.
    """
    if front.embeddings == "none":
        return (0.0,)
    if front.embeddings == "only":
        return (1.0,)
    if front.embeddings == "auto":
        return model.embeddings_shares
    between = tuple(share for share in model.embeddings_shares if 0 < share < 1)
    if not between:
        raise ParamsError(
            "params.yaml: training.model.embeddings_shares",
            f"found {list(model.embeddings_shares)}",
            expected="one between 0 and 1, with spectrograms.embeddings: concat",
        )
    return between


def at_share(
    clips: Spectrograms, model: ModelParams, share: float
) -> tuple[Spectrograms, ModelParams]:
    """Take what a scorer with that share takes of clips, and the shape of its network."""
    model = model.model_copy(update={"embeddings_shares": (share,)})
    if clips.front.embeddings != "auto":
        return clips, model
    embeddings = "only" if share == 1 else "concat" if share else "none"
    if share == 1:
        model = model.model_copy(update={"branches": "statistics"})
    return clips.for_front_end(clips.front.model_copy(update={"embeddings": embeddings})), model
