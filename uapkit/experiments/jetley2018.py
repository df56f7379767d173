"""The experiments of [jetley2018], "With friends like these, who needs adversaries?".

Departures, for all items: images are pixels in [0, 1], and what is projected is their difference from the mean of the
training images, which is what the paper's networks, fed with mean-subtracted images, see.
"""

from __future__ import annotations

from uapkit.experiments.jetley2018_curvature import (
    ext_step,
    ext_step_evidence,
    fig1_scores,
    fig1_scores_evidence,
    fig2_positive,
    fig2_positive_evidence,
    fig_negative_flat,
    fig_negative_flat_evidence,
)
from uapkit.experiments.jetley2018_subspaces import (
    fig3_accuracy,
    fig3_accuracy_evidence,
    fig3_attack_energy,
    fig3_attack_energy_evidence,
)

__all__ = [
    "ext_step",
    "fig1_scores",
    "fig2_positive",
    "fig3_accuracy",
    "fig3_attack_energy",
    "fig_negative_flat",
]

EVIDENCE = {
    "ext_step": ext_step_evidence,
    "fig1_scores": fig1_scores_evidence,
    "fig2_positive": fig2_positive_evidence,
    "fig3_accuracy": fig3_accuracy_evidence,
    "fig3_attack_energy": fig3_attack_energy_evidence,
    "fig_negative_flat": fig_negative_flat_evidence,
}
