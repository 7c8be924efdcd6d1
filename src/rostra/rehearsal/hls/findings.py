"""What a check may find, and the books in which its rules stand: each rule with its clause and what to do about it.

Clauses without a name are of draft-pantos-hls-rfc8216bis-22; "Apple" before one means Apple's HLS authoring specification.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar


class Severity(StrEnum):
    ERROR = "error"
    """A MUST is broken: some player may fail."""
    WARNING = "warning"
    """A SHOULD is not followed: players work, with more latency, load or risk."""
    NOTE = "note"
    """A recommendation, or something that this tool cannot judge."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    severity: Severity
    clause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    rule: Rule
    sentence: str


Subject = TypeVar("Subject")
Check = Callable[[Subject], Iterable[str]]


class Book(Generic[Subject]):
    """Rules on subjects of one kind, in the order of writing. A rule gives one sentence for each breach that it sees."""

    def __init__(self) -> None:
        self._checks: list[tuple[Rule, Check[Subject]]] = []

    @property
    def rules(self) -> list[Rule]:
        return [rule for rule, _ in self._checks]

    def must(self, name: str, clause: str, remedy: str) -> Callable[[Check[Subject]], Check[Subject]]:
        return self._take(Rule(name, Severity.ERROR, clause, remedy))

    def should(self, name: str, clause: str, remedy: str) -> Callable[[Check[Subject]], Check[Subject]]:
        return self._take(Rule(name, Severity.WARNING, clause, remedy))

    def may(self, name: str, clause: str, remedy: str) -> Callable[[Check[Subject]], Check[Subject]]:
        return self._take(Rule(name, Severity.NOTE, clause, remedy))

    def judge(self, subject: Subject) -> Iterator[Finding]:
        for rule, check in self._checks:
            for sentence in check(subject):
                yield Finding(rule, sentence)

    def _take(self, rule: Rule) -> Callable[[Check[Subject]], Check[Subject]]:
        def take(check: Check[Subject]) -> Check[Subject]:
            assert all(rule.name != other.name for other, _ in self._checks)
            self._checks.append((rule, check))
            return check

        return take
