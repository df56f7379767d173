"""What networks and papers are called for people: one name each, and none that looks like a key."""

import re

import pytest
import yaml

from uapkit import names, runner
from uapkit.models.catalogue import own_entries

RAW = re.compile(r"[_\[\]]")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("squeezenet1_0[deepcompressed]", "SqueezeNet 1.0 (compressed)"),
        ("mobilenet_v2[tflite_int8]", "MobileNet v2 (8 bit)"),
        ("bvlc_googlenet", "GoogLeNet"),
        ("bvlc_googlenet[random]", "untrained GoogLeNet"),
        ("squeezenet1_1[gluon]", "SqueezeNet 1.1"),
        ("stdcnn_mnist_rot_sgd_seed1", "StdCNN (SGD, seed 1)"),
        ("vgg_digits", "VGG (digits)"),
        ("my_own_net", "my own net"),
        ("my_own_net[weights_a]", "my own net (weights a)"),
    ],
)
def test_a_network_has_a_name_for_people(key, name):
    assert names.network(key) == name


def test_every_known_network_has_one_and_no_two_share_it():
    keys = [str(entry) for entry in own_entries()]
    named = {key: names.network(key) for key in keys}
    assert [key for key, name in named.items() if RAW.search(name)] == []
    assert len(set(named.values())) == len(keys)
    assert not [key for key in keys if names.readable(key) != named[key]], "in NETWORKS, not made up from the key"


def test_every_network_of_a_stored_run_has_one():
    stored = [name for name in runner.items() if runner.item(name).path("json").is_file()]
    found = {
        str(m) for name in stored for table in [runner.load(name)] if "model" in table for m in table["model"].dropna()
    }
    assert len(found) > 15
    assert sorted(m for m in found if "_" in names.readable(m)) == []


def test_papers_are_those_of_the_catalogue():
    catalogue = yaml.safe_load((runner.project_root() / "uapkit" / "papers" / "items.yml").read_text(encoding="utf-8"))
    assert set(names.PAPERS) == set(catalogue)
    with pytest.raises(ValueError, match=r"no paper 'x2020'; known: moosavi2017"):
        names.paper("x2020")


def test_keys_inside_a_sentence():
    said = names.readable("on squeezenet1_1[gluon], untrained vgg16 and lenet_mnist; see [khrulkov2018].")
    assert said == "on SqueezeNet 1.1, untrained VGG-16 and LeNet; see Khrulkov and Oseledets (2018)."
    for kept in ("stdcnn_mnist_rot.safetensors", "weights/vgg16/x", "myvgg16", "vgg16_bn", "resnet500"):
        assert names.readable(kept) == kept


def test_html_keeps_code_and_links():
    html = (
        '<td title="vgg16">squeezenet1_<wbr>0<wbr>[deepcompressed]</td><code>vgg16</code><a href="vgg16.html">vgg19</a>'
        '<pre><span>vgg16</span></pre><img src="a" alt="of vgg16"><script>"vgg16"</script>'
        " nin_<wbr>cifar10 tab4_<wbr>transfer mobilenet_<wbr>v2<wbr>[tflite_<wbr>int8]"
    )
    assert names.readable_html(html) == (
        '<td title="VGG-16">SqueezeNet 1.0 (compressed)</td><code>vgg16</code><a href="vgg16.html">VGG-19</a>'
        '<pre><span>vgg16</span></pre><img src="a" alt="of VGG-16"><script>"vgg16"</script>'
        " NIN tab4_<wbr>transfer MobileNet v2 (8 bit)"
    )


def test_a_class_behind_its_network_has_its_name():
    assert names.readable("lenet_mnist[gluon] (class 6, positive)") == "LeNet (digit 6, positive)"
    assert names.readable("cifar10_resnet20 (class 6)") == "ResNet-20 (frog)"
    assert names.readable("squeezenet1_1 (class 6)") == "SqueezeNet 1.1 (class 6)"
    assert names.readable_html("<td>lenet_<wbr>mnist<wbr>[gluon] (class 6)</td>") == "<td>LeNet (digit 6)</td>"
