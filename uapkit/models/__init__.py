"""Networks whose layers have names, with cards that say where their weights come from."""

from uapkit.models.card import Card, state_sha256
from uapkit.models.model import Model, Truncated, wrap

__all__ = ["Card", "Model", "Truncated", "state_sha256", "wrap"]
