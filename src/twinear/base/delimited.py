"""A line of delimited text (CSV and its relatives) split into fields, tolerant of stray quotes.

A record is one line: a quoted field that runs over the end of its line is damage, so that one stray
quote never swallows the rows after it. Quotes follow RFC 4180 where a field is quoted as a whole;
anywhere else a quote is a letter, as in `"Weird Al" Yankovic` and `12" Ensemble`.
"""

SEPARATORS = (",", ";", "\t", "|")  # of equally frequent ones the first


def split_line(line: str, separator: str = ",") -> list[str] | None:
    """Split a line, without its end, into fields; None where a quoted field is not closed.

    Examples
    --------
    >>> split_line('u1,"Earth, Wind & Fire",5')
    ['u1', 'Earth, Wind & Fire', '5']
    >>> split_line('"Weird Al" Yankovic;12" Ensemble', ";")
    ['"Weird Al" Yankovic', '12" Ensemble']
    >>> split_line('u1,"Heroes,5') is None
    True
    """
    if '"' not in line:
        return line.split(separator)
    fields = []
    at = 0
    while True:
        end, field = _quoted_field(line, at, separator)
        if field is None:
            if end < 0:
                return None
            end = line.find(separator, at)
            end = len(line) if end < 0 else end
            field = line[at:end]
        fields.append(field)
        if end == len(line):
            return fields
        at = end + len(separator)


def _quoted_field(line: str, at: int, separator: str) -> tuple[int, str | None]:
    """Parse the field at a position if it is quoted as a whole.

    Returns where it ends and the field; the field is None where it is not quoted, and the end is
    then -1 if a quote opens it that nothing closes.
    """
    if not line.startswith('"', at):
        return at, None
    end = at + 1
    while (end := line.find('"', end)) >= 0:
        if line.startswith('""', end):  # a quote in the field, unless the field ends here
            end += 2
            continue
        after = end + 1
        if after == len(line) or line.startswith(separator, after):
            return after, line[at + 1 : end].replace('""', '"')
        return after, None  # a letter follows the quote: it does not close a field
    return -1, None


def find_separator(header: str) -> str:
    r"""Return the separator of a table's first line: the most frequent of comma, ; tab and |.

    Examples
    --------
    >>> find_separator("listener;artist;plays"), find_separator("artist")
    (';', ',')
    """
    return max(SEPARATORS, key=lambda separator: len(split_line(header, separator) or ()))
