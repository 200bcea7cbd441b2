"""The errors and the warning of the toolkit.

    InterpError
    ├── InputError (ValueError)        an argument that cannot be used
    │   ├── TargetError                a class, token or span that does not exist
    │   └── LayerError                 a layer that cannot be read, replaced or resumed from
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


class InterpError(Exception):
    """Base class of the errors of the toolkit."""


class InputError(InterpError, ValueError):
    """An argument cannot be used."""


class TargetError(InputError):
    """A target is a class, token or span that does not exist."""


class LayerError(InputError):
    """A layer cannot be read, replaced or resumed from."""


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
    """Something that readers of a result should know; most results also keep it in their notes."""
