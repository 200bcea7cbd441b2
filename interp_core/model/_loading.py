"""Loading a model and its tokenizer from a folder or hub id."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from interp_core.errors import InputError, nearest
from interp_core.model._text_model import TextModel
from interp_core.plugin import named_options
from safetensors import SafetensorError

_HUB_OPTIONS = ("revision", "subfolder", "token", "cache_dir", "local_files_only", "trust_remote_code")
_MODEL_OPTIONS = ("dtype", "device_map", "attn_implementation", "quantization_config", "max_memory", "num_labels")


@named_options
def load(
    path: str | Path,
    *,
    task: str = "auto",
    tokens_per_batch: int | None = None,
    autocast: str | None = None,
    compile: bool = False,
    **options: Any,
) -> TextModel:
    """Load a model and its tokenizer from a folder or hub id.

    Args:
        path: a local folder or a hub id. A name whose first part is a local folder is taken as a local path, unless an
            option for the hub is given, such as `revision`.
        task: `"auto"` for the class that the model's configuration names, or the end of the name of the `AutoModelFor…`
            class to load with, such as `"SequenceClassification"`.
        tokens_per_batch: the maximum number of tokens in one pass, see `TextModel`.
        autocast: `"bfloat16"` to run matrix products in this format, see `TextModel`.
        compile: run the blocks of the model compiled, see `TextModel`.
        **options: passed to the model's `from_pretrained`, such as `dtype` or `device_map`.

    Returns:
        The model in evaluation mode, with its tokenizer.

    Raises:
        InputError: nothing can be loaded from `path`, or `TextModel` does not accept the model or its tokenizer.
        ModelError: weights are on the `meta` device.

    Examples:
        >>> import tempfile
        >>> from interp_core.testing import tiny_classifier
        >>> tiny = tiny_classifier()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tiny.model.save_pretrained(folder)
        ...     _ = tiny.tokenizer.save_pretrained(folder)
        ...     model = interp.load(folder)
        >>> model.head, model.labels
        ('single-label', ('LABEL_0', 'LABEL_1', 'LABEL_2'))
    """
    import transformers

    if not isinstance(path, str | os.PathLike):
        raise InputError(f"the path is {path!r}; a folder or hub id was expected, as a string or Path.")
    shared = {key: value for key, value in options.items() if key in _HUB_OPTIONS}
    try:
        _check_place(path, shared)
        config = transformers.AutoConfig.from_pretrained(path, **shared)
        named = [
            *(getattr(config, "architectures", None) or ()),
            *(getattr(config, "auto_map", None) or ()),
            "AutoModel",
        ]
        names = [f"AutoModelFor{task}"] if task != "auto" else [n for n in named if n != "AutoConfig"]
        candidates = [getattr(transformers, name, None) for name in names]
        model_class = next((candidate for candidate in candidates if candidate is not None), None)
        if model_class is None:
            raise InputError(
                f"transformers has no class {names[0]!r}; name the task, such as task='SequenceClassification'."
            )
        model = _loaded(model_class, path, options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **shared)
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0]
        raise InputError(f"no model could be loaded from {str(path)!r}: {first}") from error
    return TextModel(model.eval(), tokenizer, tokens_per_batch=tokens_per_batch, autocast=autocast, compile=compile)


def _loaded(model_class: Any, path: str | Path, options: dict[str, Any]) -> Any:
    """The model. Options that `from_pretrained` does not know reach the constructor of the model, which refuses them.

    Raises:
        InputError: there is no such option.
    """
    try:
        return model_class.from_pretrained(path, **options)
    except TypeError as error:
        strange = next((name for name in options if f"unexpected keyword argument '{name}'" in str(error)), None)
        if strange is None:
            raise
        known = ("task", "tokens_per_batch", "autocast", "compile", *_HUB_OPTIONS, *_MODEL_OPTIONS)
        raise InputError(
            f"load has no option {strange!r}, and neither has {model_class.__name__}.from_pretrained; options are "
            f"{', '.join(known)}, among others.{nearest(strange, known)}"
        ) from error


def _check_place(path: str | Path, hub_options: dict[str, Any]) -> None:
    """Refuse at once what is no folder and no model of the hub; transformers retries for half a minute.

    Raises:
        InputError: there is no such folder, and no such model on the hub that could be reached.
        OSError: the hub refuses the model, or does not have it.
    """
    from transformers.utils.hub import has_file

    place = Path(path)
    if place.is_dir():
        return
    parts = place.parts
    local = place.is_absolute() or len(parts) != 1 + ("/" in str(path)) or str(path)[:1] in (".", "~") or place.exists()
    if local or (len(parts) == 2 and Path(parts[0]).is_dir() and not hub_options):
        near = get_close_matches(place.name, _folders(place.parent), n=3)
        there = f" Near: {', '.join(str(place.parent / name) for name in near)}." if near else ""
        raise InputError(
            f"{str(path)!r} is not a folder with a model.{there} For a model of the hub give its id, 'owner/name'; if "
            "a folder here is called like its owner, add revision='main'."
        )
    told = {key: value for key, value in hub_options.items() if key not in ("subfolder", "trust_remote_code")}
    if not has_file(str(path), f"{hub_options.get('subfolder') or '.'}/config.json".removeprefix("./"), **told):
        raise InputError(
            f"no model could be loaded from {str(path)!r}: it is not a folder here, and neither the hub, if it can be "
            "reached, nor the cache of its models has it. Check the spelling; a hub id is 'owner/name'."
        )


def _folders(parent: Path) -> list[str]:
    return [one.name for one in parent.iterdir() if one.is_dir()] if parent.is_dir() else []
