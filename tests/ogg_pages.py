"""Ogg read by the book and by nothing of ours: RFC 3533's page layout, and its checksum bit by bit."""

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    flags: int
    granule: int
    serial: int
    number: int
    packets: list[bytes]
    open: bool
    """The last packet goes on on the next page."""


def crc(data: bytes) -> int:
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)
            register &= 0xFFFFFFFF
    return register


def pages(stream: bytes, *, check: bool = True) -> list[Page]:
    """All whole pages; ValueError for what is none. What is cut short at the end is left out."""
    found, at = [], 0
    while at + 27 <= len(stream):
        magic, version, flags, granule, serial, number, told, count = struct.unpack_from("<4sBBQIIIB", stream, at)
        if magic != b"OggS" or version != 0:
            raise ValueError(f"no page at {at}")
        sizes = stream[at + 27 : at + 27 + count]
        begin = at + 27 + count
        end = begin + sum(sizes)
        if end > len(stream):
            break
        if check and crc(stream[at : at + 22] + bytes(4) + stream[at + 26 : end]) != told:
            raise ValueError(f"wrong checksum at {at}")
        packets, packet, place = [], b"", begin
        for size in sizes:
            packet += stream[place : place + size]
            place += size
            if size < 255:
                packets.append(packet)
                packet = b""
        if packet or sizes[-1:] == b"\xff":
            packets.append(packet)
        found.append(Page(flags, granule, serial, number, packets, sizes[-1:] == b"\xff"))
        at = end
    return found
