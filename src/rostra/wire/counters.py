"""What one listening server did and refused, as plain numbers."""

from dataclasses import dataclass, fields

from rostra.kernel.metrics import family


@dataclass(slots=True)
class Counters:
    """Grows for ever, except `open`."""

    open: int = 0
    connections: int = 0
    requests: int = 0
    held: int = 0
    bad_requests: int = 0
    refused_full: int = 0
    aborted_full: int = 0
    handshakes_failed: int = 0
    head_timeouts: int = 0
    idle_closed: int = 0
    answer_timeouts: int = 0
    slow_readers: int = 0
    stream_overflows: int = 0
    pipeline_overflows: int = 0
    late_answers: int = 0
    gone: int = 0
    faults: int = 0
    drained: int = 0

    def metrics(self, role: str) -> str:
        """Prometheus text, one family a number, labelled with the role."""
        label = {"role": role}
        text = ""
        for one in fields(self):
            kind = "gauge" if one.name == "open" else "counter"
            name = f"rostra_wire_{one.name}" + ("_total" if kind == "counter" else "")
            text += family(name, kind, _MEANING[one.name], [(label, getattr(self, one.name))])
        return text


_MEANING = {
    "open": "Connections open now.",
    "connections": "Connections accepted.",
    "requests": "Requests handed to a handler.",
    "held": "Requests held until their answer existed.",
    "bad_requests": "Requests refused for breaking HTTP or a limit.",
    "refused_full": "Connections answered 503 because the connection limit was reached.",
    "aborted_full": "Connections told so and cut off unheard because even the reserve for refusals was full.",
    "handshakes_failed": "TLS handshakes that failed, took too long, or gave way to newer ones because too many were under way.",
    "head_timeouts": "Requests that did not arrive whole in time.",
    "idle_closed": "Connections closed after standing idle.",
    "answer_timeouts": "Requests answered 503 because no answer was ready in time.",
    "slow_readers": "Connections aborted because the peer did not read what it asked for.",
    "stream_overflows": "Streams aborted because more was written to them than may wait.",
    "pipeline_overflows": "Connections closed for sending too much ahead of an answer.",
    "late_answers": "Answers dropped because the peer or the deadline was faster.",
    "gone": "Requests whose peer left before the answer.",
    "faults": "Handlers that failed with a fault of ours.",
    "drained": "Requests answered 503 because the server was stopping.",
}
