"""Answers to those who have what they ask for already (RFC 9110 13.1.2 and 15.4.5)."""


def matches(etag: str, if_none_match: str) -> bool:
    """By weak comparison."""
    return any(one.strip().removeprefix("W/") in (etag.removeprefix("W/"), "*") for one in if_none_match.split(","))


def unless_known(whole: bytes, if_none_match: str) -> bytes:
    """A whole 200 as it is, or the 304 that says the same in fewer bytes, if its ETag is among those given."""
    if not whole.startswith(b"HTTP/1.1 200 "):
        return whole
    lines = whole[: whole.index(b"\r\n\r\n")].decode("latin-1").split("\r\n")[1:]
    etag = next((line[5:].strip() for line in lines if line[:5].lower() == "etag:"), None)
    if etag is None or not matches(etag, if_none_match):
        return whole
    kept = [line for line in lines if not line.lower().startswith(_OF_THE_BODY)]
    return "\r\n".join(["HTTP/1.1 304 Not Modified", *kept, "", ""]).encode("latin-1")


_OF_THE_BODY = ("content-length:", "content-type:", "content-encoding:", "content-range:", "last-modified:")
