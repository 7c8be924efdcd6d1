"""A small HTTP/1.1 client of the rehearsal's own, so that a mistake in the server's reading is not repeated here.

One `Connection` is one kept-alive TCP connection to one origin; requests on it go one after the other.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

_HEAD_MOST = 64 * 1024
_BODY_MOST = 512 * 1024 * 1024


class HttpError(OSError):
    """The connection failed, ended early, spoke something else than HTTP, or took longer than the deadline."""


@dataclass(frozen=True, slots=True)
class Answer:
    url: str
    status: int
    headers: dict[str, str]
    body: bytes
    first_byte_s: float = 0.0
    """From the request to the first byte of the body (or to the end of the head, if there is none)."""
    took_s: float = 0.0
    """From the request to the last byte."""

    def links(self, relation: str) -> list[str]:
        """The targets of Link headers with this relation."""
        found = []
        for one in self.headers.get("link", "").split(","):
            target, _, rest = one.strip().partition(">")
            if target.startswith("<") and f'rel="{relation}"' in rest.replace(f"rel={relation}", f'rel="{relation}"'):
                found.append(target[1:])
        return found


class Client:
    """Keeps one connection an origin; follows redirects; opens again where the other side closed.

    Attributes:
        requests: how many requests were sent, redirects included.
        reopened: how many kept connections turned out to be dead and were made again.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.reopened = 0
        self._open: dict[tuple[str, str, int], _Connection] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        deadline_s: float = 20.0,
        redirects: int = 5,
        most: int = _BODY_MOST,
    ) -> Answer:
        """One whole exchange, its body of at most so many bytes. 307 and 308 keep method and body (RFC 9110 15.4.8); the bearer stays within one host name.

        Raises:
            HttpError: nothing usable came back in time.
        """
        headers = dict(headers or {})
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    answer = await self._once(method, url, headers, body, most)
                    if (
                        answer.status not in (301, 302, 303, 307, 308)
                        or "location" not in answer.headers
                        or not redirects
                    ):
                        return answer
                    redirects -= 1
                    target = _joined(url, answer.headers["location"])
                    if urlsplit(target).hostname != urlsplit(url).hostname:
                        headers = {key: text for key, text in headers.items() if key.lower() != "authorization"}
                    url = target
        except TimeoutError:
            raise HttpError(f"no answer from {_origin(url)} within {deadline_s:g} s") from None

    async def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes, most: int) -> Answer:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in ("http", "https"):
            raise HttpError(f"{url} is not an http address")
        key = (parts.scheme, host, port or (443 if parts.scheme == "https" else 80))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {text}" for name, text in headers.items()]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        message = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
        kept = self._open.pop(key, None)
        if kept is not None:
            try:
                return await self._exchange(kept, key, method, url, message, most)
            except HttpError:
                # A kept connection may have been closed while idle; GET and HEAD are safe to say twice.
                if method not in ("GET", "HEAD"):
                    raise
                self.reopened += 1
        fresh = await _Connection.to(*key)
        return await self._exchange(fresh, key, method, url, message, most)

    async def _exchange(
        self, connection: "_Connection", key: tuple[str, str, int], method: str, url: str, message: bytes, most: int
    ) -> Answer:
        self.requests += 1
        began = time.monotonic()
        try:
            status, headers, body, keep = await connection.exchange(message, method == "HEAD", most)
        except BaseException:
            connection.close()
            raise
        if keep:
            self._open[key] = connection
        else:
            connection.close()
        return Answer(url, status, headers, body, connection.first_byte_at - began, time.monotonic() - began)

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()
        self._open.clear()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.first_byte_at = 0.0

    @classmethod
    async def to(cls, scheme: str, host: str, port: int) -> "_Connection":
        context = ssl.create_default_context() if scheme == "https" else None
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_HEAD_MOST)
        except OSError as wrong:
            raise HttpError(f"{host}:{port} cannot be reached: {wrong.strerror or wrong}") from None
        except ValueError:
            raise HttpError(f"{host} is no name of a host") from None
        return cls(reader, writer)

    async def exchange(self, message: bytes, head_only: bool, most: int) -> tuple[int, dict[str, str], bytes, bool]:
        try:
            self._writer.write(message)
            await self._writer.drain()
            status, headers = await self._head()
            while status in (100, 102, 103):
                status, headers = await self._head()
            self.first_byte_at = time.monotonic()
            if head_only or status in (204, 304):
                body, keep = b"", True
            elif "chunked" in headers.get("transfer-encoding", "").lower():
                body, keep = await self._chunks(most), True
            elif "content-length" in headers:
                length = int(headers["content-length"])
                if not 0 <= length <= most:
                    raise HttpError(f"a body of {length} bytes was announced")
                first = await self._reader.readexactly(min(1, length))
                self.first_byte_at = time.monotonic()
                body, keep = first + await self._reader.readexactly(length - len(first)), True
            else:
                body, keep = await self._rest(most), False
        except asyncio.IncompleteReadError:
            raise HttpError("the connection ended in the middle of an answer") from None
        except (ValueError, asyncio.LimitOverrunError):
            raise HttpError("the answer is not HTTP") from None
        except HttpError:
            raise
        except OSError as wrong:
            raise HttpError(f"the connection broke: {wrong.strerror or wrong}") from None
        return status, headers, body, keep and headers.get("connection", "").lower() != "close"

    async def _head(self) -> tuple[int, dict[str, str]]:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(version)
        headers: dict[str, str] = {}
        for line in lines[1:]:
            if line:
                name, _, text = line.partition(":")
                name = name.strip().lower()
                headers[name] = f"{headers[name]}, {text.strip()}" if name in headers else text.strip()
        return int(rest[:3]), headers

    async def _rest(self, most: int) -> bytes:
        """What comes until the other side closes (RFC 9112 6.3)."""
        body = bytearray()
        while piece := await self._reader.read(_HEAD_MOST):
            if not body:
                self.first_byte_at = time.monotonic()
            body += piece
            if len(body) > most:
                raise HttpError("the answer does not end")
        return bytes(body)

    async def _chunks(self, most: int) -> bytes:
        body = bytearray()
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if not body:
                self.first_byte_at = time.monotonic()
            if size == 0:
                while (await self._reader.readuntil(b"\r\n")) != b"\r\n":
                    pass
                return bytes(body)
            if len(body) + size > most:
                raise HttpError("the answer does not end")
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)

    def close(self) -> None:
        self._writer.close()


def _origin(url: str) -> str:
    return urlsplit(url).netloc


def _joined(url: str, location: str) -> str:
    """Raises HttpError: it leads nowhere."""
    try:
        target = urljoin(url, location)
        urlsplit(target)
    except ValueError:
        raise HttpError(f"{url} points to what is no address") from None
    return target
