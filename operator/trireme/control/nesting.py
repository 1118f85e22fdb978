"""How deeply an object may be nested that the operator reads.

Where a schema leaves an object open (`podTemplate`, `config`), the API server takes 10,000 levels,
and Python's reader of JSON ends at its limit of about 1,000 calls. It is kopf's watch that reads:
with one such agent nobody would be told of any other, again after every start. So it is read, and
`parse_agent` refuses it.
"""

import sys

_DEEPEST = 10_000  # sigs.k8s.io/json, which the API server reads by
_CALLS = 1_000  # Python's own limit, for what is called beside


def read_what_the_api_server_takes() -> None:
    """From now on, in this process."""
    sys.setrecursionlimit(_DEEPEST + _CALLS)
