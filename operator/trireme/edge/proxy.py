"""The proxy that the environment names for a server, as every program reads it."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """By HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in either case; None where there is none, or NO_PROXY
    has the host.
    """
    at = urlsplit(url)
    if at.hostname is None or proxy_bypass(at.netloc):
        return None
    proxies = getproxies()
    return proxies.get(at.scheme) or proxies.get("all")
