"""Given in assignment 5: derivatives of many images at once, boundary points, and a walk by steps of your own."""

import torch
from torch.func import jacrev, vmap


def logits_and_jacobians(net, x):
    """Logits (n, classes) and their Jacobians (n, classes, d) at the images x (n, d)."""
    one = lambda z: net(z[None])[0]
    return net(x), vmap(jacrev(one))(x)


def walk(net, x, step, overshoot=0.02, max_iter=30):
    """DeepFool with any step: perturbations (n, d) that change the predicted labels; infinite where none was found.

    step(f, jacobian) gets the scores (classes,) and gradients (classes, d) of one image and returns its next step (d,).
    """
    label = net(x).argmax(1)
    total = torch.zeros_like(x)
    for _ in range(max_iter):
        f, jacobians = logits_and_jacobians(net, x + (1 + overshoot) * total)
        rest = (f.argmax(1) == label).nonzero().flatten()
        if not len(rest):
            break
        for i in rest:
            total[i] += step(f[i], jacobians[i])
    r = (1 + overshoot) * total
    return torch.where((net(x + r).argmax(1) != label)[:, None], r, torch.inf)


def boundary_points(net, x, target, max_iter=20):
    """(points, source): images x moved onto the boundary between their predicted class (source) and ``target``.

    Images that the network takes for ``target`` are left out.
    """
    source = net(x).argmax(1)
    x, source = x[source != target], source[source != target]
    points, rows = x.clone(), torch.arange(len(source))
    for _ in range(max_iter):
        f, jacobians = logits_and_jacobians(net, points)
        gap = f[rows, source] - f[:, target]
        w = jacobians[:, target] - jacobians[rows, source]
        points = points + (gap / w.square().sum(1))[:, None] * w
    return points, source
