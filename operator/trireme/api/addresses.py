"""How a host and a port are written together. Pure."""


def host_port(host: str, port: int) -> str:
    """`10.0.0.7:8000` or, of an IPv6 address, whose colons would be taken for the port's,
    `[fd00::7]:8000`, as URLs (RFC 3986, 3.2.2) and gRPC's targets have it.
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
