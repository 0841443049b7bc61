"""Who may come in: those with the token, at an address of ours, from a page of ours.

A browser carries any page's requests to any address. So besides the token, which is exchanged for a
cookie, ``Host`` is checked (a name of somebody else's that points here), and ``Origin`` (somebody
else's page that opens a WebSocket here).
"""

import hmac
import ipaddress
import secrets
import socket
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

TOKEN_PARAMETER: Final = "token"  # noqa: S105 - its name
_SCHEMES: Final = ("http", "https")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Whether an address to listen on, or in a URL, is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Decides on every request."""

    def __init__(self, token: str, *, host: str) -> None:
        self._token = token
        self._host = host
        # Cookies don't know ports: two with one name would send each other's visitors away.
        self._cookie = f"whisperctl-{secrets.token_hex(4)}"
        # Not the token itself: that may be one which outlives this process.
        self._pass = secrets.token_urlsafe(32)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass to its handler, or refuse it with a sentence."""
        if not self._host_is_ours(request):
            return _refused(421, "This address is not one that 'whisperctl serve' answers to.")
        if not self._origin_is_ours(request):
            return _refused(403, "Only pages of 'whisperctl serve' itself may ask it.")
        if request.path == "/" and TOKEN_PARAMETER in request.query:
            return self._exchange(request)
        if not same(request.cookies.get(self._cookie, ""), self._pass):
            return _refused(403, "Open the whole address that 'whisperctl serve' printed.")
        return await handler(request)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the browser what our pages may do; for ``on_response_prepare``."""
        response.headers.update(_HEADERS)
        # Some browsers don't count a WebSocket to the page's own address among 'self'.
        sockets = f"ws://{request.host} wss://{request.host}" if self._host_is_ours(request) else ""
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
            f"font-src 'self'; img-src 'self' data: blob:; connect-src 'self' {sockets}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def _exchange(self, request: web.Request) -> web.Response:
        """Take the token out of the address bar: a cookie is what the visitor shows from now on."""
        if request.method != "GET" or not same(request.query[TOKEN_PARAMETER], self._token):
            return _refused(403, "The token is wrong; 'whisperctl serve' makes one at each start.")
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            self._cookie,
            self._pass,
            httponly=True,
            samesite="Strict",
            path="/",
            secure=request.headers.get("X-Forwarded-Proto") == "https",
        )
        return response

    def _host_is_ours(self, request: web.Request) -> bool:
        name = _hostname(f"//{request.headers.get('Host', '')}")
        if name is None:
            return False
        if is_loopback(name):
            return True
        if is_loopback(self._host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in {self._host.lower(), socket.gethostname().lower()}
        # No name, so nobody else's.
        return True

    @staticmethod
    def _origin_is_ours(request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        if origin is None:
            # Every browser sends it with a WebSocket.
            return request.headers.get("Upgrade") is None
        return origin in {f"{scheme}://{request.headers.get('Host')}" for scheme in _SCHEMES}


def same(one: str, other: str) -> bool:
    """Compare two secrets in a time that tells nothing of where they differ."""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )


def _hostname(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts.hostname


def _refused(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=f"{sentence}\n")
