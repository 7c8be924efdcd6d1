"""Thinning on a clock of numbers: monotone, slow to change its mind, and always reversible."""

from hypothesis import given
from hypothesis import strategies as st

from rostra.edge.pressure import EASE_S, FEW, MOST, RISE_S, STEP_S, Change, Pressure, Signals

LOOK_S = 0.5
shares = st.floats(0, 1.2)
signals = st.builds(Signals, busy=shares, late_s=st.floats(0, 1), full=shares, connections=st.integers(0, 4 * FEW))
histories = st.lists(st.tuples(signals, st.integers(1, 60)), max_size=12)
"""What was measured, and for how many looks."""
CALM = Signals(0.1, 0.001, 0.1, 4 * FEW)
STORM = Signals(0.95, 0.001, 0.1, 4 * FEW)


class Edge:
    def __init__(self) -> None:
        self.now = 0.0
        self.pressure = Pressure(self.now)
        self.changes: list[Change] = []
        self.changed_at = float("-inf")

    def live(self, measured: Signals, looks: int = 1) -> "Edge":
        for _ in range(looks):
            self.now += LOOK_S
            change = self.pressure.look(measured, self.now)
            if change is not None:
                assert self.now - self.changed_at >= STEP_S
                self.changed_at = self.now
                self.changes.append(change)
        return self

    def through(self, history: list[tuple[Signals, int]]) -> "Edge":
        for measured, looks in history:
            self.live(measured, looks)
        return self

    @property
    def steps(self) -> list[int]:
        return [change.step for change in self.changes]


@given(histories)
def test_steps_are_taken_one_at_a_time_and_each_is_told_with_its_reason(history: list[tuple[Signals, int]]) -> None:
    edge = Edge().through(history)
    before = [0, *edge.steps]
    assert all(abs(after - earlier) == 1 for earlier, after in zip(before, edge.steps, strict=False))
    assert all(0 <= step <= MOST for step in edge.steps)
    assert all(change.why for change in edge.changes)
    assert edge.pressure.step == before[-1]
    assert bool(edge.pressure.why) == bool(edge.pressure.step)


@given(histories, st.data())
def test_of_two_edges_the_harder_pressed_never_thins_less(
    history: list[tuple[Signals, int]], data: st.DataObject
) -> None:
    easy, hard = Edge(), Edge()
    for measured, looks in history:
        more = Signals(
            measured.busy + data.draw(shares),
            measured.late_s + data.draw(st.floats(0, 0.5)),
            measured.full + data.draw(shares),
            measured.connections + data.draw(st.integers(0, FEW)),
        )
        for _ in range(looks):
            easy.live(measured)
            hard.live(more)
            assert hard.pressure.step >= easy.pressure.step


@given(histories)
def test_whatever_happened_calm_takes_every_step_back(history: list[tuple[Signals, int]]) -> None:
    edge = Edge().through(history)
    edge.live(CALM, round((EASE_S + MOST * STEP_S) / LOOK_S) + 1)
    assert edge.pressure.step == 0


# The mark at which a step is taken back lies below the one at which it is taken: between them lies its band.
BANDS = ((0.1, 0.0, 0.59), (0.60, 0.46, 0.74), (0.75, 0.61, 0.87), (0.90, 0.76, 1.2))


@given(st.integers(0, MOST), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 60)), max_size=12))
def test_what_wavers_within_its_band_changes_nothing(step: int, wavering: list[tuple[float, int]]) -> None:
    reach, low, high = BANDS[step]
    edge = Edge().live(Signals(reach, 0.0, 0.0, 4 * FEW), 40)
    assert edge.steps == list(range(1, step + 1))
    edge.through([(Signals(low + (high - low) * at, 0.0, 0.0, 4 * FEW), looks) for at, looks in wavering])
    assert edge.steps == list(range(1, step + 1))


def test_a_moment_is_no_pressure_and_a_pause_is_no_relief() -> None:
    edge = Edge()
    for _ in range(50):
        edge.live(STORM, round(RISE_S / LOOK_S) - 1).live(CALM)
    assert edge.steps == []
    edge.live(STORM, round((RISE_S + 2 * STEP_S) / LOOK_S) + 1)
    assert edge.steps == [1, 2, 3]
    for _ in range(10):
        edge.live(CALM, round(EASE_S / LOOK_S) - 1).live(STORM)
    assert edge.steps == [1, 2, 3]


def test_each_signal_alone_is_enough_and_says_so() -> None:
    for measured, why in (
        (Signals(0.9, 0.0, 0.0, FEW), "the processor is busy"),
        (Signals(0.0, 0.4, 0.0, FEW), "answers come late"),
        (Signals(0.0, 0.0, 0.95, FEW), "connections run out"),
    ):
        edge = Edge().live(measured, 20)
        assert [change.why for change in edge.changes] == [why] * MOST


def test_a_busy_machine_with_few_listeners_thins_nothing() -> None:
    assert Edge().live(Signals(1.0, 1.0, 1.0, FEW - 1), 100).steps == []
