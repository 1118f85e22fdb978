"""Bytes as people read them. Pure."""

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def shown(size: int) -> str:
    """In decimal units to one place: 7,400,000,000 is `7.4 GB`, 999 is `999 B`."""
    if size < 1000:
        return f"{size} B"
    power = 1
    while size >= 999_950 * 1000 ** (power - 1) and power < len(_UNITS):
        power += 1  # 999,950 is 1.0 MB, not 1000.0 kB
    return f"{size / 1000**power:.1f} {_UNITS[power - 1]}"
