"""Numbers, sizes and durations in the form in which messages show them."""

import unicodedata


def counted(number: int, what: str) -> str:
    """A number and a noun, such as "1 file" or "1,000 files"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size(count: float) -> str:
    """A number of bytes in a suitable unit, such as "1.5 MB"."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.99995 * unit:  # so that rounding never gives 1000.0
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def clock(seconds: float) -> str:
    """A duration to the second, such as "1 min 05 s", or to the minute if it is an hour or longer."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def about(seconds: float) -> str:
    """An approximate duration in the largest unit of which it has at least two, such as "3 hours"."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def printable(text: object) -> str:
    """Text in the form in which messages show it: control characters, line ends and bytes that are not UTF-8 are escaped.

    The names of files may contain anything, also what moves the cursor of a terminal or divides a message.
    """
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )
