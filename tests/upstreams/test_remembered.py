"""What a link upstream is told again."""

from __future__ import annotations

import json

from fuseboard.upstreams.remembered import SET_LEVEL, SUBSCRIBE, SUBSCRIPTIONS, UNSUBSCRIBE, Remembered


def uri(name: str) -> bytes:
    return json.dumps({"uri": name, "_meta": {"x": 1.10}}).encode()


def test_the_last_level_and_each_subscription_in_the_clients_own_words() -> None:
    kept = Remembered()
    kept.take(SET_LEVEL, b'{"level":"info"}')
    kept.take(SUBSCRIBE, uri("a"))
    kept.take(SUBSCRIBE, uri("b"))
    kept.take(SUBSCRIBE, uri("a"))
    kept.take(SET_LEVEL, b'{"level":"error"}')
    assert list(kept.requests()) == [(SET_LEVEL, b'{"level":"error"}'), (SUBSCRIBE, uri("b")), (SUBSCRIBE, uri("a"))]


def test_who_unsubscribed_waits_for_nothing() -> None:
    kept = Remembered()
    kept.take(SET_LEVEL, b'{"level":"info"}')
    assert not kept.waits
    kept.take(SUBSCRIBE, uri("a"))
    assert kept.waits
    kept.take(UNSUBSCRIBE, b'{"uri":"a"}')
    assert not kept.waits


def test_what_names_no_uri_is_not_kept() -> None:
    kept = Remembered()
    for params in (None, b"{}", b'{"uri":7}', b"[", b'{"uri":"\xff"}'):
        kept.take(SUBSCRIBE, params)
    assert list(kept.requests()) == []


def test_a_client_cannot_make_us_remember_without_end() -> None:
    kept = Remembered()
    for number in range(SUBSCRIPTIONS + 5):
        kept.take(SUBSCRIBE, uri(str(number)))
    assert next(params for _, params in kept.requests()) == uri("5")
    assert len(list(kept.requests())) == SUBSCRIPTIONS
