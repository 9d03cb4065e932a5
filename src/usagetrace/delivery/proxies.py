"""Which proxy stands before an endpoint, by the environment variables that curl and requests read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    import urllib3

# This machine is never reached through another one.
_HERE: Final = frozenset(("localhost", "127.0.0.1", "::1"))


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for an endpoint, credentials included; None where it is reached directly.

    ``https_proxy`` and ``http_proxy`` by the endpoint's scheme, else ``all_proxy``, in small letters or capitals;
    ``no_proxy`` names hosts that are reached directly, and this machine always is.

    Args:
        url: The endpoint's.
        environ: The environment.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    # HTTP_PROXY in capitals is a request's header where a web server runs programs: https://httpoxy.org
    names = [f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in environ and "HTTP_PROXY" in names:
        names.remove("HTTP_PROXY")
    proxy = next((environ[name].strip() for name in names if environ.get(name, "").strip()), "")
    if not proxy or host in _HERE:
        return None
    # Imported here: most people have no proxy.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed has it on macOS alone

    no = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    around = proxy_bypass_environment(parts.netloc.rpartition("@")[2], {"no": no})
    return None if around else (proxy if "://" in proxy else f"http://{proxy}")


def manager(proxy: str, **options: Any) -> urllib3.ProxyManager:
    """Return urllib3's manager of connections through a proxy.

    Args:
        proxy: The proxy's URL, credentials included.
        options: For the connections.
    """
    import urllib3

    parts = urlsplit(proxy)
    login, _, place = parts.netloc.rpartition("@")
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(urlunsplit((parts.scheme, place, "", "", "")), proxy_headers=headers, **options)
