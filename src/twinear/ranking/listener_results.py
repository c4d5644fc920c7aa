"""What systems are worth in listeners, as numbers: the content of `reports/listeners.json`."""

from dataclasses import dataclass

from twinear.ranking.summary import Numbers

STRICT = "catalogue_strict"  # the catalogue with listens of known artists by the other half


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """How well a number of listeners rank."""

    listeners: int
    ndcg: Numbers


@dataclass(frozen=True, kw_only=True)
class SystemWorth:
    """NDCG@10 of a system by half of the listeners, and the listeners that rank as well."""

    ndcg: Numbers
    listeners: Numbers


@dataclass(frozen=True, kw_only=True)
class ListenerEquivalents:
    """What systems are worth in listeners.

    Attributes
    ----------
    listeners, sampled, half
        Listeners in the listens, those that were drawn of them once, and half of these.
    artists, queries
        All of them, and those that were queries.
    draws
        Random halves.
    ceiling
        NDCG@10 of one half judged by the other.
    """

    listeners: int
    sampled: int
    half: int
    artists: int
    queries: int
    draws: int
    ceiling: Numbers
    curve: list[CurvePoint]
    systems: dict[str, SystemWorth]
