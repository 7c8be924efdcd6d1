"""Structured logs: one JSON line a decision, nothing per packet, no secrets, no addresses, no user text."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


class Log:
    """Writes `role` and fixed fields with every line. Levels: debug for us, info life-cycle, warning for the operator, error our bug."""

    def __init__(self, role: str, **fields: Any) -> None:
        self._logger = logging.getLogger("rostra")
        self._fields = {"role": role, **fields}

    def bind(self, **fields: Any) -> "Log":
        """The same log with more fixed fields, such as space="…"."""
        bound = Log.__new__(Log)
        bound._logger, bound._fields = self._logger, {**self._fields, **fields}
        return bound

    def debug(self, message: str, **fields: Any) -> None:
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, *, trace: BaseException | None = None, **fields: Any) -> None:
        self._write(logging.ERROR, message, fields, trace)

    def _write(self, level: int, message: str, fields: dict[str, Any], trace: BaseException | None = None) -> None:
        self._logger.log(level, message, extra={"fields": {**self._fields, **fields}}, exc_info=trace)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {"logger": record.name}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def write_to_stderr(level: str = "info") -> None:
    """Send all logging, ours and the libraries' warnings, to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("rostra").setLevel(level.upper())
