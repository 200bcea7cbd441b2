"""Language models and executors: two that keep their promises, and what goes wrong with answers and shards."""

from __future__ import annotations

import random
from collections import deque
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from wrong_methods.catalogue import right, wrong

ORDER = "answers are in the order of the questions"
IDENTITY = "what tells its answers from others stays the same"


@right("llm")
@dataclass(frozen=True)
class SoundAnswers:
    """Source: definition."""

    def generate(self, messages: Any) -> Any:
        return messages[-1]["content"].split(",")[0]

    def generate_all(self, conversations: Any) -> Any:
        return [self.generate(messages) for messages in conversations]


@wrong("llm", ORDER)
@dataclass(frozen=True)
class ReversedAnswers(SoundAnswers):
    """Source: definition."""

    def generate_all(self, conversations: Any) -> Any:
        return super().generate_all(conversations)[::-1]


@right("llm")
@dataclass(frozen=True)
class AnswersAsTheyCome(SoundAnswers):
    """Source: definition."""

    def generate_each(self, conversations: Any) -> Any:
        yield from reversed(list(enumerate(map(self.generate, conversations))))

    def identity(self) -> Any:
        return {"client": "sound"}


@wrong("llm", ORDER)
@dataclass(frozen=True)
class PlacesShifted(AnswersAsTheyCome):
    """Source: definition."""

    def generate_each(self, conversations: Any) -> Any:
        for place, answer in super().generate_each(conversations):
            yield (place + 1) % len(conversations), answer


@wrong("llm", ORDER)
@dataclass(frozen=True)
class LastPlaceLeftOut(AnswersAsTheyCome):
    """Source: definition."""

    def generate_each(self, conversations: Any) -> Any:
        return list(super().generate_each(conversations))[1:]


@wrong("llm", IDENTITY)
@dataclass(frozen=True)
class CountsItsCalls(AnswersAsTheyCome):
    """Source: definition."""

    calls: list[int] = field(default_factory=list, repr=False, compare=False)

    def generate(self, messages: Any) -> Any:
        self.calls.append(1)
        return super().generate(messages)

    def identity(self) -> Any:
        return {"client": "sound", "calls": len(self.calls)}


@wrong("llm", IDENTITY)
@dataclass(frozen=True)
class NamesItselfByAnObject(AnswersAsTheyCome):
    """Source: definition."""

    def identity(self) -> Any:
        return {"client": type(self)}


@wrong("llm", "each conversation has an answer")
@dataclass(frozen=True)
class AnswersEqualOnesOnce(SoundAnswers):
    """Source: definition."""

    def generate_all(self, conversations: Any) -> Any:
        return list(dict.fromkeys(super().generate_all(conversations)))


@wrong("llm", "each conversation has an answer")
@dataclass(frozen=True)
class SixteenAnswers(SoundAnswers):
    """Source: definition."""

    def generate_all(self, conversations: Any) -> Any:
        return super().generate_all(conversations[:16])


@wrong("llm", "each conversation has an answer")
@dataclass(frozen=True)
class AnswersNothing(SoundAnswers):
    """Source: definition."""

    def generate(self, messages: Any) -> Any:
        return None if "cat" in messages[-1]["content"] else super().generate(messages)


@wrong("llm", "another question gets another answer")
@dataclass(frozen=True)
class ReadsTheFirstMessage(SoundAnswers):
    """Source: definition."""

    def generate(self, messages: Any) -> Any:
        return messages[0]["content"]


@wrong("llm", "what it is handed is not changed")
@dataclass(frozen=True)
class AppendsItsAnswer(SoundAnswers):
    """Source: definition."""

    def generate(self, messages: Any) -> Any:
        answer = super().generate(messages)
        messages.append({"role": "assistant", "content": answer})
        return answer


@wrong("llm", "its surroundings are left as they were")
@dataclass(frozen=True)
class SeedsBeforeAnswers(SoundAnswers):
    """Source: definition."""

    def generate(self, messages: Any) -> Any:
        random.seed(0)
        return super().generate(messages)


@wrong("llm", "its claims and needs are those of its kind", claims={"seeded"})
@dataclass(frozen=True)
class ClaimsSeededAnswers(SoundAnswers):
    """Source: definition."""


@right("executor")
@dataclass(frozen=True)
class SoundExecutor:
    """Args:
        workers: threads.

    Source: definition.
    """

    workers: int = 2

    def map(self, work: Any, shards: Any) -> Any:
        with ThreadPoolExecutor(self.workers) as pool:
            begun: deque[Any] = deque()
            for shard in shards:
                begun.append(pool.submit(work, shard))
                if len(begun) > self.workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()


@wrong("executor", "shards are drawn as they are worked on")
@dataclass(frozen=True)
class DrawsAllShards:
    """Source: definition."""

    def map(self, work: Any, shards: Any) -> Any:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(work, shards)


@wrong("executor", "results are in the order of the shards")
@dataclass(frozen=True)
class LastFirst:
    """Source: definition."""

    def map(self, work: Any, shards: Any) -> Any:
        return [work(shard) for shard in reversed(list(shards))]


@wrong("executor", "results are in the order of the shards")
@dataclass(frozen=True)
class NeedsAList:
    """Source: definition."""

    def map(self, work: Any, shards: Any) -> Any:
        return [work(shards[i]) for i in range(len(shards))]


@wrong("executor", "results are in the order of the shards")
@dataclass(frozen=True)
class WorksTwice:
    """Source: definition."""

    def map(self, work: Any, shards: Any) -> Any:
        every = list(shards)
        for shard in every:
            work(shard)
        return [work(shard) for shard in every]


@wrong("executor", "errors of the work reach the caller")
@dataclass(frozen=True)
class SwallowsErrors:
    """Source: definition."""

    def map(self, work: Any, shards: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            done = [pool.submit(work, shard) for shard in shards]
            list(as_completed(done))
            return [one.result() for one in done if one.exception() is None]


@wrong("executor", "what it is handed is not changed")
@dataclass(frozen=True)
class TakesShardsAway:
    """Source: definition."""

    def map(self, work: Any, shards: Any) -> Any:
        results = []
        pending = shards if isinstance(shards, list) else list(shards)
        while pending:
            results.append(work(pending.pop(0)))
        return results
