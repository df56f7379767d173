import math
import warnings

import pytest
import torch
from torch import nn

from uapkit.attacks import fgsm, loss_gradient, saliency
from uapkit.data import Images


def net(seed: int = 0, classes: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 9, classes)).double().eval()


def affine(w: torch.Tensor, b: torch.Tensor) -> nn.Module:
    layer = nn.Linear(w.shape[1], w.shape[0]).to(w.dtype)
    with torch.no_grad():
        layer.weight.copy_(w)
        layer.bias.copy_(b)
    return nn.Sequential(nn.Flatten(), layer).eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(6, 1, 5, 5, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_loss_gradient_is_that_of_the_cross_entropy(x, batch_size):
    model, y = net(), torch.tensor([0, 1, 2, 3, 0, 1])
    z = x.clone().requires_grad_()
    nn.functional.cross_entropy(model(z), y, reduction="sum").backward()
    assert torch.allclose(loss_gradient(model, x, y, batch_size=batch_size), z.grad, rtol=1e-9, atol=1e-12)


def test_without_labels_the_predicted_ones_count_also_for_images_with_labels(x):
    model = net()
    predicted = model(x).argmax(1)
    wrong = (predicted + 1) % 4
    assert torch.equal(loss_gradient(model, x), loss_gradient(model, x, predicted))
    model.float()
    images = Images(x.float(), wrong, tuple("abcd"), "test")
    assert torch.equal(loss_gradient(model, images), loss_gradient(model, images.x, predicted))
    assert not torch.allclose(loss_gradient(model, images, images.y), loss_gradient(model, images))


def test_sure_predictions_keep_the_right_direction_in_float32():
    # the gap of 40 makes softmax exactly 1 in float32; the true direction is w_1 - w_0
    w = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    model = affine(w, torch.tensor([40.0, 0.0]))
    g = loss_gradient(model, torch.full((1, 1, 1, 2), 0.5)).flatten()
    assert g[1] > 0
    assert torch.allclose(g / g.norm(), torch.tensor([-1.0, 1.0]) / math.sqrt(2))


def test_fgsm_is_the_sign_times_eps(x):
    model = net()
    step = fgsm(model, x, eps=0.1)
    assert torch.equal(step, 0.1 * loss_gradient(model, x).sign())
    assert not fgsm(model, x, eps=0).any()
    with pytest.warns(UserWarning, match="1 on the scale of 0 to 255 is 1/255"):
        fgsm(model, x, eps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fgsm(model, x, eps=0.99)
    dead = affine(torch.zeros(3, 25).double(), torch.arange(3.0))
    assert not fgsm(dead, x, eps=0.1).any()


def test_saliency_of_an_affine_network_is_the_weight_row(x):
    w = torch.randn(4, 25, generator=torch.Generator().manual_seed(3)).double()
    model = affine(w, torch.zeros(4))
    assert torch.allclose(saliency(model, x, 2), w[2].view(1, 1, 5, 5).expand(6, 1, 5, 5))
    target = torch.tensor([0, 1, 2, 3, 2, 1])
    assert torch.allclose(saliency(model, x, target).flatten(1), w[target])
    assert torch.allclose(saliency(model, x).flatten(1), w[model(x).argmax(1)])
    assert torch.equal(saliency(model, x, torch.tensor(3)), saliency(model, x, target=3))
    with torch.inference_mode():
        assert torch.allclose(saliency(model, x.clone(), batch_size=4).flatten(1), w[model(x).argmax(1)])


def test_bad_arguments_are_named(x):
    model = net()
    with pytest.raises(ValueError, match="eps must lie in"):
        fgsm(model, x, eps=-0.1)
    with pytest.raises(ValueError, match=r"eps must lie in .*, got inf"):
        fgsm(model, x, eps=math.inf)
    with pytest.raises(ValueError, match=r"classes in \[0, 3\], got 0 to 4"):
        loss_gradient(model, x, torch.tensor([0, 1, 2, 3, 4, 0]))
    with pytest.raises(ValueError, match="one an image"):
        loss_gradient(model, x, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"classes in \[0, 3\], got 0 to 7"):
        loss_gradient(model, x, torch.tensor([0, 1, 2, 3, 7, 0]))
    for outside in (-1, 4, 5):
        with pytest.raises(ValueError, match=rf"target must hold classes in \[0, 3\], got {outside} to {outside}"):
            saliency(model, x, outside)
    for odd in (torch.rand(6), torch.ones(6, dtype=torch.bool), torch.ones(6, dtype=torch.complex64)):
        with pytest.raises(ValueError, match="integer class"):
            saliency(model, x, odd)
    with pytest.raises(ValueError, match=r"one an image, shape \(6,\), got torch.int64 of shape \(6, 1\)"):
        saliency(model, x, torch.ones(6, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"y must hold classes in \[0, 3\], got -1 to 3"):
        loss_gradient(model, x, torch.tensor([0, 1, 2, 3, -1, 0]))
    with pytest.raises(ValueError, match="batch_size"):
        loss_gradient(model, x, batch_size=0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        loss_gradient(model, x * 255)
    with pytest.raises(ValueError, match="training mode"):
        loss_gradient(net().train(), x)


def test_foolbox_takes_the_same_step_of_signs(x):
    foolbox = pytest.importorskip("foolbox")
    model, y = net().float(), torch.tensor([0, 1, 2, 3, 0, 1])
    images = x.float()
    peer = foolbox.PyTorchModel(model, bounds=(-9, 9), device="cpu")
    attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    theirs = attack(peer, images, foolbox.criteria.Misclassification(y), epsilons=0.01)[0]
    assert torch.allclose(fgsm(model, images, y, eps=0.01), theirs - images, atol=1e-6)


def test_gradients_are_finite_differences_in_float64(x):
    """Central differences of the loss and of one class's score, in every pixel of two images."""
    model, y, h = net(), torch.tensor([2, 0]), 1e-5
    two = x[:2]

    def differences(score):
        moved = [(score(two + h * e) - score(two - h * e)) / (2 * h) for e in torch.eye(25).double().view(25, 1, 5, 5)]
        return torch.stack(moved, 1).view_as(two)

    def loss(z):
        return nn.functional.cross_entropy(model(z), y, reduction="none")

    top = model(two).argmax(1, keepdim=True)
    assert torch.allclose(loss_gradient(model, two, y), differences(loss), rtol=1e-6, atol=1e-9)
    assert torch.allclose(
        saliency(model, two), differences(lambda z: model(z).gather(1, top)[:, 0]), rtol=1e-6, atol=1e-9
    )
