"""`trireme run`: the operator itself."""

from trireme.settings import read_settings


def run() -> None:
    """Run the operator. Its settings are environment variables that begin with TRIREME_."""
    from trireme.control.program import run as operate  # kopf and the clients: 1 s to import

    operate(read_settings())
