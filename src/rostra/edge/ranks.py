"""The listeners of a crowd who are in step, in groups that get the same bytes next."""

from rostra.edge.listener import Group, Listener


class Ranks:
    """Groups by where they stand: bytes until the next title, the title told last, the part begun with."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, int, int], Group] = {}
        self._alike: list[Group] = []  # groups that came to stand where another stands already

    def __len__(self) -> int:
        return sum(map(len, self.groups()))

    def groups(self) -> list[Group]:
        return [*self._groups.values(), *self._alike]

    def listeners(self) -> list[Listener]:
        return [one for group in self.groups() for one in group.present()]

    def take(self, listener: Listener) -> None:
        """From now on it is written what those are written who stand where it stands."""
        at = listener.left, listener.told, listener.first
        group = self._groups.get(at)
        if group is None:
            group = self._groups[at] = Group(*at)
        group.take(listener)

    def step(self) -> list[Group]:
        """The groups that are not empty, for each to `stand` again where its next part leaves it."""
        groups, self._groups, self._alike = self.groups(), {}, []
        return [group for group in groups if len(group)]

    def stand(self, group: Group, left: int, told: int) -> None:
        group.left, group.told = left, told
        if self._groups.setdefault((left, told, group.first), group) is not group:
            self._alike.append(group)

    def tidy(self) -> None:
        """While no round is under way: groups that stand at the same place become one, and places that many left are closed up."""
        for group in self._alike:
            other = self._groups[group.left, group.told, group.first]
            for listener in group.present():
                other.take(listener)
        self._alike = []
        for group in self._groups.values():
            if 4 * group.empty > len(group.members):
                group.close_up()
