"""Clients of a crowd: ids, tokens and names are the same for all of them, and each minds what is not its own.

A client of the handshake era speaks frames to a real peer, as over a pipe or HTTP+SSE. One of the stateless era has a
way back for each request, as over HTTP.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any, Final

from fuseboard.era import CAPABILITIES_KEY, CLIENT_INFO_KEY, PREFIX, SUBSCRIPTION_KEY, VERSION_KEY
from fuseboard.gateway import Board
from fuseboard.peer import CANCELLED, Peer
from fuseboard.ports import Origin, Reply, Request, Scope, Session
from fuseboard.wire import frames
from support.crowd_server import TASK, decoded, topic

LEVELS: Final = ("debug", "info", "notice", "warning", "error")
INFO: Final = {"name": "agent", "version": "1"}
QUESTIONS: Final = ("elicitation/create", "sampling/createMessage")


class Member:
    """What clients of both eras share: a script, and judgement over everything that comes."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.who = f"client{number}"
        self.level = LEVELS[number % len(LEVELS)]
        self.topic = topic(number)
        self.wrong: list[str] = []
        """What came and is not this client's, or did not come and should have."""
        self.progress: Counter[str] = Counter()
        self.logs: Counter[str] = Counter()
        self.gave_up: list[str] = []
        self.steps: Counter[str] = Counter()
        """How many steps were ordered, by label."""
        self.updates = 0
        self.asked: Counter[str] = Counter()
        self._rng = rng
        self._count = 0
        self._tokens: dict[str, str] = {}
        """The label of the call by its token (raw JSON)."""
        self._news = asyncio.Event()

    @property
    def capabilities(self) -> dict[str, Any]:
        own = {"crowd": {"who": self.who}}
        return {"elicitation": {"form": {}}, "sampling": {}, "roots": {"listChanged": True}, "experimental": own}

    async def play(self, rounds: int) -> None:
        """Several calls at once, again and again; some are given up."""
        for _ in range(rounds):
            await asyncio.gather(*(self._one() for _ in range(self._rng.randint(1, 3))))

    async def _one(self) -> None:
        self._count += 1
        number = self._count
        label = f"{self.who}/{number}"
        arguments: dict[str, Any] = {"label": label, "steps": self._rng.randint(1, 4), "pause": self._rng.random()}
        self.steps[label] = arguments["steps"]
        token: int | str = self._rng.choice([number, f"t{number}"])
        self._tokens[json.dumps(token)] = label
        if self._rng.random() < 0.3:
            self.gave_up.append(label)
            await self._give_up(number, label, {**arguments, "hang": True}, token)
            return
        if self._rng.random() < 0.5:
            arguments["question"] = self._rng.choice(QUESTIONS)
        result = await self._call(number, arguments, token)
        text = (result.get("content") or [{}])[0].get("text")
        if text != label:
            self.wrong.append(f"{label} was answered {result}")

    async def heard_of(self, label: str) -> None:
        while not self.progress[label]:
            self._news.clear()
            await self._news.wait()

    def take_note(self, method: str, params: dict[str, Any], of: str | None = None) -> None:
        """Judge one notification. ``of`` is the label of the call on whose stream it came."""
        match method:
            case "notifications/progress":
                label = self._tokens.get(json.dumps(params["progressToken"]))
                if label != params["message"] or of not in (None, label):
                    self.wrong.append(f"progress of {params} on the token of {label}, stream of {of}")
                elif params["progress"] != self.progress[label]:
                    self.wrong.append(f"progress of {label} out of order: {params}")
                self.progress[params["message"]] += 1
                self._news.set()
            case "notifications/message":
                if not params["data"].startswith(f"{self.who}/") or params["level"] != self.level:
                    self.wrong.append(f"{self.who} at {self.level} heard {params}")
                if of not in (None, params["data"]):
                    self.wrong.append(f"a log line of {params['data']} on the stream of {of}")
                self.logs[params["data"]] += 1
            case "notifications/resources/updated":
                if params["uri"] != self.topic:
                    self.wrong.append(f"{self.who} subscribed to {self.topic} and heard {params}")
                self.updates += 1
            case _:
                self.wrong.append(f"{self.who} heard {method} {params}")

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer a question, which names whom it is for."""
        label = params["message"] if method == "elicitation/create" else params["messages"][0]["content"]["text"]
        if not label.startswith(f"{self.who}/"):
            self.wrong.append(f"{self.who} was asked for {label}")
        self.asked[label] += 1
        if method == "elicitation/create":
            return {"action": "accept", "content": {"label": label}}
        return {"role": "assistant", "model": "m", "content": {"type": "text", "text": label}}

    async def _call(self, number: int, arguments: dict[str, Any], token: int | str) -> dict[str, Any]:
        raise NotImplementedError

    async def _give_up(self, number: int, label: str, arguments: dict[str, Any], token: int | str) -> None:
        raise NotImplementedError


class HandshakeMember(Member):
    """Frames over a pipe of its own."""

    def __init__(self, board: Board, number: int, rng: random.Random, *, principal: str) -> None:
        super().__init__(number, rng)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._peer = Peer(self._take, self, name="the client")
        # Three clients claim each session name.
        self._session: Session = board.connect(Origin(principal, "sse", session=f"s{number // 3}"), self._peer)

    async def request(self, request: Request, scope: Scope) -> Reply:
        return await self._session.request(request, scope)

    def notified(self, method: str, params: bytes | None) -> None:
        self._session.notified(method, params)

    async def open(self) -> None:
        hello = {"protocolVersion": "2025-11-25", "capabilities": self.capabilities, "clientInfo": INFO}
        await self._ask("open", "initialize", hello)
        self._send({"method": "notifications/initialized"})
        for method, params in (
            ("logging/setLevel", {"level": self.level}),
            ("resources/subscribe", {"uri": self.topic}),
        ):
            if "error" in (answer := await self._ask("prepare", method, params)):
                self.wrong.append(f"{self.who}: {method} was answered {answer}")

    async def close(self) -> None:
        self._peer.lost("the client closed the connection")
        await self._session.close()

    async def task(self) -> str:
        """Start a task and fetch its result. Every client's task has the same id."""
        arguments = {"label": f"{self.who}/task"}
        begun = await self._ask("task", "tools/call", {"name": "work", "arguments": arguments, "task": {}})
        assert begun["result"]["task"]["taskId"] == TASK, begun
        done = await self._ask("task", "tasks/result", {"taskId": TASK})
        return str(done["result"]["content"][0]["text"])

    def _send(self, message: dict[str, Any]) -> None:
        self._peer.receive(json.dumps({"jsonrpc": "2.0", **message}).encode())

    async def _ask(self, id: int | str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = self._answers[json.dumps(id)] = asyncio.get_running_loop().create_future()
        self._send({"id": id, "method": method, "params": params})
        return await answer

    async def _call(self, number: int, arguments: dict[str, Any], token: int | str) -> dict[str, Any]:
        params = {"name": "work", "arguments": arguments, "_meta": {"progressToken": token}}
        answer = await self._ask(number, "tools/call", params)
        result: dict[str, Any] = answer.get("result") or answer
        return result

    async def _give_up(self, number: int, label: str, arguments: dict[str, Any], token: int | str) -> None:
        params = {"name": "work", "arguments": arguments, "_meta": {"progressToken": token}}
        self._send({"id": number, "method": "tools/call", "params": params})
        await self.heard_of(label)
        self._send({"method": CANCELLED, "params": {"requestId": number}})

    def _take(self, frame: bytes) -> None:
        message = json.loads(frame)
        if "method" not in message:
            answer = self._answers.pop(json.dumps(message["id"]), None)
            if answer is None:
                self.wrong.append(f"{self.who} got an answer to nothing: {message}")
            else:
                answer.set_result(message)
        elif "id" in message:
            answered = {"id": message["id"], "result": self.answer(message["method"], message["params"])}
            asyncio.get_running_loop().call_soon(self._send, answered)
        else:
            self.take_note(message["method"], message.get("params") or {})


class _Back:
    """The response stream of one stateless request."""

    def __init__(self, member: StatelessMember, id: int | str, label: str | None) -> None:
        self.request_id: bytes | None = json.dumps(id).encode()
        self._member = member
        self._label = label

    def notify(self, method: str, params: bytes | None) -> None:
        self._member.heard(self, method, json.loads(params or b"{}"), self._label)

    def stream(self) -> None:
        return None

    def release(self) -> None:
        return None

    async def request(self, method: str, params: bytes | None) -> Reply:
        self._member.wrong.append(f"{self._member.who} was sent the request {method}")
        return frames.failure(-32601, "no requests in this era")


class StatelessMember(Member):
    """One request, one stream; cancelled by leaving."""

    def __init__(self, board: Board, number: int, rng: random.Random, *, principal: str) -> None:
        super().__init__(number, rng)
        self._board = board
        self._origin = Origin(principal, "http")
        self._listen_id = f"sub-{number % 2}"
        self._listening: asyncio.Task[Any] | None = None
        self._acknowledged = asyncio.Event()

    async def open(self) -> None:
        wanted = {"notifications": {"resourceSubscriptions": [self.topic]}}
        self._listening = asyncio.create_task(self._ask(self._listen_id, "subscriptions/listen", wanted, None))
        done, _ = await asyncio.wait(
            [self._listening, asyncio.create_task(self._acknowledged.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        if self._listening in done:
            self.wrong.append(f"{self.who} could not listen: {self._listening.result()}")

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def heard(self, back: _Back, method: str, params: dict[str, Any], of: str | None) -> None:
        if of is None:
            id = (params.get("_meta") or {}).get(SUBSCRIPTION_KEY)
            if id != self._listen_id:
                self.wrong.append(f"{self.who} listens as {self._listen_id} and heard {method} {params}")
            if method == "notifications/subscriptions/acknowledged":
                self._acknowledged.set()
                return
        self.take_note(method, params, of)

    async def _ask(self, id: int | str, method: str, params: dict[str, Any], label: str | None) -> dict[str, Any]:
        own = {VERSION_KEY: "2026-07-28", CLIENT_INFO_KEY: INFO, CAPABILITIES_KEY: self.capabilities}
        meta = {**own, PREFIX + "logLevel": self.level, **params.get("_meta", {})}
        raw = json.dumps({**params, "_meta": meta}).encode()
        request = decoded(frames.request(json.dumps(id).encode(), method, raw))
        reply = await self._board.stateless(self._origin).request(request, _Back(self, id, label))
        answer: dict[str, Any] = json.loads(reply.raw)
        return answer

    async def _call(self, number: int, arguments: dict[str, Any], token: int | str) -> dict[str, Any]:
        params: dict[str, Any] = {"name": "work", "arguments": arguments, "_meta": {"progressToken": token}}
        label = arguments["label"]
        while True:
            result = await self._ask(number, "tools/call", params, label)
            if result.get("resultType") != "input_required":
                return result
            requests = result["inputRequests"]
            answers = {key: self.answer(one["method"], one["params"]) for key, one in requests.items()}
            params = {**params, "inputResponses": answers, "requestState": result.get("requestState")}

    async def _give_up(self, number: int, label: str, arguments: dict[str, Any], token: int | str) -> None:
        call = asyncio.create_task(self._call(number, arguments, token))
        await self.heard_of(label)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
