"""Feed one target in this process, which ends with it: ``python -m tests.fuzz.feed TARGET FOLDER [options of libFuzzer]``.

Nothing of the package is imported before atheris watches what is.
"""

import sys

import atheris

WATCHED = ["uapkit", "numpy.lib", "zipfile", "yaml", "nbformat", "torch.serialization", "torch._weights_only_unpickler"]

if __name__ == "__main__":
    with atheris.instrument_imports(include=WATCHED):
        from tests.fuzz import targets
    atheris.Setup([sys.argv[0], *sys.argv[2:]], targets.TARGETS[sys.argv[1]])
    atheris.Fuzz()
