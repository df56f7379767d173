"""The experiments of [khrulkov2018], "Art of singular vectors and universal adversarial perturbations".

Departures, for all items: images are pixels in [0, 1] (a norm of 10 on the 0-255 scale is 10/255); the images that a
vector is fitted on are never scored; what is chosen (a layer, a sign, q) is chosen on held-in images. Nulls, for all
items with rates: random signs of the same norm, and the same attack made on a copy with fresh weights.
"""

from __future__ import annotations

from uapkit.experiments.khrulkov2018_examples import (
    fig_examples,
    fig_examples_evidence,
    fig_top5,
    fig_top5_evidence,
    tab_predictions,
    tab_predictions_evidence,
)
from uapkit.experiments.khrulkov2018_gallery import (
    fig1_gallery,
    fig1_gallery_evidence,
    fig_q_gallery,
    fig_q_gallery_evidence,
)
from uapkit.experiments.khrulkov2018_layers import (
    fig_convergence,
    fig_convergence_evidence,
    fig_singular_values,
    fig_singular_values_evidence,
    tab1_layers,
    tab1_layers_evidence,
)
from uapkit.experiments.khrulkov2018_premise import (
    ext_batch_against_all,
    ext_batch_against_all_evidence,
    ext_linearity,
    ext_linearity_evidence,
    sec_cost,
    sec_cost_evidence,
)
from uapkit.experiments.khrulkov2018_regulariser import ext_regulariser, ext_regulariser_evidence
from uapkit.experiments.khrulkov2018_sweeps import (
    ext_p_sweep,
    ext_p_sweep_evidence,
    fig_batch_size,
    fig_batch_size_evidence,
    fig_q_sweep,
    fig_q_sweep_evidence,
)
from uapkit.experiments.khrulkov2018_transfer import (
    ext_gradient_ascent,
    ext_gradient_ascent_evidence,
    fig_against_uap,
    fig_against_uap_evidence,
    tab4_transfer,
    tab4_transfer_evidence,
)

__all__ = [
    "ext_batch_against_all",
    "ext_gradient_ascent",
    "ext_linearity",
    "ext_p_sweep",
    "ext_regulariser",
    "fig1_gallery",
    "fig_against_uap",
    "fig_batch_size",
    "fig_convergence",
    "fig_examples",
    "fig_q_gallery",
    "fig_q_sweep",
    "fig_singular_values",
    "fig_top5",
    "sec_cost",
    "tab1_layers",
    "tab4_transfer",
    "tab_predictions",
]

EVIDENCE = {
    "ext_batch_against_all": ext_batch_against_all_evidence,
    "ext_gradient_ascent": ext_gradient_ascent_evidence,
    "ext_linearity": ext_linearity_evidence,
    "ext_p_sweep": ext_p_sweep_evidence,
    "ext_regulariser": ext_regulariser_evidence,
    "fig1_gallery": fig1_gallery_evidence,
    "fig_against_uap": fig_against_uap_evidence,
    "fig_batch_size": fig_batch_size_evidence,
    "fig_convergence": fig_convergence_evidence,
    "fig_examples": fig_examples_evidence,
    "fig_q_gallery": fig_q_gallery_evidence,
    "fig_q_sweep": fig_q_sweep_evidence,
    "fig_singular_values": fig_singular_values_evidence,
    "fig_top5": fig_top5_evidence,
    "sec_cost": sec_cost_evidence,
    "tab1_layers": tab1_layers_evidence,
    "tab4_transfer": tab4_transfer_evidence,
    "tab_predictions": tab_predictions_evidence,
}
