"""Times of listens in the forms that services and players write.

Seconds, milliseconds, micro- or nanoseconds since 1970; ISO 8601 and its relatives with or without
a zone (`2020-01-01T10:00:00Z`, `2020-01-01 10:00`); `01 Jan 2020 10:00` and `01 Jan 2020, 10:00`.
A time without a zone is taken for UTC. Fractions of a second in text are dropped. Dates whose day
and month could be confused (`01/02/2020`) are not read.
"""

from collections.abc import Callable

import polars as pl

# Numbers from these on are not seconds since 1970: they would be of after the year 5000.
UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
ISO = "%Y-%m-%dT%H:%M:%SZ"  # the most usual one, which needs no tidying
FORMATS = tuple(
    f"{day}{time}" for day in ("%Y-%m-%d", "%d %b %Y") for time in (" %H:%M:%S", " %H:%M", "")
)
ZONE = r"(?i):\d\d(?:[.,]\d+)?\s*([+-]\d\d):?(\d\d)?$"
FRACTION_AND_ZONE = r"(?i)(:\d\d)(?:[.,]\d+)?\s*(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$"


def parse_times(column: str) -> pl.Expr:
    """Return the times of a column, of text or of any other type, in seconds since 1970, UTC.

    Null where there is none or where it cannot be read.

    Examples
    --------
    >>> times = ["1577872800", "1577872800000", "01 Jan 2020, 10:00", "2020-01-01 11:00+01", "-"]
    >>> pl.DataFrame({"time": times}).select(parse_times("time"))["time"].to_list()
    [1577872800.0, 1577872800.0, 1577872800.0, 1577872800.0, None]
    """
    return pl.col(column).map_batches(_seconds, return_dtype=pl.Float64, is_elementwise=True)


def _seconds(times: pl.Series) -> pl.Series:
    if times.dtype.is_numeric():
        return _since_1970(times)
    if times.dtype in (pl.Datetime, pl.Date):
        return _epoch(times)
    text = times.cast(pl.String, strict=False).str.strip_chars()
    seconds = pl.Series(times.name, [None], dtype=pl.Float64).new_from_index(0, len(times))
    none = text.clear(len(text))
    readers: tuple[Callable[[pl.Series], pl.Series], ...] = (_since_1970, _iso, _clock)
    for read in readers:
        unread = seconds.is_null()
        if not (unread & text.is_not_null()).any():
            break
        seconds = seconds.zip_with(~unread, read(text.zip_with(unread, none)))
    return seconds


def _since_1970(numbers: pl.Series) -> pl.Series:
    seconds = numbers.cast(pl.Float64, strict=False)
    seconds = seconds.zip_with(seconds.is_finite(), seconds.clear(len(seconds)))
    for first, per_second in UNITS:
        seconds = seconds.zip_with(seconds.abs() < first, seconds / per_second)
    return seconds


def _iso(text: pl.Series) -> pl.Series:
    return _epoch(text.str.to_datetime(ISO, time_unit="us", strict=False))


def _clock(text: pl.Series) -> pl.Series:
    """Read a date and a time of day in any of the forms, moved to UTC."""
    zone = text.str.extract_groups(ZONE).struct
    hours, minutes = (
        zone.field(group).cast(pl.Float64, strict=False).fill_null(0) for group in ("1", "2")
    )
    west = zone.field("1").str.starts_with("-").fill_null(False)
    tidy = (
        text.str.replace(FRACTION_AND_ZONE, "$1")
        .str.replace(r"^(\d{4})[/.](\d\d?)[/.](\d\d?)", "$1-$2-$3")
        .str.replace(r"(\d)T(\d)", "$1 $2")
        .str.replace_all(r"[,\s]+", " ")
    )
    seconds = tidy.clear(len(tidy)).cast(pl.Float64)
    for form in FORMATS:
        read = tidy.str.to_datetime(form, time_unit="us", strict=False)
        seconds = seconds.zip_with(seconds.is_not_null(), _epoch(read))
    offset = hours * 3600 + minutes.zip_with(~west, -minutes) * 60
    return seconds - offset


def _epoch(times: pl.Series) -> pl.Series:
    return times.dt.epoch("us").cast(pl.Float64) / 1e6
