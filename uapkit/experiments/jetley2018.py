"""The experiments of [jetley2018], "With friends like these, who needs adversaries?".

Departures, for all items: images are pixels in [0, 1], and what is projected is their difference from the mean of the
training images, which is what the paper's networks, fed with mean-subtracted images, see.
"""

from __future__ import annotations

from uapkit.experiments.jetley2018_confined import (
    fig5_confined,
    fig5_confined_evidence,
    sec_uap_energy,
    sec_uap_energy_evidence,
)
from uapkit.experiments.jetley2018_curvature import (
    fig1_scores,
    fig1_scores_evidence,
    fig2_positive,
    fig2_positive_evidence,
    fig_negative_flat,
    fig_negative_flat_evidence,
)
from uapkit.experiments.jetley2018_directions import (
    ext_gradient_svd,
    ext_gradient_svd_evidence,
    fig4_deepfool_svd,
    fig4_deepfool_svd_evidence,
)
from uapkit.experiments.jetley2018_downsampling import (
    sec_direct_attack,
    sec_direct_attack_evidence,
    tab1_downsampling,
    tab1_downsampling_evidence,
)
from uapkit.experiments.jetley2018_step import ext_step, ext_step_evidence
from uapkit.experiments.jetley2018_subspaces import (
    fig3_accuracy,
    fig3_accuracy_evidence,
    fig3_attack_energy,
    fig3_attack_energy_evidence,
)
from uapkit.experiments.jetley2018_tradeoff import ext_tradeoff, ext_tradeoff_evidence

__all__ = [
    "ext_gradient_svd",
    "ext_step",
    "ext_tradeoff",
    "fig1_scores",
    "fig2_positive",
    "fig3_accuracy",
    "fig3_attack_energy",
    "fig4_deepfool_svd",
    "fig5_confined",
    "fig_negative_flat",
    "sec_direct_attack",
    "sec_uap_energy",
    "tab1_downsampling",
]

EVIDENCE = {
    "ext_gradient_svd": ext_gradient_svd_evidence,
    "ext_step": ext_step_evidence,
    "ext_tradeoff": ext_tradeoff_evidence,
    "fig1_scores": fig1_scores_evidence,
    "fig2_positive": fig2_positive_evidence,
    "fig3_accuracy": fig3_accuracy_evidence,
    "fig3_attack_energy": fig3_attack_energy_evidence,
    "fig4_deepfool_svd": fig4_deepfool_svd_evidence,
    "fig5_confined": fig5_confined_evidence,
    "fig_negative_flat": fig_negative_flat_evidence,
    "sec_direct_attack": sec_direct_attack_evidence,
    "sec_uap_energy": sec_uap_energy_evidence,
    "tab1_downsampling": tab1_downsampling_evidence,
}
