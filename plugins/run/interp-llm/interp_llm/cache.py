"""Answers on disk, each there from the moment it arrived."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any

from interp_core.errors import InputError

from interp_llm.answer import Answer

FILE = "answers.sqlite"
OURS = 0x696C6C6D  # the application id by which a file of ours is known
VERSION = 1
SELECT = "SELECT answer FROM answers WHERE key = ?"
PATIENCE = 60.0  # seconds to wait for another process that is writing
_COUNT = (int, float, NoneType)
_KINDS = {"text": (str,), "prompt_tokens": _COUNT, "answer_tokens": _COUNT, "finish_reason": (str,)}


def check_folder(cache: Any) -> None:
    """Refuse what is no folder of answers.

    Args:
        cache: the folder, which need not be there; None for none.

    Raises:
        InputError: it is not a path, or an empty one, which would be the working directory.

    Examples:
        >>> from interp_llm.cache import check_folder
        >>> check_folder("answers")
    """
    if cache is not None and not (isinstance(cache, str | Path) and str(cache).strip()):
        raise InputError(
            f"cache is {cache!r}; the path of a folder was expected, such as 'answers', or None to keep no answers."
        )


class Cache:
    """A folder of answers. A context manager, for one thread; several processes may have it open.

    Each answer is one transaction of SQLite, with a write-ahead log: it is there whole or not at all, a kill loses
    none, and a loss of power at most the last. The folder should lie on a disk of this machine, as many network disks
    lack locks that work.

    Args:
        folder: the folder; it is made if it is missing.

    Raises:
        InputError: `folder` is not a path, the folder cannot be made, or its file cannot be read, is damaged, or is not
            a cache.

    Examples:
        >>> import tempfile
        >>> from interp_llm.answer import Answer
        >>> from interp_llm.cache import Cache
        >>> with tempfile.TemporaryDirectory() as folder, Cache(folder) as cache:
        ...     cache.keep("a", Answer("fruit"))
        ...     cache.answers(["a", "b"])["a"].cached
        True
    """

    def __init__(self, folder: str | Path) -> None:
        check_folder(folder)
        self.path = Path(folder) / FILE
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Cache:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def answers(self, keys: Iterable[str]) -> dict[str, Answer]:
        """Those that are there.

        Args:
            keys: what they are kept under.

        Returns:
            The answers by key.

        Raises:
            InputError: the file cannot be read, or is damaged.
        """
        with self._explained():
            rows = ((key, self._file.execute(SELECT, (key,)).fetchone()) for key in keys)
            return {key: _read(row[0]) for key, row in rows if row}

    def keep(self, key: str, answer: Answer) -> None:
        """Write an answer. One that is there already stays.

        Args:
            key: what it is kept under.
            answer: the answer.

        Raises:
            InputError: the file cannot be written, such as on a full disk.
        """
        with self._explained():
            self._file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, _write(answer)))

    def _prepare(self) -> None:
        """Make the file a cache, if it is new."""
        self._file.execute("BEGIN IMMEDIATE")  # another process may be at it
        (ours,) = self._file.execute("PRAGMA application_id").fetchone()
        (tables,) = self._file.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if ours == 0 and tables == 0:
            self._file.execute(f"PRAGMA application_id = {OURS}")
            self._file.execute(f"PRAGMA user_version = {VERSION}")
            self._file.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID")
        elif ours != OURS:
            raise InputError(f"{self.path} is a database of another program; give another folder as cache.")
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise InputError(
                f"{self.path} has version {version} of the cache, and this is version {VERSION}; update interp-llm, or "
                "give another folder as cache."
            )
        self._file.execute("COMMIT")
        self._use_log()

    def _use_log(self) -> None:
        """Write each answer to a log first, which takes a hundredth of the time; where that cannot be, do without."""
        until = time.monotonic() + PATIENCE
        while self._file.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                self._file.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:  # another process is writing, for which SQLite does not wait here
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
        self._file.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"the cache {self.path} cannot be used ({type(error).__name__}: {error}); look whether the folder can "
                "be written and its disk has room. A damaged file must be moved away, and its answers asked again."
            ) from None


def _write(answer: Answer) -> str:
    """JSON in ASCII, so that lone surrogates are no trouble to SQLite."""
    said = {"text": str(answer), "prompt_tokens": answer.prompt_tokens, "answer_tokens": answer.answer_tokens}
    return json.dumps({**said, "finish_reason": answer.finish_reason})


def _read(written: Any) -> Answer:
    said = json.loads(written)
    if not isinstance(said, dict) or "text" not in said or not set(said) <= set(_KINDS):
        raise ValueError("a row is not an answer")
    for name, value in said.items():
        if type(value) not in _KINDS[name]:
            raise ValueError(f"{name} of an answer is {value!r}")
    return Answer(said.pop("text"), **said, cached=True)
