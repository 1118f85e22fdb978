"""What the demo stops with."""


class DemoError(Exception):
    """The demo cannot go on; the text says why, and what helps."""
