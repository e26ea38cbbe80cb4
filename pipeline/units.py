"""Numbers, sizes and durations as people read them."""


def counted(number: int, what: str) -> str:
    """Such as 1 face and 1,000 faces."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size(count: float) -> str:
    """Bytes, to a tenth of the unit that fits."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.99995 * unit:  # so that a rounded one never reads 1000.0
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def clock(seconds: float) -> str:
    """To the second; from an hour on to the minute."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def about(seconds: float) -> str:
    """To two digits or so."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
