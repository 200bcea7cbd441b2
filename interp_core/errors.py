"""The exceptions of the toolkit.

    InterpError
    ├── InputError (ValueError)        a value the caller gave
    │   ├── TargetError                a class, token or span that is not there
    │   └── LayerError                 a layer that cannot be read, replaced or resumed from
    ├── BudgetError                    more rows of the model would be needed than the caller allows
    ├── UnsupportedError               a method that needs what the input does not offer
    ├── ModelError                     the model gave no usable numbers
    ├── LLMError                       a call to a language model failed
    └── PluginError
        ├── UnknownMethodError (LookupError)
        ├── DuplicateMethodError
        └── BrokenPluginError          found, and cannot be imported or declares nonsense

Every message says what happened with the values, what was expected, and what to do.
"""

from __future__ import annotations


class InterpError(Exception):
    """Any failure the toolkit explains."""


class InputError(InterpError, ValueError):
    """A value the caller gave cannot be used."""


class TargetError(InputError):
    """A target names a class, token or span that is not there."""


class LayerError(InputError):
    """A layer cannot be read, replaced or resumed from."""


class BudgetError(InterpError):
    """More rows of the model would be evaluated than `max_rows` allows."""


class UnsupportedError(InterpError):
    """The method needs something that this input does not offer."""


class ModelError(InterpError):
    """The model gave no usable numbers."""


class LLMError(InterpError):
    """A call to a language model failed."""


class PluginError(InterpError):
    """Something is wrong with an installed method or its package."""


class UnknownMethodError(PluginError, LookupError):
    """No installed package declares a method of that name."""


class DuplicateMethodError(PluginError):
    """Several packages declare the same name; ask for `package/name`."""


class BrokenPluginError(PluginError):
    """A plugin was found but could not be imported, or declares something malformed."""


class InterpWarning(UserWarning):
    """Something a reader of the result should know; it is also kept in the result's notes."""
