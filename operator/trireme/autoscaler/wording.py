"""Figures for reading. Pure."""


def number(value: float) -> str:
    """A figure to three digits or to the unit: 0.0417, 40.3, 182, 12345."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def pod_count(count: int) -> str:
    """`1 pod`, `3 pods`."""
    return f"{count} pod" if count == 1 else f"{count} pods"


def rounded(value: float) -> float:
    """A figure to four significant digits, which are enough for people: 182.3456 is 182.3."""
    return float(f"{value:.4g}")
