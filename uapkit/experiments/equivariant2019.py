"""The experiments of [equivariant2019], "Universal attacks on equivariant networks".

Departures, for all items: images are pixels in [0, 1], turned bilinearly with zeros from outside, each once by its own
fixed angle; the networks normalise inside. Norms of attacks are also given relative to the images' mean norm. The loss
gradient is taken with true labels unless ``labels`` says otherwise; DeepFool's failures have no row.
"""

from __future__ import annotations

from uapkit.experiments import equivariant2019_evidence as evidence
from uapkit.experiments.equivariant2019_angles import fig2_dot_products, tab1_angles
from uapkit.experiments.equivariant2019_fooling import ext_lower_vectors, ext_roteqnet_fooling, fig5_fooling
from uapkit.experiments.equivariant2019_spectra import fig1_energy, fig2_spectra
from uapkit.experiments.equivariant2019_theorems import thm1_alignment, thm2_sampling
from uapkit.experiments.equivariant2019_training import ext_rotation_range, sec_accuracy
from uapkit.experiments.equivariant2019_vectors import fig7_invariant_vectors, fig8_attack_vectors

__all__ = [
    "ext_lower_vectors",
    "ext_rotation_range",
    "ext_roteqnet_fooling",
    "fig1_energy",
    "fig2_dot_products",
    "fig2_spectra",
    "fig5_fooling",
    "fig7_invariant_vectors",
    "fig8_attack_vectors",
    "sec_accuracy",
    "tab1_angles",
    "thm1_alignment",
    "thm2_sampling",
]

EVIDENCE = evidence.EVIDENCE
