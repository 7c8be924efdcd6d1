"""What the doctor says of one thing."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    result: Literal["ok", "warn", "fail"]
    said: str
    remedy: str = ""
