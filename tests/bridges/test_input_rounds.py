"""A stateless server's questions, put to a handshake client."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from fuseboard.bridges.input_rounds import QUESTIONS, ROUNDS, InputRounds, Unanswerable
from fuseboard.bridges.losses import Losses
from fuseboard.errors import INTERNAL_ERROR, UPSTREAM_JUNK
from fuseboard.ports import Failure, Reply, Result
from support.links import CallScope
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}
SENT = b'{"name":"work","arguments":{"n":1.10},"_meta":{"progressToken":7}}'
FORM = {"method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": {"type": "object"}}}
URL = {"method": "elicitation/create", "params": {"mode": "url", "message": "Go", "url": "https://example.com"}}
SAMPLE = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}
ROOTS = {"method": "roots/list"}


def rounds(
    scope: CallScope, capabilities: Any = EVERYTHING, *, method: str = "tools/call", losses: Losses | None = None
) -> InputRounds:
    return InputRounds(method, SENT, scope, alias="u", capabilities=capabilities, losses=losses or Losses())


def required(*, state: Any = ..., **requests: Any) -> Result:
    said: dict[str, Any] = {"resultType": "input_required"}
    if requests:
        said["inputRequests"] = requests
    if state is not ...:
        said["requestState"] = state
    return Result(json.dumps(said).encode())


class Client(CallScope):
    """Answers each question by its method; one without an answer waits for ever."""

    def __init__(self, **answers: Reply) -> None:
        super().__init__(None)
        self._answers = {name.replace("_", "/"): reply for name, reply in answers.items()}

    async def request(self, method: str, params: bytes | None) -> Reply:
        self.asked.append((method, json.loads(params) if params else None))
        if (reply := self._answers.get(method)) is not None:
            return reply
        self.asked.pop()
        return await super().request(method, params)


async def test_all_questions_are_put_at_once_in_order_and_go_back_under_their_keys() -> None:
    accepted, four, roots = (
        Result(b'{"action":"accept"}'),
        Result(b'{ "model":"m","x-v":1.10 }'),
        Result(b'{"roots":[]}'),
    )
    client = Client(elicitation_create=accepted, sampling_createMessage=four, roots_list=roots)
    sent = await rounds(client).next(required(z=FORM, a=SAMPLE, m=ROOTS))
    assert client.asked == [
        ("elicitation/create", FORM["params"]),
        ("sampling/createMessage", SAMPLE["params"]),
        ("roots/list", None),
    ]
    assert sent == b'%b,"inputResponses":{"z":%b,"a":%b,"m":%b}}' % (SENT[:-1], accepted.raw, four.raw, roots.raw)


async def test_the_state_goes_back_byte_for_byte_and_only_where_there_is_one() -> None:
    asks = rounds(CallScope())
    raw = b'{"resultType":"input_required","inputRequests":{},"requestState":"\\u00e9\\/+ "}'
    assert await asks.next(Result(raw)) == SENT[:-1] + b',"requestState":"\\u00e9\\/+ "}'
    answered = json.loads(await asks.next(required(q=FORM)))
    assert "requestState" not in answered
    assert answered["inputResponses"]["q"]["action"] == "accept"


async def test_what_a_client_invented_itself_is_no_state_of_the_server() -> None:
    invented = b'{"name":"work","requestState":"mine","inputResponses":{}}'
    asks = InputRounds("tools/call", invented, CallScope(), alias="u", capabilities=EVERYTHING, losses=Losses())
    assert set(json.loads(await asks.next(required(q=FORM)))) == {"name", "inputResponses"}
    assert set(json.loads(await asks.next(required(state="s")))) == {"name", "requestState"}


async def test_a_state_that_is_null_is_none() -> None:
    sent = await rounds(CallScope()).next(required(q=FORM, state=None))
    assert "requestState" not in json.loads(sent)


async def test_an_answer_belongs_to_its_own_round() -> None:
    asks = rounds(CallScope())
    await asks.next(required(q=FORM, state="1"))
    assert set(json.loads(await asks.next(required(state="2")))) == {"name", "arguments", "_meta", "requestState"}


async def test_decline_and_cancel_are_answers_like_any_other() -> None:
    client = CallScope(Result(b'{"action":"decline"}'))
    assert json.loads(await rounds(client).next(required(q=FORM)))["inputResponses"] == {"q": {"action": "decline"}}


async def test_a_server_that_only_wants_to_be_asked_again_is_after_a_growing_pause() -> None:
    asks = rounds(CallScope(None))
    began = anyio.current_time()
    await asks.next(required(state="later"))
    first_s = anyio.current_time() - began
    await asks.next(required(state="later"))
    assert 0 < first_s < anyio.current_time() - began - first_s


async def test_a_server_that_never_has_enough_is_given_up() -> None:
    asks = rounds(CallScope())
    for _ in range(ROUNDS):
        await asks.next(required(q=FORM))
    with pytest.raises(Unanswerable, match=f"after {ROUNDS} rounds"):
        await asks.next(required(q=FORM))


async def test_a_question_of_a_url_gets_the_id_that_the_older_era_requires() -> None:
    client = CallScope()
    await rounds(client).next(required(a=URL, b=URL))
    first, second = (params for _, params in client.asked)
    assert {**first, "elicitationId": None} == {**URL["params"], "elicitationId": None}
    assert first["elicitationId"] != second["elicitationId"]


@pytest.mark.parametrize(
    ("question", "capabilities", "lacking"),
    [
        (FORM, {}, "elicitation.form"),
        (FORM, {"elicitation": {"url": {}}}, "elicitation.form"),
        (URL, {"elicitation": {"form": {}}}, "elicitation.url"),
        (SAMPLE, {}, "sampling"),
        ({**SAMPLE, "params": {"tools": []}}, {"sampling": {}}, "sampling.tools"),
        (ROOTS, {}, "roots"),
        ({"method": "acme/ask"}, EVERYTHING, "nothing else"),
    ],
)
async def test_what_the_client_did_not_declare_it_is_not_asked(question: Any, capabilities: Any, lacking: str) -> None:
    client, losses = CallScope(), Losses()
    with pytest.raises(Unanswerable, match=lacking) as refused:
        await rounds(client, capabilities, losses=losses).next(required(a=question))
    assert json.loads(refused.value.failure.raw)["code"] == INTERNAL_ERROR
    assert client.asked == []
    assert losses.counts == {f"{question['method']} that the client cannot answer": 1}


async def test_an_error_for_one_question_fails_the_call_and_withdraws_the_others() -> None:
    client = Client(sampling_createMessage=Failure(b'{"code":-1,"message":"User rejected sampling request"}'))
    with pytest.raises(Unanswerable) as refused:
        await rounds(client).next(required(a=FORM, b=SAMPLE))
    error = json.loads(refused.value.failure.raw)
    assert error["code"] == -1
    assert "u asked for sampling/createMessage" in error["message"]
    assert error["message"].endswith("User rejected sampling request")
    assert client.asks_cancelled == 1


async def test_giving_up_the_call_withdraws_its_questions() -> None:
    client = CallScope(None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rounds(client).next, required(a=FORM, b=ROOTS))
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert client.asks_cancelled == 2


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resultType":"input_required"}',
        b'{"resultType":"input_required","inputRequests":{}}',
        b'{"resultType":"input_required","inputRequests":null,"requestState":null}',
        b'{"resultType":"input_required","inputRequests":[]}',
        b'{"resultType":"input_required","inputRequests":{"a":7}}',
        b'{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list","params":[]}}}',
    ],
)
async def test_questions_that_make_no_sense_are_the_server_s_fault(raw: bytes) -> None:
    with pytest.raises(Unanswerable, match="u asks for") as refused:
        await rounds(CallScope()).next(Result(raw))
    assert json.loads(refused.value.failure.raw)["code"] == UPSTREAM_JUNK


async def test_an_answer_that_is_no_object_fails_the_call() -> None:
    with pytest.raises(Unanswerable, match="no object"):
        await rounds(CallScope(Result(b"[]"))).next(required(a=FORM))


async def test_a_client_is_not_flooded_with_questions() -> None:
    client, losses = CallScope(), Losses()
    questions = {f"q{number}": ROOTS for number in range(QUESTIONS + 1)}
    with pytest.raises(Unanswerable, match=f"at most {QUESTIONS}"):
        await rounds(client, losses=losses).next(required(**questions))
    assert client.asked == []
    assert losses.counts == {"questions: too many at once": 1}


async def test_other_requests_may_not_ask() -> None:
    with pytest.raises(Unanswerable, match="does not allow"):
        await rounds(CallScope(), method="tools/list").next(required(a=FORM))
