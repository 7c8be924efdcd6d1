"""Handlers that take time, on real sockets."""

from wire_world import GET, Bench, head_and_body, run


def test_what_an_awaiting_handler_raises_becomes_its_status() -> None:
    async def test(bench: Bench) -> None:
        reader, writer = await bench.connect()
        for path, status, header, word in (
            (b"/refused", b"409", b"Cache-Control: no-store", b"not-now"), (b"/bad", b"405", b"Allow: GET", b"Only GET"),
            (b"/full", b"503", b"Retry-After: 7", b"Full"),
        ):  # fmt: skip
            writer.write(GET % path)
            head, body = await head_and_body(reader)
            assert head.startswith(b"HTTP/1.1 " + status)
            assert header in head
            assert word in body
        writer.close()

    run(test)
