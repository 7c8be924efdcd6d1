"""A kitchen radio: plays `live.mp3` and knows nothing but HTTP."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

_DEADLINE_S = 15


class RadioSet(threading.Thread):
    """Joins, and joins anew when its connection ends, until `stop` is set and the Space is over.

    Attributes:
        heard: what came on each connection.
        longest_wait_s: between one piece of sound and the next, whatever the connection.
    """

    def __init__(self, page: str) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.heard: list[bytearray] = []
        self.longest_wait_s = 0.0
        self._address = f"{page}/live.mp3"

    def run(self) -> None:
        last = None
        while not self.stop.is_set():
            try:
                for piece in self._pieces():
                    now = time.monotonic()
                    self.longest_wait_s = max(self.longest_wait_s, now - (last or now))
                    last = now
                    self.heard[-1] += piece
            except OSError:  # nobody there, or gone in the middle of it
                time.sleep(0.1)

    def misses(self, record: bytes) -> int:
        """How many of its connections brought something else than one stretch of this MP3, without a hole and without a repetition."""
        return sum(bytes(one) not in record for one in self.heard)

    def _pieces(self) -> Iterator[bytes]:
        with urllib.request.urlopen(self._address, timeout=_DEADLINE_S) as answer:
            self.heard.append(bytearray())
            while piece := answer.read1(65_536):
                yield piece


def mp3_of(sound: str, space_id: str) -> bytes:
    """The whole Space as MP3, part by part as another edge would fetch it; it is over."""
    parts: list[bytes] = []
    while True:
        try:
            with urllib.request.urlopen(
                f"{sound}/s/{space_id}/mp3/part/{len(parts)}.mp3", timeout=_DEADLINE_S
            ) as answer:
                parts.append(answer.read())
        except urllib.error.HTTPError as over:
            if over.code != 404:
                raise
            return b"".join(parts)
