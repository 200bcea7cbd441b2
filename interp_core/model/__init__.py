"""Access to the user's Hugging Face model, which is left unchanged: hooks, injections, requests that share
passes, layers and splits, and readouts from logits to scores."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.model._component_states import check_all_closed, read_sites
    from interp_core.model._components import Site, layer_site, sites_of
    from interp_core.model._forward import BatchRunner
    from interp_core.model._gates import GatesInjection
    from interp_core.model._heads import CLASSIFIERS, GENERATORS, Head
    from interp_core.model._hooks import at_rest, hidden_of, module_at, repack, tap
    from interp_core.model._identity import identity_of
    from interp_core.model._injection import OutputInjection
    from interp_core.model._internals import Internals
    from interp_core.model._layer import Layer
    from interp_core.model._layers import Layers
    from interp_core.model._loading import load
    from interp_core.model._logits_to_scores import Classes, Readout, Space, Target, answer_of, predicted, readout_of
    from interp_core.model._module_state import calling_here
    from interp_core.model._requests import (
        GeneratorRows,
        Injection,
        ModelOutput,
        ModelRequest,
        PaddedBatch,
        Side,
        TextRows,
        pieces_of,
        text_rows,
        whole_text,
    )
    from interp_core.model._scheduler import RequestBatcher
    from interp_core.model._served import ServedModel
    from interp_core.model._split import SplitModel
    from interp_core.model._text_model import TextModel
    from interp_core.model._trial import Trial, hides_tokens, trial_of
    from interp_core.model._wrapped_model import WrappedModel

__all__ = [
    "CLASSIFIERS",
    "GENERATORS",
    "BatchRunner",
    "Classes",
    "GatesInjection",
    "GeneratorRows",
    "Head",
    "Injection",
    "Internals",
    "Layer",
    "Layers",
    "ModelOutput",
    "ModelRequest",
    "OutputInjection",
    "PaddedBatch",
    "Readout",
    "RequestBatcher",
    "ServedModel",
    "Side",
    "Site",
    "Space",
    "SplitModel",
    "Target",
    "TextModel",
    "TextRows",
    "Trial",
    "WrappedModel",
    "answer_of",
    "at_rest",
    "calling_here",
    "check_all_closed",
    "hidden_of",
    "hides_tokens",
    "identity_of",
    "layer_site",
    "load",
    "module_at",
    "pieces_of",
    "predicted",
    "read_sites",
    "readout_of",
    "repack",
    "sites_of",
    "tap",
    "text_rows",
    "trial_of",
    "whole_text",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_component_states": ["check_all_closed", "read_sites"],
        "_components": ["Site", "layer_site", "sites_of"],
        "_forward": ["BatchRunner"],
        "_gates": ["GatesInjection"],
        "_heads": ["CLASSIFIERS", "GENERATORS", "Head"],
        "_hooks": ["at_rest", "hidden_of", "module_at", "repack", "tap"],
        "_identity": ["identity_of"],
        "_injection": ["OutputInjection"],
        "_internals": ["Internals"],
        "_layer": ["Layer"],
        "_layers": ["Layers"],
        "_loading": ["load"],
        "_logits_to_scores": ["Classes", "Readout", "Space", "Target", "answer_of", "predicted", "readout_of"],
        "_module_state": ["calling_here"],
        "_requests": [
            "GeneratorRows",
            "Injection",
            "ModelOutput",
            "ModelRequest",
            "PaddedBatch",
            "Side",
            "TextRows",
            "pieces_of",
            "text_rows",
            "whole_text",
        ],
        "_scheduler": ["RequestBatcher"],
        "_served": ["ServedModel"],
        "_split": ["SplitModel"],
        "_text_model": ["TextModel"],
        "_trial": ["Trial", "hides_tokens", "trial_of"],
        "_wrapped_model": ["WrappedModel"],
    },
)
