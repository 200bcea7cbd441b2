"""Explainers of concepts, how they are put into words, and how they are measured."""

from interp_interpreto.concepts.explainers import ConceptAutoEncoderExplainer, ConceptEncoderExplainer
from interp_interpreto.concepts.interpretations import LLMLabels, TopKInputs
from interp_interpreto.concepts.methods import (
    BatchTopKSAEConcepts,
    Cockatiel,
    ConvexNMFConcepts,
    DictionaryLearningConcepts,
    ICAConcepts,
    JumpReLUSAEConcepts,
    KMeansConcepts,
    MpSAEConcepts,
    NeuronsAsConcepts,
    NMFConcepts,
    PCAConcepts,
    SemiNMFConcepts,
    SparsePCAConcepts,
    SVDConcepts,
    TopKSAEConcepts,
    VanillaSAEConcepts,
)

__all__ = [
    "BatchTopKSAEConcepts",
    "Cockatiel",
    "ConceptAutoEncoderExplainer",
    "ConceptEncoderExplainer",
    "ConvexNMFConcepts",
    "DictionaryLearningConcepts",
    "ICAConcepts",
    "JumpReLUSAEConcepts",
    "KMeansConcepts",
    "LLMLabels",
    "MpSAEConcepts",
    "NMFConcepts",
    "NeuronsAsConcepts",
    "PCAConcepts",
    "SVDConcepts",
    "SemiNMFConcepts",
    "SparsePCAConcepts",
    "TopKInputs",
    "TopKSAEConcepts",
    "VanillaSAEConcepts",
]
