"""Networks and images of a bench: parts by name that never overlap, one definition of the nulls, tags without a load."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from uapkit import data, evaluate, models
from uapkit.lab import Bench, Run, class_names, for_network, keeping, layers_of, split_name
from uapkit.lab.bench import shards
from uapkit.lab.nulls import NULLS, kind_of, random
from uapkit.lab.run import Arrays, joined, marked
from uapkit.lab.sweep import sweep


def pixels(images):
    return {bytes(x.numpy().tobytes()) for x in images.x}


def test_parts_never_overlap():
    split = Bench("digits", 8, 5, 20).split("linear_digits")
    parts = [pixels(p) for p in (split.fit, split.held_in, split.scored)]
    assert [len(p) for p in parts] == [8, 5, 20]
    assert len(set.union(*parts)) == 33


def test_without_images_held_in_the_fitted_ones_serve():
    split = Bench("digits", 8, 0, 20).split("linear_digits")
    assert split.held_in is split.fit


def test_the_training_split_is_fitted_where_there_is_one():
    split = Bench("digits", 8, 4, 20, from_training=True).split("linear_digits")
    train = pixels(data.load("digits", split="train"))
    assert pixels(split.fit) | pixels(split.held_in) <= train
    assert not pixels(split.scored) & train


def test_settings_by_network_give_each_its_own_images():
    bench = Bench("digits", {"mlp_digits": 4, "default": 8}, 0, {"mlp_digits": 10, "default": 20})
    sizes = {
        name: (len(bench.split(name).fit), len(bench.split(name).scored)) for name in ("mlp_digits", "linear_digits")
    }
    assert sizes == {"mlp_digits": (4, 10), "linear_digits": (8, 20)}


def test_too_few_images_are_named():
    with pytest.raises(
        ValueError, match=r"digits holds \d+ images, but n_fit \+ n_select = 100000 leaves none to score"
    ):
        Bench("digits", 100_000, 0, None).split("linear_digits")
    with pytest.raises(ValueError, match=r"n_fit \+ n_select = 100005 leaves none"):
        Bench("digits", 100_000, 5, None).split("linear_digits")


def test_the_tag_of_weights_is_known_without_a_run():
    bench = Bench("digits", 4, 0, 4)
    assert bench.weights("cifar10_resnet20[random]") == "random"
    assert bench.weights("lenet_mnist") == models.load("lenet_mnist").card.weights != "default"
    assert bench.weights("vgg16") == "IMAGENET1K_V1", "also where they are missing"
    assert bench.weights("no_network") == "default"
    assert split_name("a[b]") == ("a", "b")


def test_flags_are_those_of_evaluate_with_and_without_a_memo(tmp_path):
    v = torch.full((1, 28, 28), 0.4)
    bench = Bench("digits", 8, 8, 64)
    plain = evaluate.fooled(bench.network("linear_digits"), bench.split("linear_digits").scored, v)
    for _ in range(2):
        with keeping(tmp_path) as memo:
            assert torch.equal(Bench("digits", 8, 8, 64).fooled("linear_digits", v), plain)
            assert len(Bench("digits", 8, 8, 64).fooled("linear_digits", v, "held_in")) == 8
    assert memo.computed == 0


def test_an_own_network_goes_by_its_name_and_its_untrained_copy_is_another():
    torch.manual_seed(0)
    own = models.wrap(models.load("linear_digits").net, input_size=(1, 28, 28), name="mine")
    bench = Bench("digits", 8, 0, 20)
    assert bench.names([own, "mlp_digits"]) == ["mine", "mlp_digits"]
    assert bench.network("mine") is own
    fresh, again, other = (bench.untrained("mine", seed) for seed in (0, 0, 1))
    weights = [net.net.fc.weight for net in (own, fresh, again, other)]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[3])


@pytest.mark.parametrize("other", ["linear_digits", models.wrap(torch.nn.Flatten(), name="linear_digits")])
def test_two_networks_of_one_name_are_refused(other):
    own = models.wrap(torch.nn.Flatten(), name="linear_digits")
    for wanted in ([own, "mlp_digits", other], [other, own]):
        with pytest.raises(ValueError, match=r"two of the networks are called 'linear_digits'; .* another name, wrap"):
            Bench("digits", 8, 0, 20).names(wanted)
    assert Bench("digits", 8, 0, 20).names([own, own]) == ["linear_digits"] * 2, "the same one twice is itself"


class Plain(torch.nn.Module):
    """Weights in parameters of its own."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(10, 784))

    def forward(self, x):
        return x.flatten(1) @ self.w.T


class Told(Plain):
    def reset_parameters(self):
        self.w = torch.nn.Parameter(torch.randn(10, 784))


class Attends(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = torch.nn.MultiheadAttention(28, 2, batch_first=True)

    def forward(self, x):
        return self.mix(x[:, 0], x[:, 0], x[:, 0], need_weights=False)[0].mean(1)


def untrained(net):
    bench = Bench("digits", 8, 0, 20)
    (name,) = bench.names([models.wrap(net, input_size=(1, 28, 28), name="mine")])
    return bench.untrained(name)


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (Plain, "w"),
        (lambda: torch.nn.Sequential(torch.nn.Linear(28, 2), torch.nn.Sequential(Plain())), "1.0.w"),
        (
            lambda: torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(28, 2)),
            "parametrizations.weight.original0, parametrizations.weight.original1",
        ),
    ],
)
def test_weights_that_no_module_draws_anew_get_normal_entries_of_their_spread(make, left):
    net = make()
    with torch.no_grad():
        for k, weights in enumerate(net.parameters()):
            weights.copy_(3 + torch.rand(weights.shape, generator=torch.Generator().manual_seed(k)))
    with pytest.warns(UserWarning, match=f"nothing in mine draws {re.escape(left)} anew"):
        fresh = dict(untrained(net).net.named_parameters())
    for name, weights in net.named_parameters():
        assert not bool((fresh[name] == weights).any()), name
    redrawn, was = fresh[left.partition(",")[0]], dict(net.named_parameters())[left.partition(",")[0]]
    assert float(redrawn.mean()) == pytest.approx(float(was.mean()), abs=0.5)
    if was.numel() > 100:
        assert float(redrawn.std()) == pytest.approx(float(was.std()), rel=0.1)


def test_a_network_without_parameters_has_no_untrained_copy():
    with pytest.raises(ValueError, match="mine has no parameters, so there is no untrained copy"):
        untrained(torch.nn.Flatten())


@pytest.mark.parametrize("name", ["gcnn_digits", "roteqnet_digits", "stdcnn_digits", "vgg_digits", "cifar10_resnet20"])
def test_the_untrained_copy_of_a_network_of_ours_is_drawn_as_the_catalogue_draws_it(name, recwarn):
    net = models.load(name, weights="random").net
    as_drawn = {key: weights.double().clone() for key, weights in net.state_dict().items()}
    for weights in net.state_dict().values():
        weights.mul_(5).add_(3)
    fresh = untrained(net).net.state_dict()
    assert not [warning for warning in recwarn if "anew" in str(warning.message)]
    for key, weights in as_drawn.items():
        assert float(fresh[key].double().mean()) == pytest.approx(float(weights.mean()), abs=0.3), key
        assert float(fresh[key].double().std(correction=0)) == pytest.approx(
            float(weights.std(correction=0)), rel=0.5, abs=0.05
        ), key


@pytest.mark.parametrize("make", [Told, Attends, lambda: torch.nn.BatchNorm2d(1)])
def test_an_untrained_copy_is_fresh_in_every_parameter(make):
    net = make()
    with torch.no_grad():
        for weights in net.parameters():
            weights.fill_(7.0)
    for weights in untrained(net).net.parameters():
        assert not bool((weights == 7).any())
        assert not weights.requires_grad


def test_values_by_network():
    value = {"a": 1, "b[x]": 2, "default": 3}
    assert [for_network(value, name) for name in ("a", "a[t]", "b[x]", "b", "c")] == [1, 1, 2, 3, 3]
    assert for_network(5, "a") == 5
    assert for_network({"other": 4}, "c") == 4
    with pytest.raises(ValueError, match="n_fit by network needs a value for 'c'"):
        for_network({"a": 1}, "c", "n_fit")


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_random_nulls_have_the_size_and_differ_by_name(norm):
    a, again, b = (random((1, 8, 8), eps=0.5, norm=norm, seed=0, name=name) for name in ("x 0", "x 0", "x 1"))
    assert float(torch.linalg.vector_norm(a.double(), norm)) == pytest.approx(0.5)
    assert torch.equal(a, again)
    assert not torch.equal(a, b)
    assert kind_of(norm) in NULLS


def test_rows_of_a_null_are_marked_and_an_item_that_says_it_itself_is_believed():
    table = sweep(
        [{"model": "a"}], lambda model: [{"kind": "random signs"}, {"kind": "UAP"}, {"kind": "randomly good"}]
    )
    assert marked(table)["is_null"].tolist() == [True, False, False]
    assert marked(table.assign(is_null=[False, True, False]))["is_null"].tolist() == [False, True, False]


def test_a_run_gives_rows_flags_and_networks():
    def point(model):
        if model == "gone":
            from uapkit.checks import NotHere

            raise NotHere("no weights")
        return [{"kind": kind, "rate": 0.5} for kind in ("UAP", "random signs")], {
            f"fooled/{model}/UAP/0": torch.ones(2)
        }

    table = joined([sweep([{"model": name}], point) for name in ("a", "gone", "b")])
    run = Run.of(table)
    assert [name for name, _ in run.by_network()] == ["a", "b"]
    assert len(run.rows) == 4
    assert run.measured["kind"].tolist() == ["UAP", "UAP"]
    assert len(run.all_flags("fooled", "a")) == 1
    assert len(run.where(model="a", kind=["UAP", "x"])) == 1
    with pytest.raises(KeyError, match="fooled/c/UAP/0"):
        run.flags("fooled", "c", "UAP", 0)
    assert run.table.attrs == {}, "pandas copies attributes at every step"


def test_arrays_are_shared_when_pandas_copies_a_table():
    table = sweep([{"model": "a"}], lambda model: ([{"k": 1}], {"v": torch.ones(3)}))
    assert isinstance(table.attrs["arrays"], Arrays)
    assert table[table["k"] == 1].attrs["arrays"]["v"] is table.attrs["arrays"]["v"]


def test_an_item_may_say_what_a_null_is_though_a_network_is_not_here():
    """Rows that were not run say nothing of it: read from a file, the column is then one of objects."""
    table = pd.DataFrame(
        {"model": ["a", "a", "b"], "status": ["run", "run", "not run here"], "is_null": [False, True, None]}
    )
    assert Run.of(table).measured.index.tolist() == [0]
    assert Run.of(table).table["is_null"].tolist() == [False, True, False]


def test_a_network_without_activations_is_asked_for_its_layers_by_name():
    linear = models.load("linear_digits")
    with pytest.raises(
        ValueError, match=r"linear_digits has no activation or pooling to attack; name layers .* among .*logits"
    ):
        layers_of(linear, None, "linear_digits", 5)
    assert layers_of(linear, ["logits"], "linear_digits", 5) == ["logits"]
    mlp = models.load("mlp_digits")
    assert set(layers_of(mlp, None, "mlp_digits", 2)) <= set(mlp.layers(kind="activation"))


def test_layers_are_taken_as_asked_for_or_spread_evenly():
    mlp = models.load("mlp_digits")
    net = models.wrap(
        torch.nn.Sequential(torch.nn.Flatten(), *[torch.nn.ReLU() for _ in range(9)]), input_size=(1, 2, 2)
    )
    names = net.layers(kind="activation")
    assert layers_of(net, None, "x", 1) == names[:1]
    assert layers_of(net, None, "x", 3) == [names[0], names[4], names[8]]
    assert layers_of(net, None, "x", 100) == names
    assert layers_of(mlp, {"mlp_digits": ["a"]}, "mlp_digits[tag]", 1) == ["a"], "with or without the tag"
    assert layers_of(mlp, {"mlp_digits[tag]": ("b",), "mlp_digits": ["a"]}, "mlp_digits[tag]", 1) == ["b"]
    assert layers_of(net, {"another": ["a"]}, "x", 1) == names[:1]


def test_a_table_says_weights_and_data_of_each_network():
    bench = Bench({"linear_digits": "digits", "other": "mnist"}, 4, 0, 4)
    table = bench.told(pd.DataFrame({"model": ["linear_digits", "vgg16"], "rate": [0.1, 0.2]}))
    assert list(table) == ["model", "weights", "rate", "data"]
    assert table["data"].tolist() == ["digits", "mnist"]
    assert table["weights"].tolist() == [bench.weights("linear_digits"), "IMAGENET1K_V1"]
    assert bench.told(pd.DataFrame({"model": ["vgg16"], "data": ["x"]}))["data"].tolist() == ["x"]


def test_classes_have_their_names_or_numbers():
    assert class_names(models.load("linear_digits"))[:3] == ("0", "1", "2")
    named = models.wrap(torch.nn.Flatten(), classes=("cat", "dog"))
    assert class_names(named) == ("cat", "dog")
    assert class_names(models.wrap(torch.nn.Flatten()))[9999:] == ("9999",)


def test_images_are_scored_in_parts_that_are_all_of_them():
    images = data.load("digits")
    assert [part is images for part in shards(images)] == [True]
    full = type(images)(torch.zeros(10_000, 1, 1, 1), None, name="as many as fit")
    assert [part is full for part in shards(full)] == [True]
    large = type(images)(torch.arange(20_001.0).view(-1, 1, 1, 1) / 20_001, None, name="many")
    assert [len(part) for part in shards(large)] == [10_000, 10_000, 1]
    assert torch.equal(torch.cat([part.x for part in shards(large)]), large.x)


def test_clean_labels_are_those_of_each_part():
    bench = Bench("digits", 8, 6, 20)
    split, net = bench.split("linear_digits"), bench.network("linear_digits")
    for part in ("fit", "held_in", "scored"):
        assert torch.equal(bench.clean("linear_digits", part), evaluate.labels(net, getattr(split, part)))
    with pytest.raises(ValueError, match="unknown part of the images 'test'"):
        bench.clean("linear_digits", "test")
    assert bench.shape("linear_digits") == (1, 28, 28)


def test_untrained_copies_come_from_their_seed():
    bench = Bench("digits", 4, 0, 4, seed=3)
    weights = [bench.untrained("linear_digits", seed).net.fc.weight for seed in (None, 3, 4)]
    assert torch.equal(weights[0], weights[1]), "the seed of the bench"
    assert not torch.equal(weights[0], weights[2])
    before = torch.random.get_rng_state()
    own = models.wrap(models.load("mlp_digits").net, input_size=(1, 28, 28), name="mine")
    bench.names([own])
    assert torch.equal(*(bench.untrained("mine", seed)(torch.ones(1, 1, 28, 28)) for seed in (None, 3)))
    assert torch.equal(torch.random.get_rng_state(), before), "nobody else's draws are moved"


def test_another_seed_draws_other_images_and_all_come_in_their_own_order():
    first, again, other = (pixels(Bench("digits", 8, 0, 20, seed=s).split("linear_digits").scored) for s in (0, 0, 1))
    assert first == again != other
    whole = Bench("digits", 8, 4, None).split("linear_digits")
    assert len(whole.fit) + len(whole.held_in) + len(whole.scored) == len(data.load("digits"))


def test_photographs_are_resized_to_the_network_and_drawings_are_not():
    small = models.wrap(torch.nn.Flatten(), input_size=(3, 24, 24), name="small")
    own = models.wrap(torch.nn.Flatten(), input_size=(1, 28, 28), name="own")
    free = models.wrap(torch.nn.Flatten(), name="free")
    bench = Bench({"small": "pictures", "own": "digits", "free": "pictures"}, 1, 0, 1)
    bench.names([small, own, free])
    assert bench.split("small").fit.shape == (3, 24, 24)
    assert bench.split("own").fit.shape == (1, 28, 28)
    assert min(bench.split("free").fit.shape[1:]) > 24, "a network of any size takes them as they are"


def written(folder, *sizes):
    """A folder of pictures of these sizes, (height, width)."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for k, size in enumerate(sizes):
        Image.fromarray(noise.integers(0, 255, (*size, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return str(folder)


@pytest.mark.parametrize("resize", ["squash", "squash256", "crop"])
def test_an_own_folder_is_fitted_to_the_network_and_left_alone_where_it_fits(tmp_path, resize):
    folders = {
        "same": written(tmp_path / "same", *[(24, 24)] * 4),
        "large": written(tmp_path / "large", *[(48, 48)] * 4),
        "mixed": written(tmp_path / "mixed", (24, 24), (24, 24), (24, 24), (30, 20)),
    }
    for name, size in (("small", (3, 24, 24)), ("free", None)):
        bench = Bench(folders["same"], 2, 1, 1, resize=resize)
        bench.names([models.wrap(torch.nn.Flatten(), input_size=size, name=name)])
        split = bench.split(name)
        assert torch.equal(split.fit.x, data.load(folders["same"], n=4, seed=0).x[:2]), "not a bit changes"
        for which, without in (("large", (48, 48)), ("mixed", (224, 224))):
            bench.data = folders[which]
            split = bench.split(name)
            assert split.fit.shape == split.scored.shape == ((3, 24, 24) if size else (3, *without))
            if split.fit.shape[1:] != (48, 48):
                side = split.fit.shape[-1]
                as_asked = data.load(folders[which], n=4, seed=0, size=side, resize=resize).x[:2]
                assert torch.equal(split.fit.x, as_asked), "resized as the bench says, with an input_size or without"


def test_pictures_are_made_squares_only(tmp_path):
    wide = models.wrap(torch.nn.Flatten(), input_size=(3, 20, 30), name="wide")
    bench = Bench(written(tmp_path / "wide", *[(20, 30)] * 3), 1, 0, 2)
    bench.names([wide])
    assert bench.split("wide").fit.shape == (3, 20, 30)
    bench.data = written(tmp_path / "other", *[(30, 20)] * 3)
    with pytest.raises(ValueError, match=r"made squares, but the network's input_size is \(3, 20, 30\); give a folder"):
        bench.split("wide")
    bench.data = "no_such_set"
    with pytest.raises(ValueError, match="unknown data set"):
        bench.split("wide")
