"""TLS by the server itself: real handshakes, a certificate renewed under way, and peers that do not speak it."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from certificates import make

from rostra.kernel.errors import Fault
from rostra.kernel.log import Log, write_to_stderr
from rostra.wire import listening
from rostra.wire import shaking as shaking_module
from rostra.wire.client import Client
from rostra.wire.http1 import Limits, Prepared
from rostra.wire.listening import serve
from rostra.wire.secure import Certificate, certificate_of
from rostra.wire.server import Counters, Exchange, Server
from rostra.wire.shaking import Handshakes

LARGE = Prepared(200, [("Content-Type", "text/plain")], bytes(8_000_000))
SMALL = Prepared(200, [("Content-Type", "text/plain"), ("ETag", '"a"')], b"hello\n")


def answer(exchange: Exchange) -> None:
    exchange.send_prepared(LARGE if exchange.request.path == "/large" else SMALL)


def run(tmp_path: Path, test: Callable[[int, Server, Path], Awaitable[None]], limits: Limits | None = None) -> None:
    authority, chain, key = make(tmp_path)

    async def main() -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = int(listening.getsockname()[1])
        server = await serve(
            answer, [listening], limits or Limits(), Counters(), Log("edge"), 0.1, secure=Certificate(chain, key)
        )
        try:
            await test(port, server, authority)
        finally:
            await server.drain(0.5)

    uvloop.run(main())


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


def test_our_client_and_curl_are_served(tmp_path: Path) -> None:
    async def test(port: int, server: Server, authority: Path) -> None:
        client = Client(("localhost", port), secure=trusting(authority))
        for path, whole in (("/", b"hello\n"), ("/large", bytes(8_000_000)), ("/", b"hello\n")):
            async with await client.request("GET", path) as got:
                assert (got.status, await got.read()) == (200, whole)
            await asyncio.sleep(0.3)
        await client.close()
        assert server.counters.connections == 1
        assert server.counters.slow_readers == 0, "who has read it all is not taken for slow"
        if shutil.which("curl"):
            done = await asyncio.to_thread(
                subprocess.run,
                ["curl", "-sv", "--cacert", str(authority), f"https://localhost:{port}/"],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
            assert done.stdout == "hello\n"
            assert "TLSv1.3" in done.stderr and "200 OK" in done.stderr

    run(tmp_path, test, Limits(write_deadline_s=0.1))


def test_a_renewed_certificate_is_taken_up_and_nobody_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listening, "LOOK_EVERY_S", 0.02)
    write_to_stderr("info")

    async def test(port: int, server: Server, authority: Path) -> None:
        before = await asyncio.open_connection("localhost", port, ssl=trusting(authority))
        first = before[1].get_extra_info("ssl_object").getpeercert()["serialNumber"]
        (tmp_path / "server.key").write_text("half written")
        await asyncio.sleep(0.1)
        assert await _serial(port, authority) == first, "what cannot be used is not used"
        warnings = [line for line in capfd.readouterr().err.splitlines() if '"warning"' in line]
        assert len(warnings) == 1 and "cannot be used" in warnings[0], "and is said, once"
        make(tmp_path)
        async with asyncio.timeout(10):
            while await _serial(port, authority) == first:
                await asyncio.sleep(0.02)
        before[1].write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in await before[0].readuntil(b"\r\n\r\n")
        before[1].close()

    run(tmp_path, test)


def test_whoever_speaks_something_else_gets_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaking_module, "HANDSHAKE_S", 0.3)

    async def test(port: int, server: Server, authority: Path) -> None:
        for said in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01" + bytes(600), b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            async with asyncio.timeout(5):
                assert b"200" not in await _all_of(reader)
            writer.close()
        assert server.counters.requests == 0
        assert await _serial(port, authority)

    run(tmp_path, test)


def test_a_peer_that_does_not_read_is_let_go_and_its_memory_is_bounded(tmp_path: Path) -> None:
    async def test(port: int, server: Server, authority: Path) -> None:
        raw = socket.create_connection(("127.0.0.1", port))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        secured = await asyncio.to_thread(trusting(authority).wrap_socket, raw, server_hostname="localhost")
        secured.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        async with asyncio.timeout(10):
            while server.counters.slow_readers == 0 or server.counters.open:
                await asyncio.sleep(0.02)
        secured.close()

    run(tmp_path, test, Limits(write_deadline_s=0.3))


def test_a_refused_request_is_answered_and_closed(tmp_path: Path) -> None:
    async def test(port: int, server: Server, authority: Path) -> None:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting(authority))
        writer.write(b"NONSENSE\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()

    run(tmp_path, test, Limits(linger_s=0.2))


def test_a_full_server_says_so(tmp_path: Path) -> None:
    async def test(port: int, server: Server, authority: Path) -> None:
        _, inside = await asyncio.open_connection("localhost", port, ssl=trusting(authority))
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting(authority))
        async with asyncio.timeout(5):
            while not server.places.refusing:
                await asyncio.sleep(0.01)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
            while server.counters.open > 1:
                await asyncio.sleep(0.01)
        assert server.counters.refused_full == 1
        inside.close()
        writer.close()

    run(tmp_path, test, Limits(connections=1))


def test_hands_that_are_never_shaken_hold_few_places_and_keep_nobody_out(tmp_path: Path) -> None:
    async def test(port: int, server: Server, authority: Path) -> None:
        (shaking,) = server.listening
        assert isinstance(shaking, Handshakes)
        inside = await asyncio.open_connection("localhost", port, ssl=trusting(authority))
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        for _, writer in silent[::2]:
            writer.write(b"\x16\x03\x01")  # how a handshake begins
        async with asyncio.timeout(5):
            for reader, _ in silent[:-20]:
                assert await _all_of(reader) == b"", "who has taken longest gives way"
            while server.counters.handshakes_failed < 40:
                await asyncio.sleep(0.01)
        assert len(shaking) <= 20
        assert await _serial(port, authority), "who comes among them is served"
        inside[1].write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in await inside[0].readuntil(b"\r\n\r\n")
        for _, writer in (inside, *silent):
            writer.close()
        async with asyncio.timeout(5):
            while len(shaking) or server.counters.open:
                await asyncio.sleep(0.01)

    run(tmp_path, test, Limits(connections=21))


def test_what_comes_with_the_last_word_of_the_handshake_is_a_request(tmp_path: Path) -> None:
    """By hand, as asyncio would send it by itself."""

    def ask(port: int, authority: Path) -> bytes:
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = trusting(authority).wrap_bio(theirs, ours, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", port), 5) as raw:
            while True:
                try:
                    talk.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    raw.sendall(ours.read())
                    theirs.write(raw.recv(65536))
            for _ in range(3):
                talk.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            raw.sendall(ours.read())
            got = b""
            while got.count(b"hello\n") < 3:
                try:
                    got += talk.read(65536)
                except ssl.SSLWantReadError:
                    theirs.write(raw.recv(65536))
            return got

    async def test(port: int, server: Server, authority: Path) -> None:
        for _ in range(20):
            got = await asyncio.to_thread(ask, port, authority)
            assert got.count(b"200 OK") == 3

    run(tmp_path, test)


def test_what_cannot_be_a_certificate_is_said_at_the_start(tmp_path: Path) -> None:
    _, chain, key = make(tmp_path)
    _, other, _ = make(tmp_path, "other")
    assert certificate_of("", "") is None
    for wrong in ((chain, ""), ("", key), (chain, chain), (other, key), (tmp_path / "none", key)):
        with pytest.raises(Fault) as said:
            certificate_of(*map(str, wrong))
        assert said.value.remedy


async def _serial(port: int, authority: Path) -> str:
    _, writer = await asyncio.open_connection("localhost", port, ssl=trusting(authority))
    serial = str(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])
    writer.close()
    return serial


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""
