"""Texts where there is room for so many characters. Pure."""


def cut(text: str, longest: int) -> str:
    """A text of at most so many characters; three dots tell that something is missing."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
