"""AgentDojo's suites without its models: environments, tools, tasks and their reference calls, as JSON.

Runs in AgentDojo's own environment (``place.py``); the rest of this folder only ever sees what comes out of it.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Call: TypeAlias = dict[str, Any]
"""``{"name": …, "arguments": {…}}``"""


def load(benchmark: str, name: str) -> Any:
    """One task suite. AgentDojo imports its model clients on the way, so those packages are stood in for first."""
    spec = importlib.util.find_spec("agentdojo")
    assert spec is not None
    assert spec.submodule_search_locations
    root = Path(next(iter(spec.submodule_search_locations)))
    for package in ("agent_pipeline", "agent_pipeline/llms"):
        bare = types.ModuleType(f"agentdojo.{package.replace('/', '.')}")
        bare.__path__ = [str(root / package)]
        sys.modules[bare.__name__] = bare
    google = types.ModuleType("agentdojo.agent_pipeline.llms.google_llm")
    google.EMPTY_FUNCTION_NAME = "<empty-function>"  # type: ignore[attr-defined]
    sys.modules[google.__name__] = google
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from agentdojo.task_suite.load_suites import get_suite

        return get_suite(benchmark, name)


class Stage:
    """One suite with the environment of one task. ``executed`` holds the calls that really came."""

    def __init__(self, suite: Any) -> None:
        from agentdojo.functions_runtime import FunctionsRuntime

        self.suite = suite
        self.executed: list[Call] = []
        self.runtime = FunctionsRuntime(suite.tools)
        self.environment: Any = None
        self.before: Any = None

    def about(self) -> dict[str, Any]:
        """The tasks, and the places in the environment where an attacker may write."""
        return {
            "users": {id: task.PROMPT for id, task in self.suite.user_tasks.items()},
            "goals": {id: task.GOAL for id, task in self.suite.injection_tasks.items()},
            "vectors": self.suite.get_injection_vector_defaults(),
            "tools": [function.name for function in self.suite.tools],
        }

    def open(self, user: str, planted: Mapping[str, str]) -> dict[str, Any]:
        """A fresh environment for a user's task; gives its reference calls."""
        task = self.suite.user_tasks[user]
        escaped = {vector: _quoted(text) for vector, text in planted.items()}
        self.environment = task.init_environment(self.suite.load_and_inject_default_environment(escaped))
        self.before = self.environment.model_copy(deep=True)
        self.executed = []
        return {"prompt": task.PROMPT, "calls": _calls(task.ground_truth(self.before.model_copy(deep=True)))}

    def goal(self, id: str) -> dict[str, Any]:
        """What an agent that obeys the plant calls, in the environment as it is now. What came so far is forgotten.

        ``needs`` are the places of calls that work on what an earlier one of them made.
        """
        self.executed = []
        reference = self.suite.injection_tasks[id].ground_truth(self.environment.model_copy(deep=True))
        return {"calls": _calls(reference), "needs": [at for at, call in enumerate(reference) if _needs(call)]}

    def achieved(self, user: str | None = None, goal: str | None = None) -> bool:
        """AgentDojo's own judgement of what was done so far, by the environment or by the calls as the task has it."""
        from agentdojo.functions_runtime import FunctionCall

        done = [FunctionCall(function=call["name"], args=call["arguments"]) for call in self.executed]
        task = self.suite.user_tasks[user] if user is not None else self.suite.injection_tasks[goal]
        kind = "utility" if user is not None else "security"
        evidence = (task.GROUND_TRUTH_OUTPUT, self.before, self.environment)
        traced = getattr(task, f"{kind}_from_traces")(*evidence, done)
        return bool(getattr(task, kind)(*evidence) if traced is None else traced)

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """The text of a tool's result, and whether it is an error."""
        from agentdojo.agent_pipeline.tool_execution import tool_result_to_str

        self.executed.append({"name": name, "arguments": dict(arguments)})
        result, error = self.runtime.run_function(self.environment, name, arguments)
        return (error, True) if error else (tool_result_to_str(result), False)

    def tools(self) -> list[dict[str, Any]]:
        """The definitions, with the one hint that an honest server would give."""
        return [
            {
                "name": function.name,
                "description": function.description,
                "inputSchema": function.parameters.model_json_schema(),
                "annotations": {"readOnlyHint": is_read(function.name)},
            }
            for function in self.suite.tools
        ]


def is_read(name: str) -> bool:
    return name.split("_")[0] in ("get", "read", "search", "list", "check")


def _calls(reference: Sequence[Any]) -> list[Call]:
    return [{"name": call.function, "arguments": dict(call.args)} for call in reference]


def _needs(call: Any) -> bool:
    """Whether an argument is what an earlier call made, as AgentDojo notes beside it: no mail sent, none to delete."""
    return any(str(value).startswith("$sent_") for value in (call.placeholder_args or {}).values())


def _quoted(text: str) -> str:
    """Safe in the double-quoted scalars of the environment's file, into which AgentDojo pastes it as it is."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
