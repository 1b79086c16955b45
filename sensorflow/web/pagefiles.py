"""The files that pages are made of: read once, packed once, and sent again only when they have changed."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Self

from aiohttp import ETag, hdrs, web


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file, as it is sent."""

    content_type: str
    body: bytes
    packed: bytes
    #: Of what it holds: a browser that has the same is not sent it again.
    digest: str

    @classmethod
    def of(cls, body: bytes, content_type: str) -> Self:
        """Return the file that holds `body`."""
        return cls(content_type, body, gzip.compress(body, mtime=0), sha256(body).hexdigest()[:16])

    def answer(self, request: web.Request, headers: Mapping[str, str]) -> web.Response:
        """Return the answer to who asks for the file."""
        etag = ETag(self.digest, is_weak=True)
        if etag in (request.if_none_match or ()):
            response = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        else:
            packs = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
            response = web.Response(
                body=self.packed if packs else self.body,
                content_type=self.content_type,
                charset="utf-8",
                headers=headers,
            )
            if packs:
                response.headers[hdrs.CONTENT_ENCODING] = "gzip"
        response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        response.etag = etag
        return response
