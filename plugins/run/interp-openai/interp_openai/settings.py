"""Settings that may hold a secret by mistake: what is refused of them, without a word of it being repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from interp_core.errors import InputError

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_SECRET = re.compile(r"(?:^|[-_])(?:key|token|secret|password|sig|signature|code)$", re.IGNORECASE)


def check_variables(key_from: str, headers_from: Mapping[str, str] | None) -> None:
    """Refuse what is no name of an environment variable; it is likely the key itself.

    Args:
        key_from: where the key is.
        headers_from: where the values of headers are.

    Raises:
        InputError: one is not a name in capitals.

    Examples:
        >>> from interp_openai.settings import check_variables
        >>> check_variables("OPENAI_API_KEY", {"api-key": "AZURE_KEY"})
    """
    if not (isinstance(key_from, str) and _VARIABLE.fullmatch(key_from)):
        raise InputError("key_from must be the name of an environment variable in capitals, such as OPENAI_API_KEY.")
    if headers_from is not None and not (
        isinstance(headers_from, Mapping)
        and all(isinstance(name, str) and _VARIABLE.fullmatch(str(value)) for name, value in headers_from.items())
    ):
        raise InputError(
            "headers_from must name, for each header, an environment variable in capitals, such as "
            "{'api-key': 'AZURE_KEY'}."
        )


def check_address(base_url: str | None, key_from: str) -> None:
    """Refuse what is no web address, and one with a secret in it.

    Args:
        base_url: the address; None for OpenAI itself.
        key_from: where the key belongs, for the message.

    Raises:
        InputError: it is none, or has a user, a password or a key in it.

    Examples:
        >>> from interp_openai.settings import check_address
        >>> check_address("http://localhost:8000/v1?api-version=preview", "OPENAI_API_KEY")
    """
    address = urlsplit(base_url or "http://localhost")
    if "@" in address.netloc:
        raise InputError(f"base_url must hold no user or password; put the key into the variable {key_from}.")
    secret = next((name for name, _ in parse_qsl(address.query) if _SECRET.search(name)), None)
    if secret is not None:
        raise InputError(
            f"base_url must hold no secret, and has {secret!r} in its query; put the key into the variable {key_from}, "
            "or name a header and its variable in headers_from."
        )
    if address.scheme not in ("http", "https") or not address.netloc:
        raise InputError(f"base_url {base_url!r} is not a web address, such as http://localhost:8000/v1.")


def query_of(base_url: str | None) -> tuple[str | None, dict[str, str]]:
    """An address without its query, and the query.

    Args:
        base_url: the address.

    Returns:
        Both; the official client would take the query for a part of the path.

    Examples:
        >>> from interp_openai.settings import query_of
        >>> query_of("https://host/openai/v1/?api-version=preview")
        ('https://host/openai/v1/', {'api-version': 'preview'})
    """
    if base_url is None:
        return None, {}
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")), dict(parse_qsl(parts.query))
