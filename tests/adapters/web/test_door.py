from __future__ import annotations

from fuseboard.adapters.web.door import SESSION_S, SESSIONS, Door


class Time:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def opened() -> tuple[Door, list[str], Time]:
    told: list[str] = []
    now = Time()
    door = Door(told.append, now)
    door.open()
    return door, told, now


def id_of(cookie: str | None) -> str:
    assert cookie is not None
    return cookie.partition(";")[0]


def test_a_token_opens_once_and_the_next_is_told_to_the_operator_alone() -> None:
    door, told, _ = opened()
    assert door.visitor(id_of(door.enter(told[0]))) is not None
    assert door.enter(told[0]) is None
    assert len(told) == 2
    assert door.enter(told[1]) is not None


def test_guesses_open_nothing_and_cost_no_token() -> None:
    door, told, _ = opened()
    for guess in ("", "x", told[0][:-1], told[0] + "=", "\udcff"):
        assert door.enter(guess) is None
    assert len(told) == 1
    assert Door(told.append, Time()).enter("") is None


def test_the_cookie_is_for_these_pages_and_no_script() -> None:
    door, told, _ = opened()
    cookie = door.enter(told[0]) or ""
    for part in ("HttpOnly", "SameSite=Strict", "Path=/approvals"):
        assert part in cookie
    assert told[0] not in cookie


def test_who_has_no_good_cookie_is_nobody() -> None:
    door, told, now = opened()
    cookie = id_of(door.enter(told[0]))
    for other in (None, "", "a=b", cookie + "x", "fuseboard_operator=", "\x00=;;"):
        assert door.visitor(other) is None
    assert door.visitor(f"other=1; {cookie}") is not None
    now.at = SESSION_S
    assert door.visitor(cookie) is None


def test_sessions_do_not_pile_up() -> None:
    door, told, _ = opened()
    cookies = [id_of(door.enter(told[-1])) for _ in range(SESSIONS + 1)]
    assert door.visitor(cookies[0]) is None
    assert all(door.visitor(cookie) for cookie in cookies[1:])


def test_a_mark_is_of_one_visitor_and_one_question() -> None:
    door, told, _ = opened()
    ana, bob = (door.visitor(id_of(door.enter(told[-1]))) for _ in range(2))
    assert ana is not None
    assert bob is not None
    mark = ana.mark("a-1.1")
    assert ana.marked("a-1.1", mark)
    assert not ana.marked("a-1.2", mark)
    assert not bob.marked("a-1.1", mark)
    assert not ana.marked("a-1.1", "é")
