"""What all requests to other servers have in common: where they may go, and how a failure is told."""

import errno
import os
import re
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

#: Where clouds tell a machine its own secrets; that of most, 169.254.169.254, is link-local.
METADATA_ADDRESSES = frozenset(
    ip_address(address)
    for address in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
#: Stands for an IPv4 address where a network translates.
_NAT64 = IPv6Network("64:ff9b::/96")

#: What may stand in a URL behind the host; braces are left for the placeholders.
_URL_LETTERS = "/?#[]@!$&'()*+,;=:%~{}"
_AUTHORITY = re.compile(r"[^/?#]*//[^/?#]*")

#: Failures that are told in the same words always.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.RedirectClientError, "it redirects to what is no http:// or https:// URL"),
    (aiohttp.TooManyRedirects, "it redirects too often"),
    (aiohttp.ConnectionTimeoutError, "no connection in time"),
    (TimeoutError, "no answer in time"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "its answer broke off"),
    (aiohttp.ClientResponseError, "its answer is not HTTP"),
)


class _AddressRefusedError(OSError):
    def __init__(self) -> None:
        reason = "link-local and metadata addresses are refused unless allow_private is set"
        super().__init__(errno.EACCES, reason)


class RedirectRefusedError(aiohttp.ClientError):
    """The server sends the request to where it may not go."""


def http_url(text: str) -> URL:
    """Return the URL that a text spells.

    Raises:
        ValueError: it is no absolute http or https URL; the text, which may hold secrets, is not quoted.
    """
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("expected a URL as http://host/path or https://host/path")
    return url


def filled_url(template: str, placeholder: re.Pattern[str], fill: Callable[[str], str]) -> URL:
    """Return the URL of a template.

    Args:
        placeholder: What is filled; it stands behind the host only.
        fill: Puts the values in, percent-encoded.

    Raises:
        ValueError: the template is no http or https URL, or has a placeholder in scheme, host or port.
    """
    authority = _AUTHORITY.match(template)
    server = authority[0] if authority else template
    if placeholder.search(server):
        raise ValueError("expected placeholders only behind the host of the URL")
    rest = fill(quote(template[len(server) :], safe=_URL_LETTERS))
    rest = rest.replace("{", "%7B").replace("}", "%7D")
    return URL(str(http_url(server)).rstrip("/") + rest, encoded=True)


def staying(method: str, url: URL) -> aiohttp.ClientMiddlewareType:
    """Return what refuses redirects away from the server that the file names, or to another method.

    A POST that goes on as a GET has done nothing, yet its answer would look like a success.
    """

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        origin = request.url.origin()
        if origin != url.origin() or request.method != method:
            told = f"it redirects to {request.method} {origin}; expected {method} at the same host and port"
            raise RedirectRefusedError(told)
        return await handler(request)

    return send


def checked_connector(
    *, allow_private: bool, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """Return a connector that refuses link-local and metadata addresses, unless they are allowed.

    What is checked is the address that a connection is made to, however its name was resolved.
    """
    return aiohttp.TCPConnector(socket_factory=None if allow_private else _socket, resolver=resolver)


def in_words(error: aiohttp.ClientError | TimeoutError) -> str:
    """Return why a request failed, without its URL: user, path and query may be secrets."""
    if isinstance(error, RedirectRefusedError):
        return str(error)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, aiohttp.ClientSSLError):
        told = getattr(error.os_error, "verify_message", None) or getattr(error.os_error, "reason", None)
        return f"TLS failed: {told or type(error.os_error).__name__}"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, _AddressRefusedError | socket.gaierror):
        return str(cause.strerror)
    if isinstance(cause, OSError):
        return os.strerror(cause.errno) if cause.errno else cause.strerror or str(cause)
    return type(error).__name__


def _socket(
    address: tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]],
) -> socket.socket:
    """Make the socket for a connection to an address of `getaddrinfo`."""
    family, kind, protocol, _, (host, *_) = address
    if _refused(str(host)):
        raise _AddressRefusedError
    return socket.socket(family, kind, protocol)


def _refused(host: str) -> bool:
    address = _destination(host.partition("%")[0])
    return address.is_link_local or address in METADATA_ADDRESSES


def _destination(host: str) -> IPv4Address | IPv6Address:
    """Return the address, for an IPv4 address in IPv6 clothes that one."""
    address = ip_address(host)
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
