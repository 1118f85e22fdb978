"""The one error of the launcher: what went wrong, in words meant to be read as they are."""


class ClusterError(Exception):
    """The cluster cannot be had, or lost something; the message is all a person needs."""
