"""The small networks that all quick runs share: trained once a machine, before the items."""

from __future__ import annotations

from uapkit.book import depends
from uapkit.files import write_whole
from uapkit.runner.catalogue import project_root


def digit_networks() -> None:
    """Train the small networks on the embedded digits, once, and write down their names and checksums."""
    from uapkit import models

    lines = [f"{name} {models.load(name).card.sha256}\n" for name in digit_names()]
    write_whole(project_root() / depends.WEIGHTS, "".join(lines).encode())


def digit_network(network: str) -> None:
    """Train one of them, where it is not there yet: several at a time are sooner done than one after the other."""
    from uapkit import models

    models.load(network)


def digit_names() -> list[str]:
    """Their names in the catalogue."""
    from uapkit import models

    return [name for name in models.list() if name.endswith("_digits")]
