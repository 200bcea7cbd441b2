"""One explainer for each method of learning concepts."""

from __future__ import annotations

from interp_interpreto.concepts.explainers import ConceptAutoEncoderExplainer


class SemiNMFConcepts(ConceptAutoEncoderExplainer):
    """Semi-non-negative factors, by `interp-semi-nmf`."""

    method, placed = "semi-nmf", True


class NMFConcepts(ConceptAutoEncoderExplainer):
    """Non-negative factors of non-negative activations, by `interp-nmf`."""

    method, placed = "nmf", True


class Cockatiel(NMFConcepts):
    """Cockatiel learns its concepts as `NMFConcepts` does."""


class ConvexNMFConcepts(ConceptAutoEncoderExplainer):
    """Factors that are mixtures of rows, by `interp-convex-nmf`."""

    method, placed = "convex-nmf", True


class PCAConcepts(ConceptAutoEncoderExplainer):
    """Principal components, by `interp-pca`."""

    method = "pca"


class SVDConcepts(ConceptAutoEncoderExplainer):
    """Singular vectors, by `interp-svd`."""

    method = "svd"


class ICAConcepts(ConceptAutoEncoderExplainer):
    """Independent components, by `interp-ica`."""

    method = "ica"


class KMeansConcepts(ConceptAutoEncoderExplainer):
    """Means of clusters, by `interp-kmeans`."""

    method = "kmeans"


class DictionaryLearningConcepts(ConceptAutoEncoderExplainer):
    """Sparse codes over a learnt dictionary, by `interp-dictionary-learning`."""

    method = "dictionary-learning"


class SparsePCAConcepts(ConceptAutoEncoderExplainer):
    """Principal components of few dimensions, by `interp-sparse-pca`."""

    method = "sparse-pca"


class NeuronsAsConcepts(ConceptAutoEncoderExplainer):
    """Each dimension of the layer is a concept, by `interp-neurons`."""

    method, counted = "neurons", False


class VanillaSAEConcepts(ConceptAutoEncoderExplainer):
    """A sparse autoencoder with an L1 penalty, by `interp-sae`."""

    method, placed = "sae", True


class TopKSAEConcepts(ConceptAutoEncoderExplainer):
    """A sparse autoencoder that keeps the k largest codes of each row, by `interp-topk-sae`."""

    method, placed = "topk-sae", True


class BatchTopKSAEConcepts(ConceptAutoEncoderExplainer):
    """A sparse autoencoder that keeps the largest codes of a batch, by `interp-batch-topk-sae`."""

    method, placed = "batch-topk-sae", True


class JumpReLUSAEConcepts(ConceptAutoEncoderExplainer):
    """A sparse autoencoder with a threshold for each concept, by `interp-jumprelu-sae`."""

    method, placed = "jumprelu-sae", True


class MpSAEConcepts(ConceptAutoEncoderExplainer):
    """A sparse autoencoder that encodes by matching pursuit, by `interp-matching-pursuit-sae`."""

    method, placed = "matching-pursuit-sae", True
