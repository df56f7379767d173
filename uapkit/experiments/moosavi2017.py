"""The experiments of [moosavi2017], "Universal adversarial perturbations".

Departures, for all items: images are pixels in [0, 1] (a norm of 10 on the 0-255 scale is 10/255); no image that a
perturbation is fitted on is scored. Nulls, for all items with rates: random signs (norm inf) or a random direction
(norm 2) of the same norm.
"""

from __future__ import annotations

from uapkit.experiments.moosavi2017_finetuning import sec_finetuning, sec_finetuning_evidence
from uapkit.experiments.moosavi2017_labels import fig7_label_graph, fig7_label_graph_evidence
from uapkit.experiments.moosavi2017_norms import fig8_norms, fig8_norms_evidence
from uapkit.experiments.moosavi2017_pictures import (
    fig1_teaser,
    fig3_examples,
    fig4_gallery,
    fig4_gallery_evidence,
)
from uapkit.experiments.moosavi2017_rates import (
    fig5_diversity,
    fig5_diversity_evidence,
    fig6_set_size,
    fig6_set_size_evidence,
    tab1_fooling_rates,
    tab1_fooling_rates_evidence,
)
from uapkit.experiments.moosavi2017_schematic import fig2_aggregation, fig10_subspace
from uapkit.experiments.moosavi2017_subspace import (
    fig9_spectrum,
    fig9_spectrum_evidence,
    sec_subspace,
    sec_subspace_evidence,
)
from uapkit.experiments.moosavi2017_transfer import tab2_transfer, tab2_transfer_evidence

__all__ = [
    "fig1_teaser",
    "fig2_aggregation",
    "fig3_examples",
    "fig4_gallery",
    "fig5_diversity",
    "fig6_set_size",
    "fig7_label_graph",
    "fig8_norms",
    "fig9_spectrum",
    "fig10_subspace",
    "sec_finetuning",
    "sec_subspace",
    "tab1_fooling_rates",
    "tab2_transfer",
]

EVIDENCE = {
    "fig4_gallery": fig4_gallery_evidence,
    "fig5_diversity": fig5_diversity_evidence,
    "fig6_set_size": fig6_set_size_evidence,
    "fig7_label_graph": fig7_label_graph_evidence,
    "fig8_norms": fig8_norms_evidence,
    "fig9_spectrum": fig9_spectrum_evidence,
    "sec_finetuning": sec_finetuning_evidence,
    "sec_subspace": sec_subspace_evidence,
    "tab1_fooling_rates": tab1_fooling_rates_evidence,
    "tab2_transfer": tab2_transfer_evidence,
}
