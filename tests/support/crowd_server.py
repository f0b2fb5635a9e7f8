"""An upstream for a crowd: everything that it says and asks names the client whom it is for, so a stray word shows.

Behind a pipe (``scoped=False``: real frames, a real peer) or behind scoped HTTP (what belongs to a call comes on its
own scope). Its question ids and task ids are the same on every link, on purpose.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

from fuseboard.config import StdioServer
from fuseboard.era import CAPABILITIES_KEY, PREFIX, SUBSCRIPTION_KEY, Era
from fuseboard.errors import METHOD_NOT_FOUND, UNSUPPORTED_VERSION, UpstreamUnreachable
from fuseboard.peer import CANCELLED, Peer
from fuseboard.ports import Handler, Reply, Request, Result, Scope
from fuseboard.wire import frames
from support.fake_server import BOTH

Message: TypeAlias = dict[str, Any]
TASK: Final = "task-1"
TOPICS: Final = 3
"""How many resources there are to subscribe to, so that many clients share each."""

_CAPABILITIES: Final = {"tools": {}, "logging": {}, "resources": {"subscribe": True}, "completions": {}}
_INFO: Final = {"name": "crowd", "version": "1"}


def topic(number: int) -> str:
    return f"note://{number % TOPICS}"


class Refusal(Exception):
    """The answer is this error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class CrowdServer:
    """``alias``, ``facts``, ``scoped`` and ``connect`` are what a play needs of a server."""

    alias = "crowd"

    def __init__(self, *, eras: Collection[Era] = BOTH, scoped: bool = False, **facts: Any) -> None:
        self.eras = eras
        self.scoped = scoped
        self.facts = StdioServer.model_validate({"command": "crowd", "parallel": None, **facts})
        self.ends: list[End] = []
        self.cancelled: list[str] = []
        """The labels of the calls that were given up, each as often as that was heard."""
        self.begun: set[str] = set()
        self.refused: list[str] = []
        """The labels of the calls whose question nobody was asked."""
        self.wrong: list[str] = []
        """What should not have come to this server, or not from there."""

    async def connect(self, era: Era, inbound: Handler) -> PipeLink | HttpLink:
        return (HttpLink if self.scoped else PipeLink)(self, era, inbound)

    def update(self, uri: str) -> None:
        """Tell every subscriber of a resource, on each link in its own way."""
        for end in self.ends:
            end.update(uri)


class Out:
    """The way back of one request: told as JSON values."""

    def notify(self, method: str, params: Message) -> None:
        raise NotImplementedError

    async def ask(self, method: str, params: Message) -> Message:
        raise NotImplementedError


class End:
    """The server's end of one link, with all that hangs on a session of the handshake era."""

    def __init__(self, server: CrowdServer, era: Era, tell: Callable[[str, Message], None]) -> None:
        self.server = server
        self.era = era
        self.who: str | None = None
        self.level: str | None = None
        self.topics: set[str] = set()
        self.listens: dict[str, tuple[list[str], Callable[[str, Message], None]]] = {}
        self.task: str | None = None
        self._tell = tell
        server.ends.append(self)

    def update(self, uri: str) -> None:
        if uri in self.topics:
            self._tell("notifications/resources/updated", {"uri": uri})
        for id, (uris, tell) in list(self.listens.items()):
            if uri in uris:
                meta = {SUBSCRIPTION_KEY: json.loads(id)}
                tell("notifications/resources/updated", {"uri": uri, "_meta": meta})

    async def answer(self, id: str, method: str, params: Message, out: Out) -> Message:
        modern = PREFIX + "protocolVersion" in params.get("_meta", {})
        era = Era.STATELESS if modern or method == "server/discover" else Era.HANDSHAKE
        if era not in self.server.eras:
            raise Refusal(UNSUPPORTED_VERSION if method == "initialize" else METHOD_NOT_FOUND, "not in this era")
        try:
            result = await self._result(id, method, params, out)
        except asyncio.CancelledError:
            if method == "tools/call":
                self.server.cancelled.append(params["arguments"]["label"])
            raise
        return {"resultType": "complete", **result} if era is Era.STATELESS else result

    async def _result(self, id: str, method: str, params: Message, out: Out) -> Message:
        match method:
            case "initialize":
                self.who = _who(params.get("capabilities") or {})
                return {
                    "protocolVersion": params["protocolVersion"],
                    "serverInfo": _INFO,
                    "capabilities": _CAPABILITIES,
                }
            case "server/discover":
                about = {"supportedVersions": ["2026-07-28"], "capabilities": _CAPABILITIES, "ttlMs": 0}
                return {**about, "cacheScope": "private", "_meta": {PREFIX + "serverInfo": _INFO}}
            case "tools/list":
                tools = [{"name": "work", "inputSchema": {"type": "object"}}]
                return {"tools": tools, "ttlMs": 0, "cacheScope": "public"}
            case "logging/setLevel":
                self.level = params["level"]
            case "resources/subscribe":
                self.topics.add(params["uri"])
            case "resources/unsubscribe":
                self.topics.discard(params["uri"])
            case "subscriptions/listen":
                await self._listen(id, params, out)
            case "tools/call":
                return await self._work(params, out)
            case "tasks/result" if params["taskId"] == TASK:
                return {"content": [{"type": "text", "text": self.task or "nobody's"}]}
            case _:
                raise Refusal(METHOD_NOT_FOUND, f"Method not found: {method}")
        return {}

    async def _listen(self, id: str, params: Message, out: Out) -> None:
        wanted = params["notifications"]
        meta = {SUBSCRIPTION_KEY: json.loads(id)}
        self.listens[id] = (wanted.get("resourceSubscriptions", []), out.notify)
        out.notify("notifications/subscriptions/acknowledged", {"_meta": meta, "notifications": wanted})
        try:
            await asyncio.Event().wait()
        finally:
            del self.listens[id]

    async def _work(self, params: Message, out: Out) -> Message:
        """``label`` is ``who/number``. What else the arguments hold says what to do on the way."""
        arguments, meta = params["arguments"], params.get("_meta", {})
        label: str = arguments["label"]
        who = self.who or _who(meta.get(CAPABILITIES_KEY) or {})
        if who is not None and who != label.split("/")[0]:
            self.server.wrong.append(f"{label} with the capabilities of {who}")
        self.server.begun.add(label)
        level = meta.get(PREFIX + "logLevel") or self.level
        first = "inputResponses" not in params  # a retry is the same call, whose progress must not fall
        for step in range(arguments.get("steps", 0) if first else 0):
            if "progressToken" in meta:
                progress = {"progressToken": meta["progressToken"], "progress": step, "message": label}
                out.notify("notifications/progress", progress)
            if level is not None:
                out.notify("notifications/message", {"level": level, "data": label})
            await asyncio.sleep(arguments.get("pause", 0))
        if arguments.get("hang"):
            await asyncio.Event().wait()
        if "task" in params:
            self.task = label
            return {"task": {"taskId": TASK, "status": "working", "createdAt": "2026-01-01T00:00:00Z", "ttl": None}}
        if (question := arguments.get("question")) is not None:
            asked = await self._asks(question, label, meta, params, out)
            if asked is not None:
                return asked
        return {"content": [{"type": "text", "text": label}]}

    async def _asks(self, method: str, label: str, meta: Message, params: Message, out: Out) -> Message | None:
        """Ask in the way of the era. ``None``: answered, and by the right one."""
        question = question_of(method, label)
        if PREFIX + "protocolVersion" not in meta:
            answer = await out.ask(method, question)
        elif "inputResponses" not in params:
            requests = {"q": {"method": method, "params": question}}
            return {"resultType": "input_required", "inputRequests": requests, "requestState": f"state of {label}"}
        else:
            answer = params["inputResponses"]["q"]
            if params.get("requestState") != f"state of {label}":
                self.server.wrong.append(f"{label} came back with {params.get('requestState')}")
        if answer.get("code") == METHOD_NOT_FOUND:
            self.server.refused.append(label)
        elif label not in json.dumps(answer):
            self.server.wrong.append(f"{label} got the answer {answer}")
        return None


def question_of(method: str, label: str) -> Message:
    if method == "elicitation/create":
        schema = {"type": "object", "properties": {"label": {"type": "string"}}}
        return {"mode": "form", "message": label, "requestedSchema": schema}
    return {"messages": [{"role": "user", "content": {"type": "text", "text": label}}], "maxTokens": 10}


def _who(capabilities: Mapping[str, Any]) -> str | None:
    who: str | None = (capabilities.get("experimental") or {}).get("crowd", {}).get("who")
    return who


class PipeLink:
    """Frames both ways, each on the next turn of the loop; one peer of ours and one end of the server's."""

    def __init__(self, server: CrowdServer, era: Era, inbound: Handler) -> None:
        self.open = True
        self._peer = Peer(self._out, inbound, name=server.alias)
        self._end = End(server, era, self._tell)
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, asyncio.Future[Message]] = {}
        self._asking = 0

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] | None = None,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        return await self._peer.request(method, params, on_id)

    async def notify(self, method: str, params: bytes | None) -> None:
        self._peer.notify(method, params)

    async def close(self) -> None:
        self.open = False
        self._peer.lost("closed")
        for task in self._serving.values():
            task.cancel("closed")
        await asyncio.gather(*self._serving.values(), return_exceptions=True)

    def _out(self, frame: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._take, json.loads(frame))

    def _say(self, message: Message) -> None:
        frame = json.dumps({"jsonrpc": "2.0", **message}).encode()
        asyncio.get_running_loop().call_soon(self._peer.receive, frame)

    def _tell(self, method: str, params: Message) -> None:
        self._say({"method": method, "params": params})

    async def _ask(self, method: str, params: Message) -> Message:
        self._asking += 1
        id = str(self._asking)
        answer = self._asked[id] = asyncio.get_running_loop().create_future()
        self._say({"id": self._asking, "method": method, "params": params})
        return await answer

    def _take(self, message: Message) -> None:
        id = json.dumps(message.get("id"))
        if "method" not in message:
            self._asked.pop(id).set_result(message.get("result") or message["error"])
        elif "id" in message:
            task = self._serving[id] = asyncio.create_task(self._serve(id, message))
            task.add_done_callback(lambda done: self._serving.pop(id, None))
        elif message["method"] == CANCELLED:  # noqa: SIM102
            if (serving := self._serving.get(json.dumps(message["params"]["requestId"]))) is not None:
                serving.cancel()

    async def _serve(self, id: str, message: Message) -> None:
        try:
            result = await self._end.answer(id, message["method"], message.get("params") or {}, _PipeOut(self))
            self._say({"id": message["id"], "result": result})
        except Refusal as refusal:
            self._say({"id": message["id"], "error": {"code": refusal.code, "message": str(refusal)}})
        except asyncio.CancelledError:
            return


class _PipeOut(Out):
    def __init__(self, link: PipeLink) -> None:
        self._link = link

    def notify(self, method: str, params: Message) -> None:
        self._link._tell(method, params)

    async def ask(self, method: str, params: Message) -> Message:
        return await self._link._ask(method, params)


class HttpLink:
    """Each request has a stream of its own, ``scope``; besides, there is the session's standing stream."""

    def __init__(self, server: CrowdServer, era: Era, inbound: Handler) -> None:
        self.open = True
        self._inbound = inbound
        self._end = End(server, era, self._tell)
        self._last_id = 0

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] | None = None,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        if not self.open:
            raise UpstreamUnreachable("crowd", "closed")
        self._last_id += 1
        try:
            answer = await self._end.answer(str(self._last_id), method, json.loads(params or b"{}"), _ScopeOut(scope))
        except Refusal as refusal:
            return frames.failure(refusal.code, str(refusal))
        return Result(json.dumps(answer).encode())

    async def notify(self, method: str, params: bytes | None) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.open = False

    def _tell(self, method: str, params: Message) -> None:
        self._inbound.notified(method, json.dumps(params).encode())


class _ScopeOut(Out):
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def notify(self, method: str, params: Message) -> None:
        self._scope.stream()
        self._scope.notify(method, json.dumps(params).encode())

    async def ask(self, method: str, params: Message) -> Message:
        self._scope.stream()
        reply = await self._scope.request(method, json.dumps(params).encode())
        answer: Message = json.loads(reply.raw)
        return answer


def decoded(frame: bytes) -> Request:
    request = frames.decode(frame)
    assert isinstance(request, Request)
    return request
