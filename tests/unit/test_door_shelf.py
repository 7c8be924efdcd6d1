"""Prepared pages follow their Spaces, and outlast a record that cannot be read."""

import json
import re

import pytest
from door_world import Shown, get, space

from rostra.door.listing import Listing
from rostra.door.pages import Pages
from rostra.door.shelf import Shelf
from rostra.kernel.clock import ManualClock
from rostra.kernel.errors import Damaged, UnknownSpace
from rostra.kernel.ids import SpaceId
from rostra.kernel.settings import Settings
from rostra.space.states import State

ID = SpaceId("abcdefghjk")
DATE = b"Date: x\r\n"
PAGES = Pages(Settings())


def shelf_of(library: Shown, clock: ManualClock, most: int = 256) -> Shelf:
    return Shelf(library, PAGES, Settings(), clock, most)


def state_of(shelf: Shelf) -> dict[str, object]:
    return dict(json.loads(shelf.state(ID).at(DATE).partition(b"\r\n\r\n")[2]))


def test_a_page_is_made_once_however_many_ask() -> None:
    library, clock = Shown(space()), ManualClock()
    shelf = shelf_of(library, clock)
    for _ in range(1000):
        shelf.page(ID)
        clock.advance(0.01)
    assert shelf.rendered == 1 and library.asked <= 6


def test_a_page_follows_also_when_the_bell_was_not_heard() -> None:
    library, clock = Shown(space(State.OPEN)), ManualClock()
    shelf = shelf_of(library, clock)
    shelf.page(ID)
    library.put(space(State.LIVE))
    clock.advance(2)
    assert state_of(shelf)["state"] == "live"


def said_without_scripts(shelf: Shelf) -> str:
    html = shelf.page(ID).to(get()).at(DATE).decode()
    return html.partition('<p id="words">')[2].partition("</p>")[0]


def test_no_copy_of_a_page_says_that_it_starts_at_a_time_that_is_past() -> None:
    """Five seconds of grace; caches and browsers may hold what they were given for one more."""
    library, clock = Shown(space(State.SCHEDULED)), ManualClock()
    shelf = shelf_of(library, clock)
    shelf.page(ID)
    clock.advance(720 + 3.9)
    assert said_without_scripts(shelf).startswith("We start at <time ")
    clock.advance(0.1)
    assert said_without_scripts(shelf).startswith("It should have begun at <time ")
    library.broken.add(ID)  # the time passes also where the record cannot be read for a moment
    assert said_without_scripts(shelf).startswith("It should have begun at <time ")
    library.broken.clear()
    library.put(space(State.LIVE))
    clock.advance(2)
    assert said_without_scripts(shelf) == "It is on the air now."


def test_time_alone_makes_a_page_anew_a_few_times_in_its_life_however_many_ask() -> None:
    library, clock = Shown(space(State.SCHEDULED, starts_us=ManualClock().wall_us() + 7_200_000_000)), ManualClock()
    shelf = shelf_of(library, clock)
    for _ in range(4 * 3600):
        shelf.page(ID)
        clock.advance(1)
    assert shelf.rendered == 1 + len(("an hour left", "ten minutes", "one", "overdue", "long overdue"))


def test_a_new_state_is_on_the_page_a_moment_after_the_record_grew() -> None:
    library, clock = Shown(space(State.OPEN)), ManualClock()
    shelf = shelf_of(library, clock)
    before = shelf.page(ID).etag
    library.put(space(State.LIVE))
    shelf.grew(ID)
    clock.advance(0.2)
    assert shelf.page(ID).etag != before and state_of(shelf)["state"] == "live"


def test_moving_numbers_make_a_new_page_once_a_second_at_most() -> None:
    library, clock = Shown(space(count=0)), ManualClock()
    shelf = shelf_of(library, clock)
    for count in range(40):
        library.put(space(count=count, seq=60 + count))
        shelf.grew(ID)
        clock.advance(0.1)
        shelf.page(ID)
    assert 3 <= shelf.rendered - 1 <= 4


def test_parts_alone_make_no_new_page() -> None:
    library, clock = Shown(space()), ManualClock()
    shelf = shelf_of(library, clock)
    for _ in range(20):
        shelf.page(ID)
        shelf.grew(ID)
        clock.advance(0.5)
    assert shelf.rendered == 1


def test_state_json_tells_the_time_once_a_second() -> None:
    library, clock = Shown(space()), ManualClock()
    shelf = shelf_of(library, clock)
    first = state_of(shelf)["now"]
    clock.advance(0.9)
    assert state_of(shelf)["now"] == first
    clock.advance(0.1)
    assert state_of(shelf)["now"] != first


@pytest.mark.parametrize(
    "wrong",
    [
        OSError("the disk is busy"),
        ValueError("not an event"),
        Damaged("the index is shorter than the record says", 57, 0),
        UnknownSpace("There is no Space."),
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_a_page_stays_when_its_record_cannot_be_read_for_a_moment(wrong: Exception) -> None:
    library, clock = Shown(space()), ManualClock()
    library.wrong = wrong
    shelf = shelf_of(library, clock)
    page = shelf.page(ID)
    library.broken.add(ID)
    shelf.grew(ID)
    clock.advance(5)
    assert shelf.page(ID) is page
    library.broken.clear()
    library.put(space(State.ENDED))
    clock.advance(1)
    assert shelf.page(ID) is not page


def test_the_space_asked_for_longest_ago_makes_room() -> None:
    names = [f"abcdefghj{last}" for last in "kmnp"]
    library, clock = Shown(*(space(name=name) for name in names)), ManualClock()
    shelf = shelf_of(library, clock, most=3)
    for name in (*names[:3], names[0], names[3]):
        shelf.page(SpaceId(name))
    assert shelf.put_away == 1
    asked = library.asked
    shelf.page(SpaceId(names[0]))
    assert library.asked == asked
    shelf.page(SpaceId(names[1]))
    assert library.asked == asked + 1


def test_a_space_that_never_was_is_unknown() -> None:
    with pytest.raises(UnknownSpace):
        shelf_of(Shown(), ManualClock()).page(ID)


def listed(listing: Listing) -> list[str]:
    html = listing.home().to(get()).at(DATE).decode()
    return [one.partition("</bdi>")[0] for one in html.split('<bdi class="title">')[1:]]


@pytest.mark.anyio
async def test_home_lists_what_is_on_then_next_by_time_then_past_newest_first() -> None:
    clock = ManualClock()
    wall = clock.wall_us()
    library = Shown(
        space(State.ENDED, "abcdefghj2", title="older", over_us=wall - 9_000_000),
        space(State.ENDED, "abcdefghj3", title="newer", over_us=wall - 1_000_000),
        space(State.SCHEDULED, "abcdefghj4", title="tomorrow", starts_us=wall + 86_400_000_000),
        space(State.SCHEDULED, "abcdefghj5", title="soon", starts_us=wall + 60_000_000),
        space(State.SCHEDULED, "abcdefghj6", title="some day", starts_us=None),
        space(State.SCHEDULED, "abcdefghj7", title="forgotten", starts_us=wall - 3 * 86_400_000_000),
        space(State.CANCELLED, "abcdefghj8", title="never"),
        space(State.LIVE, "abcdefghj9", title="now"),
    )
    listing = Listing(library, PAGES, clock)
    await listing.read()
    assert listed(listing) == ["now", "soon", "tomorrow", "some day", "newer", "older"]


@pytest.mark.anyio
async def test_home_follows_within_a_second_and_shows_twenty_a_heading() -> None:
    clock = ManualClock()
    library = Shown()
    listing = Listing(library, PAGES, clock)
    await listing.read()
    assert listed(listing) == []
    for number in range(30):
        name = f"abcdefgh{'23456'[number // 6]}{'23456z'[number % 6]}"
        library.put(space(State.ENDED, name, title=str(number), over_us=clock.wall_us() + number))
        listing.grew(SpaceId(name))
    clock.advance(1)
    assert listed(listing) == [str(number) for number in range(29, 9, -1)]


@pytest.mark.anyio
async def test_home_does_not_promise_what_is_past() -> None:
    """As on the page of the Space; a copy of this one may be two seconds old."""
    library, clock = Shown(space(State.SCHEDULED), space(State.SCHEDULED, "abcdefghj2", starts_us=None)), ManualClock()
    listing = Listing(library, PAGES, clock)
    await listing.read()

    def when() -> list[str]:
        return re.findall(r"</bdi> · (?:should|<time)", listing.home().to(get()).at(DATE).decode())

    clock.advance(720 + 1.9)
    assert when() == ["</bdi> · <time"]
    made = listing.home()
    clock.advance(0.1)
    assert when() == ["</bdi> · <time"] and listing.home() is made  # looked at once a second
    clock.advance(1)
    assert when() == ["</bdi> · should"]


@pytest.mark.anyio
async def test_home_follows_also_when_the_bell_was_not_heard() -> None:
    library, clock = Shown(space(State.LIVE, "abcdefghj2", title="first")), ManualClock()
    listing = Listing(library, PAGES, clock)
    await listing.read()
    assert listed(listing) == ["first"]
    library.put(space(State.LIVE, "abcdefghj3", title="second", count=99))
    library.put(space(State.LIVE, "abcdefghj2", title="renamed"))
    clock.advance(10)
    assert listed(listing) == ["second", "renamed"]


@pytest.mark.anyio
async def test_a_record_that_cannot_be_read_hides_no_other() -> None:
    library = Shown(space(name="abcdefghj2", title="whole"), space(name="abcdefghj3", title="broken"))
    library.broken.add(SpaceId("abcdefghj3"))
    listing = Listing(library, PAGES, ManualClock())
    await listing.read()
    assert listed(listing) == ["whole"]
