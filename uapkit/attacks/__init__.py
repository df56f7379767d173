"""Attacks on one image and on all images: each returns its perturbation, how it went and whether it succeeded."""

from uapkit.attacks.base import Perturbation, as_tensor
from uapkit.attacks.deepfool import DeepFoolResult, deepfool
from uapkit.attacks.gradient import fgsm, loss_gradient, saliency
from uapkit.attacks.singular_uap import singular_uap
from uapkit.attacks.superdeepfool import superdeepfool
from uapkit.attacks.svd_uap import svd_uap
from uapkit.attacks.uap import uap

__all__ = [
    "DeepFoolResult",
    "Perturbation",
    "as_tensor",
    "deepfool",
    "fgsm",
    "loss_gradient",
    "saliency",
    "singular_uap",
    "superdeepfool",
    "svd_uap",
    "uap",
]
