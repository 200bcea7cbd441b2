"""The errors and the warning of the toolkit.

    InterpError
    ├── InputError (ValueError)        an argument that cannot be used
    │   ├── TargetError                a class, token or span that does not exist
    │   ├── LayerError                 a layer that cannot be read, replaced or resumed from
    │   └── FolderError                a folder that holds another run, or is damaged
    ├── BudgetError                    the model would have to evaluate more rows than the caller allows
    ├── UnsupportedError               a method needs what the input does not offer
    ├── ModelError                     a model or method cannot be run, or its output is unusable
    ├── LLMError                       a call to a language model failed
    └── PluginError
        ├── UnknownMethodError (LookupError)
        ├── DuplicateMethodError
        └── BrokenPluginError          installed, but cannot be imported or has a malformed declaration

Every message says what happened, with the values, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class InterpError(Exception):
    """Base class of all errors of the toolkit."""


class InputError(InterpError, ValueError):
    """An argument cannot be used."""


class TargetError(InputError):
    """A target is a class, token or span that does not exist."""


class LayerError(InputError):
    """A layer cannot be read, replaced or resumed from."""


class FolderError(InputError):
    """A folder holds another run than the one asked for, holds something else, or is damaged."""


class BudgetError(InterpError):
    """The model would have to evaluate more rows than `max_rows` allows."""


class UnsupportedError(InterpError):
    """The method needs something that the input does not offer."""


class ModelError(InterpError):
    """A model or method cannot be run, or its output is unusable, such as NaN."""


class LLMError(InterpError):
    """A call to a language model failed."""


class PluginError(InterpError):
    """A method cannot be found or used."""


class UnknownMethodError(PluginError, LookupError):
    """No installed package declares a method of this name."""


class DuplicateMethodError(PluginError):
    """Several packages declare a method of this name; ask for `package/name`."""


class BrokenPluginError(PluginError):
    """A plugin is installed, but cannot be imported or has a malformed declaration."""


class InterpWarning(UserWarning):
    """Warning of something that readers of a result should know; most results also keep it in their notes."""


def nearest(name: object, known: Iterable[str]) -> str:
    """Suggest the known name that a misspelt one is likely to mean, as a sentence for the end of a message.

    Args:
        name: the name that was given; no name is suggested unless it is a string.
        known: the names that exist.

    Returns:
        A sentence such as `" Did you mean 'lime'?"`, with the space in front; empty if no name is similar.

    Examples:
        >>> from interp_core.errors import nearest
        >>> nearest("wrod", ["token", "word", "sentence"])
        " Did you mean 'word'?"
        >>> nearest("wrod", ["logit"])
        ''
    """
    import difflib  # when something is wrong, and not in a listing

    alike = {one.lower(): one for one in reversed(list(known))}
    near = difflib.get_close_matches(name.lower(), alike, n=1) if isinstance(name, str) else []
    return f" Did you mean {alike[near[0]]!r}?" if near else ""


def unknown(what: str, value: object, known: Iterable[str], also: str = "") -> str:
    """Write the message about an unknown value of an option.

    Args:
        what: the name of the option.
        value: the value that was given.
        known: the values that the option has.
        also: other forms that the option accepts, for the end of the list.

    Returns:
        One or two sentences: the value, the known values, and the most similar of them.

    Examples:
        >>> from interp_core.errors import unknown
        >>> unknown("removal", "drp", ["mask", "drop"], also="a tensor")
        "removal 'drp' is unknown; it is one of mask, drop, or a tensor. Did you mean 'drop'?"
    """
    names = list(known)
    others = f", or {also}" if also else ""
    return f"{what} {value!r} is unknown; it is one of {', '.join(names)}{others}.{nearest(value, names)}"
