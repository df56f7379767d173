"""Networks whose layers have names, with cards that say where their weights come from."""

from uapkit.gate import trust
from uapkit.models.card import Card, state_sha256
from uapkit.models.loading import load, names, status
from uapkit.models.loading import names as list  # `models.list()` is the public name; `names` does not hide a builtin
from uapkit.models.model import Model, Truncated, wrap
from uapkit.models.store import WeightsMissing

__all__ = [
    "Card",
    "Model",
    "Truncated",
    "WeightsMissing",
    "list",
    "load",
    "names",
    "state_sha256",
    "status",
    "trust",
    "wrap",
]
