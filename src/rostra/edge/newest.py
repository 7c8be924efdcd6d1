"""The newest parts of one channel, kept as written answers with the segments made of them."""

from collections import deque

from rostra.edge import answers
from rostra.edge.count import Heard
from rostra.edge.hot import Hot
from rostra.sound.hls import MEDIA_MAX_AGE_S
from rostra.sound.renditions import Shape
from rostra.wire.http1 import Prepared

RING_SEGMENTS = 6
"""How many segments of parts are kept as written answers; older ones are read from the record."""


class Newest:
    """Attributes:
    most: how many parts are kept.
    """

    def __init__(self, hot: Hot, ears: Heard, shape: Shape, base: str, folder: str) -> None:
        """
        Args:
            hot: where the answers are found by their paths: `base`, then `folder` for a part.
            ears: where who asks for them is heard.
        """
        self._hot = hot
        self._ears = ears
        self._shape = shape
        self._base = base
        self._folder = folder
        self.most = RING_SEGMENTS * shape.parts_per_segment
        self._ring: deque[tuple[int, bytes]] = deque()
        self._segments: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._ring)

    def path(self, number: int) -> str:
        """Of the part, kept or not."""
        return f"{self._base}{self._folder}/{number}.m4s"

    def keep(self, number: int, payload: bytes) -> Prepared:
        """The part's answer. `number` follows on the one kept last."""
        answer = answers.media(payload, f'"p{number}"', answers.fresh_for(MEDIA_MAX_AGE_S, immutable=True))
        self._hot[self.path(number)] = answer, self._ears
        self._ring.append((number, payload))
        if len(self._ring) > self.most:
            old, _ = self._ring.popleft()
            del self._hot[self.path(old)]
            while self._segments and self._segments[0] <= self._shape.segment_of_part(old):
                self._hot.pop(self._segment_path(self._segments.popleft()), None)
        return answer

    def get(self, number: int) -> bytes | None:
        """The part, if it is kept."""
        at = number - self._ring[0][0] if self._ring else -1
        return self._ring[at][1] if 0 <= at < len(self._ring) else None

    def last(self, count: int) -> list[tuple[int, bytes]]:
        """So many of the newest, with their numbers."""
        return list(self._ring)[-count:]

    def segment(self, msn: int) -> Prepared | None:
        """The answer of a segment of which no further part will come, if its parts are kept; else None."""
        numbers = self._shape.parts_of_segment(msn)
        if not self._ring or self._ring[0][0] > numbers.start or self._ring[-1][0] < numbers.start:
            return None
        body = b"".join(payload for number, payload in self._ring if number in numbers)
        answer = answers.media(body, f'"s{msn}"', answers.fresh_for(MEDIA_MAX_AGE_S, immutable=True))
        self._hot[self._segment_path(msn)] = answer, self._ears
        self._segments = deque(sorted({*self._segments, msn}))
        return answer

    def close(self) -> None:
        """Forget all answers."""
        for number, _ in self._ring:
            self._hot.pop(self.path(number), None)
        for msn in self._segments:
            self._hot.pop(self._segment_path(msn), None)

    def _segment_path(self, msn: int) -> str:
        return f"{self._base}seg/{msn}.m4s"
