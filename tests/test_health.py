"""The state machine of a destination: open, backing off, held."""

from __future__ import annotations

import pytest

from smarthostd.health import SOON, Errand, Health
from smarthostd.outcome import Deferred, Hold, Scope
from smarthostd.retry import Subject, Tried
from tests.clocks import HeldClock
from tests.rules import Rules

KEY = "smarthost:smtp.example.com:587"
REFUSED = Deferred("Connection refused", 111, Scope.HOST, "refused", destination=KEY)
ERRAND, ANOTHER = Errand("id"), Errand("another")
NO_LOGIN = Deferred("535", -42, Scope.HOST, "auth_failed", destination=KEY)
WRONG_PASSWORD = Hold("credential", "535 wrong password", "mend the password")


class Files:
    """Credential files whose change is announced by hand."""

    def __init__(self) -> None:
        self.version = 0

    def stamps(self) -> object:
        return self.version

    def changed(self, stamps: object) -> bool:
        return stamps != self.version


class Alarms:
    """Collects what is announced."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def held(self, destination: str, hold: Hold) -> None:
        self.lines.append(f"held {hold.text}")

    def opened(self, destination: str) -> None:
        self.lines.append("opened")

    def reluctant(self, destination: str, text: str) -> None:
        self.lines.append(f"reluctant {text}")


class House:
    """A Health with its surroundings."""

    def __init__(self) -> None:
        self.clock = HeldClock()
        self.files = Files()
        self.alarms = Alarms()
        self.health = Health(self.clock, Rules(900), self.files, self.alarms)
        self.opened: list[str] = []
        self.health.on_open(self.opened.append)


@pytest.fixture
def house() -> House:
    return House()


def test_after_the_clock_was_set_back_nothing_lies_ahead(house: House) -> None:
    """Else a host that was down would not be asked for as long as the clock had been wrong."""
    house.health.failed(KEY, REFUSED, ERRAND)
    house.health.hold("held", WRONG_PASSWORD, NO_LOGIN)
    house.clock.pass_(-30 * 86400)
    house.health.turned_back()
    assert sorted(house.health.probes_due()) == sorted([KEY, "held"])
    for state in house.health.states().values():
        assert state.last_try <= house.clock.now()
    house.health.failed(KEY, REFUSED, ERRAND)
    assert house.health.next_probe({"held"}) == house.clock.now() + 900


def test_an_unknown_destination_may_be_tried(house: House) -> None:
    assert house.health.refusal(KEY, ERRAND) is None


def test_after_a_host_error_nothing_is_tried_until_the_time_has_come(house: House) -> None:
    house.health.failed(KEY, REFUSED, ERRAND)
    refusal = house.health.refusal(KEY, ERRAND)
    assert refusal is not None
    assert refusal.errno == -54
    assert refusal.destination == KEY
    assert house.health.next_probe() == house.clock.now() + 900
    house.clock.pass_(900)
    assert house.health.probes_due() == [KEY]


def test_only_one_probe_goes_when_the_time_has_come(house: House) -> None:
    house.health.failed(KEY, REFUSED, ERRAND)
    house.clock.pass_(900)
    assert house.health.refusal(KEY, ERRAND) is None
    assert house.health.refusal(KEY, ERRAND) is None, "a probe may open more than one connection"
    assert house.health.refusal(KEY, ANOTHER) is not None
    assert house.health.probes_due() == []


def test_a_probe_that_never_reports_is_taken_for_lost(house: House) -> None:
    house.health.failed(KEY, REFUSED, ERRAND)
    house.clock.pass_(900)
    assert house.health.refusal(KEY, ERRAND) is None
    house.clock.pass_(901)
    assert house.health.refusal(KEY, ANOTHER) is None


def test_connections_that_fail_together_back_off_once(house: House) -> None:
    house.health.failed(KEY, REFUSED, ERRAND)
    until = house.health.next_probe()
    house.clock.pass_(1)
    house.health.failed(KEY, REFUSED, ERRAND)
    assert house.health.next_probe() == until


def test_success_opens_for_all_that_wait_and_says_so_once(house: House) -> None:
    house.health.failed(KEY, REFUSED, ERRAND)
    house.clock.pass_(900)
    assert house.health.refusal(KEY, ERRAND) is None
    house.health.opened(KEY)
    house.health.opened(KEY)
    assert house.opened == [KEY]
    assert house.alarms.lines == ["opened"]
    assert house.health.refusal(KEY, ERRAND) is None


def test_a_hold_raises_one_alarm_however_many_messages_meet_it(house: House) -> None:
    for _ in range(20):
        house.health.hold(KEY, WRONG_PASSWORD, NO_LOGIN)
    assert house.alarms.lines == ["held 535 wrong password"]
    refusal = house.health.refusal(KEY, ERRAND)
    assert refusal is not None
    assert "mend the password" in refusal.text
    assert house.health.any_held


@pytest.mark.parametrize(
    ("errno", "error"), [pytest.param(-38, "tls_required", id="TLS"), pytest.param(-42, "auth_failed", id="a login")]
)
def test_a_hold_keeps_the_number_and_the_name_of_its_error(errno: int, error: str, house: House) -> None:
    """In what the next message is told, in what the spool keeps, and behind a restart."""
    told = house.health.hold(KEY, WRONG_PASSWORD, Deferred("no", errno, Scope.HOST, error, destination=KEY))
    (hint,) = house.health.take_changes().values()
    assert hint is not None
    after = House()
    after.health.restore({KEY: hint}, soon=False)
    for refusal in (told, house.health.refusal(KEY, ERRAND), after.health.refusal(KEY, ERRAND)):
        assert refusal is not None
        assert (refusal.errno, refusal.error) == (errno, error)
    assert (hint.errno, hint.error) == (errno, error)


@pytest.mark.parametrize(("held", "seconds"), [(False, 0), (True, SOON)], ids=["backing off", "held"])
def test_a_start_probes_at_once_but_for_a_refused_login(held: bool, seconds: float, house: House) -> None:
    """A daemon that starts again and again may ask whether a host is there, and may not try a wrong password."""
    if held:
        house.health.hold(KEY, WRONG_PASSWORD, NO_LOGIN)
    else:
        house.health.failed(KEY, REFUSED, ERRAND)
    (hint,) = house.health.take_changes().values()
    assert hint is not None
    after = House()
    after.health.restore({KEY: hint})
    assert after.health.next_probe() == after.clock.now() + seconds


def test_a_forced_probe_does_not_make_gaps_grow_by_the_time_that_it_was_late() -> None:
    """What Exim does: the last gap is the shorter of the planned and the real one."""
    seen: list[Tried] = []

    class Watching(Rules):
        def next_try(self, subject: Subject, known: Tried, now: float) -> tuple[float, bool]:
            seen.append(known)
            return super().next_try(subject, known, now)

    clock = HeldClock()
    health = Health(clock, Watching(900), Files(), Alarms())
    health.failed(KEY, REFUSED, ERRAND)
    clock.pass_(5000)
    health.release()
    assert health.refusal(KEY, ERRAND) is None
    health.failed(KEY, REFUSED, ERRAND)
    assert seen[-1].planned - seen[-1].last_try == 900


def test_a_changed_file_makes_a_held_destination_due_for_a_probe_at_once(house: House) -> None:
    house.health.hold(KEY, WRONG_PASSWORD, NO_LOGIN)
    assert house.health.release_mended() is False
    assert house.health.probes_due() == []
    house.files.version += 1
    assert house.health.release_mended() is True
    assert house.health.probes_due() == [KEY]
    assert house.health.refusal(KEY, ERRAND) is None


def test_a_second_refusal_after_a_change_waits_for_the_next_change(house: House) -> None:
    house.health.hold(KEY, WRONG_PASSWORD, NO_LOGIN)
    house.files.version += 1
    house.health.release_mended()
    assert house.health.refusal(KEY, ERRAND) is None
    house.health.hold(KEY, WRONG_PASSWORD, NO_LOGIN)
    assert house.health.release_mended() is False
    assert house.health.refusal(KEY, ERRAND) is not None
    assert house.alarms.lines == ["held 535 wrong password"]


def test_a_hold_is_probed_rarely_by_itself(house: House) -> None:
    house.health.hold(KEY, WRONG_PASSWORD, NO_LOGIN)
    house.clock.pass_(3599)
    assert house.health.refusal(KEY, ERRAND) is not None
    house.clock.pass_(1)
    assert house.health.refusal(KEY, ERRAND) is None


def test_an_administrator_can_have_everything_probed_now(house: House) -> None:
    house.health.hold(KEY, WRONG_PASSWORD, NO_LOGIN)
    house.health.failed("other", REFUSED, ERRAND)
    house.health.release()
    assert sorted(house.health.probes_due()) == sorted([KEY, "other"])


def test_after_a_start_a_destination_that_mail_waits_for_is_probed(house: House) -> None:
    house.health.suspect(KEY)
    assert house.health.probes_due() == [KEY]
    assert house.health.refusal(KEY, ERRAND) is None
    house.health.opened(KEY)
    assert house.opened == [KEY]


# -- reluctance

LATER = Deferred("450 later", -44, Scope.RECIPIENT, "rcpt_450")


def made_reluctant(house: House, limit: int = 3) -> None:
    """Let messages be deferred until one may not go."""
    for number in range(limit):
        assert house.health.reluctance(KEY, f"deferred {number}") is None
        house.health.put_off(KEY, LATER, limit)
    assert house.health.reluctance(KEY, "another") is not None


def test_a_destination_that_defers_message_after_message_gets_ten_a_second(house: House) -> None:
    made_reluctant(house)
    refusal = house.health.reluctance(KEY, "another")
    assert refusal is not None
    assert (refusal.errno, refusal.destination, refusal.hopeless) == (-54, KEY, False)
    assert refusal.because == f"{KEY}: 450 later"
    went = 0
    for number in range(200):
        house.clock.pass_(1 / 64)
        if house.health.reluctance(KEY, f"new {number}") is None:
            went += 1
            house.health.put_off(KEY, LATER, 3)
    assert went == pytest.approx(200 / 64 * 10, rel=0.15)
    assert house.alarms.lines == ["reluctant 450 later"], "told once"


def test_the_pace_holds_also_where_nothing_is_heard_of_the_one_that_went(house: House) -> None:
    made_reluctant(house)
    house.clock.pass_(0.2)
    assert house.health.reluctance(KEY, "one") is None
    assert house.health.reluctance(KEY, "two") is not None


def test_what_is_served_in_between_begins_the_count_anew(house: House) -> None:
    for _ in range(10):
        house.health.put_off(KEY, LATER, 3)
        house.health.put_off(KEY, LATER, 3)
        house.health.served(KEY)
    assert house.health.reluctance(KEY, "another") is None
    assert not house.health.states()


def test_without_a_limit_nothing_is_reluctant(house: House) -> None:
    for _ in range(1000):
        house.health.put_off(KEY, LATER, 0)
    assert house.health.reluctance(KEY, "another") is None


def test_the_first_message_that_is_served_opens_for_all_that_wait(house: House) -> None:
    house.health.opened(KEY)
    made_reluctant(house)
    house.health.awaited([KEY])
    assert house.opened == [KEY], "not opened for what has just been put off"
    house.health.opened(KEY)
    assert house.opened == [KEY], "a session says nothing"
    house.health.served(KEY)
    assert house.opened == [KEY, KEY]
    assert house.alarms.lines == ["reluctant 450 later", "opened"]
    assert house.health.reluctance(KEY, "another") is None


def test_one_that_waits_is_sent_where_nothing_new_comes(house: House) -> None:
    made_reluctant(house)
    due = house.health.next_probe()
    assert due is not None
    assert house.health.probes_due() == []
    house.clock.pass_(due - house.clock.now())
    assert house.health.probes_due() == [KEY]
    house.health.probe(KEY, "waits")
    assert house.health.probes_due() == []
    house.clock.pass_(1)
    assert house.health.reluctance(KEY, "another") is not None
    assert house.health.reluctance(KEY, "waits") is None
    assert house.health.refusal(KEY, Errand("waits")) is None, "a connection may be opened for it"
    house.health.put_off(KEY, LATER, 3)
    assert house.health.probes_due() == []
    assert house.health.next_probe() == pytest.approx(house.clock.now() + 0.1)


def test_a_host_error_says_more_than_reluctance(house: House) -> None:
    made_reluctant(house)
    house.health.failed(KEY, REFUSED, ERRAND)
    assert house.health.reluctance(KEY, "another") is None
    refusal = house.health.refusal(KEY, ANOTHER)
    assert refusal is not None
    assert house.health.next_probe() == house.clock.now() + 900
    assert list(house.health.take_changes().values())[-1] is not None


def test_an_administrator_gives_a_reluctant_destination_a_new_chance(house: House) -> None:
    made_reluctant(house)
    house.health.release()
    made_reluctant(house)


def test_the_spool_hears_nothing_of_reluctance(house: House) -> None:
    made_reluctant(house)
    assert not house.health.take_changes()


def test_a_host_error_ends_a_row_of_deferrals(house: House) -> None:
    """What has gone and come back is not the host that had deferred message after message."""
    for stop in (house.health.failed, lambda *of: house.health.hold(of[0], WRONG_PASSWORD, NO_LOGIN)):
        house.health.put_off(KEY, LATER, 3)
        house.health.put_off(KEY, LATER, 3)
        stop(KEY, REFUSED, ERRAND)
        house.health.put_off(KEY, LATER, 3)
        assert house.health.reluctance(KEY, "another") is None
        house.health.served(KEY)
