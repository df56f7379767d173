"""The curves of another network: only the norm called small where no other is asked for."""

from uapkit.papers.equivariant2019 import ext_roteqnet_fooling


def test_ext_roteqnet_fooling(small, net):
    table = ext_roteqnet_fooling.run(**small, attacks=("gradient",), samples=(20, 60), n_eval=30, norms=(), passes=1)
    assert set(table["model"]) == {net}
    assert set(table["relative_norm"].dropna()) == {0.5}
