"""Plugins: `Method` and `hookimpl`, by which packages declare methods, and the registry, which finds them.

Only the standard library and pluggy are imported; implementations are imported on first use.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.plugin._arguments import check_fields, named_options
    from interp_core.plugin._catalogue import catalogue
    from interp_core.plugin._declaration import API, GROUP, PROGRAM_SOURCE, VERBS, Claim, Kind, Method, Need, hookimpl
    from interp_core.plugin._discovery import Plugin
    from interp_core.plugin._methods import Methods
    from interp_core.plugin._moved import moved
    from interp_core.plugin._names import names, packaged
    from interp_core.plugin._registry import (
        PROGRAM,
        declaration_of,
        failures,
        find_method,
        implementation,
        method,
        methods,
        package_of,
        plugins,
        register,
        resolve,
        version_of,
    )
    from interp_core.plugin._scaffolding import render_pyproject, write_plugin

__all__ = [
    "API",
    "GROUP",
    "PROGRAM",
    "PROGRAM_SOURCE",
    "VERBS",
    "Claim",
    "Kind",
    "Method",
    "Methods",
    "Need",
    "Plugin",
    "catalogue",
    "check_fields",
    "declaration_of",
    "failures",
    "find_method",
    "hookimpl",
    "implementation",
    "method",
    "methods",
    "moved",
    "named_options",
    "names",
    "package_of",
    "packaged",
    "plugins",
    "register",
    "render_pyproject",
    "resolve",
    "version_of",
    "write_plugin",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_arguments": ["check_fields", "named_options"],
        "_catalogue": ["catalogue"],
        "_declaration": ["API", "Claim", "GROUP", "Kind", "Method", "Need", "PROGRAM_SOURCE", "VERBS", "hookimpl"],
        "_methods": ["Methods"],
        "_moved": ["moved"],
        "_names": ["names", "packaged"],
        "_discovery": ["Plugin"],
        "_registry": [
            "PROGRAM",
            "declaration_of",
            "failures",
            "find_method",
            "implementation",
            "method",
            "methods",
            "package_of",
            "plugins",
            "register",
            "resolve",
            "version_of",
        ],
        "_scaffolding": ["render_pyproject", "write_plugin"],
    },
)
