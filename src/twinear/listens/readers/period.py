"""The period in which listens count."""

from datetime import UTC, date, datetime
from typing import Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from twinear.base.params import Params

DAY_SECONDS = 86400


class Period(Params):
    """The first and the last day of the listens that count, in UTC; "" is no bound.

    Parameters
    ----------
    from_, to
        ISO 8601: 2020-12-31.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    from_: str = Field(alias="from")
    to: str

    @field_validator("from_", "to")
    @classmethod
    def _is_a_day(cls, day: str) -> str:
        try:
            return day and date.fromisoformat(day).isoformat()
        except ValueError:
            raise ValueError("a day such as 2020-12-31, or nothing") from None

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        if self.from_ and self.to and self.from_ > self.to:
            raise ValueError("'from' not after 'to'")
        return self

    def __bool__(self) -> bool:
        """Whether there is a bound."""
        return bool(self.from_ or self.to)

    def __str__(self) -> str:
        return f"from {self.from_ or 'the first'} to {self.to or 'the last'}"

    @property
    def seconds(self) -> tuple[float, float]:
        """The first second of the period and the first after it, since 1970."""
        first, last = (
            datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() if day else None
            for day in (self.from_, self.to)
        )
        return (
            float("-inf") if first is None else first,
            float("inf") if last is None else last + DAY_SECONDS,
        )
