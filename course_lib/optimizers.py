"""The optimizer: AdamW for the small fry, Muon for the matrices. (Jordan et al. 2024; Liu et al. 2025.)

Muon takes a momentum step whose singular values have all been made about equal, so that no direction of a weight
matrix is left behind because its gradients are small. Trained side by side, it came to the same loss in fewer pictures.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

# Left to AdamW: narrower matrices (first and last layers), and those whose rounds would cost more than all the rest.
SMALLEST_SIDE, LARGEST_SIDE = 32, 255


def orthogonalise(stacks: list[Tensor], rounds: int = 5) -> list[Tensor]:
    """Stacks of matrices (n, rows, columns) -> the same singular vectors, singular values near 1 (0.7 to 1.2; less if
    tiny).

    A quintic Newton-Schulz iteration, x <- (a + b x x' + c (x x')^2) x; the coefficients are Jordan's, chosen for
    speed, not for exactness. It runs on x x' alone, which is the smaller matrix, and is applied to x once, at the end;
    so all matrices whose shorter sides agree go through their rounds together.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = [stack.mT if stack.shape[1] > stack.shape[2] else stack for stack in stacks]
    wide = [x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7) for x in wide]
    alike = defaultdict(list)
    for i, x in enumerate(wide):
        alike[x.shape[1]].append(i)
    for some in alike.values():
        gram, product = torch.cat([torch.bmm(wide[i], wide[i].mT) for i in some]), None
        for _ in range(rounds):
            factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
            factor.diagonal(dim1=1, dim2=2).add_(a)
            product = factor if product is None else torch.bmm(factor, product)
            gram = torch.bmm(torch.bmm(factor, gram), factor)
        for i, part in zip(some, product.split([len(wide[i]) for i in some])):
            wide[i] = torch.bmm(part, wide[i])
    return [x.mT if stack.shape[1] > stack.shape[2] else x for x, stack in zip(wide, stacks)]


def is_matrix(layer: nn.Module) -> bool:
    """Whether a layer's weight is one that Muon should move: linear or convolution, neither too narrow nor too wide."""
    return (isinstance(layer, (nn.Linear, nn.Conv2d))
            and SMALLEST_SIDE <= min(layer.weight.flatten(1).shape) <= LARGEST_SIDE)


class Muon(torch.optim.Optimizer):
    """Muon for the weights of linear and convolution layers, AdamW for everything else, with one learning rate.

    Muon's step is scaled to the size that AdamW's would have (0.2 sqrt(longer side); Liu et al. 2025, eq. 4).
    Everything is done to many weights at once, since a GPU would wait for a hundred small orders.
    """

    def __init__(self, network: nn.Module, lr: float, momentum: float = 0.95, betas: tuple[float, float] = (0.9, 0.99),
                 weight_decay: float = 0.01):
        matrices = {id(layer.weight) for layer in network.modules() if is_matrix(layer)}
        groups = [{"params": [p for p in network.parameters() if (id(p) in matrices) == muon], "muon": muon}
                  for muon in (True, False)]
        super().__init__([group for group in groups if group["params"]],
                         {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                (self._muon if group["muon"] else self._adamw)(parameters, group)

    def _muon(self, parameters: list[Tensor], group: dict) -> None:
        alike = defaultdict(list)
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            alike[parameter.flatten(1).shape].append(parameter)
        gradients = [parameter.grad for parameter in parameters]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = dict(zip(parameters, torch._foreach_lerp(gradients, momenta, group["momentum"])))  # Nesterov
        updates = orthogonalise([torch.stack([ahead[parameter].flatten(1) for parameter in some])
                                 for some in alike.values()])
        for (shape, some), stack in zip(alike.items(), updates):
            steps = [update.view_as(parameter) for update, parameter in zip(stack.contiguous(), some)]
            torch._foreach_add_(some, steps, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)

    def _adamw(self, parameters: list[Tensor], group: dict) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] |= {"step": torch.zeros(()), "mean": torch.zeros_like(parameter),
                                          "square": torch.zeros_like(parameter)}
            self.state[parameter]["step"] += 1
        means, squares = ([self.state[parameter][key] for parameter in parameters] for key in ("mean", "square"))
        gradients, (b1, b2) = [parameter.grad for parameter in parameters], group["betas"]
        step = self.state[parameters[0]]["step"].item()  # the same for all: they are trained from the first step on
        torch._foreach_lerp_(means, gradients, 1 - b1)
        torch._foreach_mul_(squares, b2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - b2)
        below = torch._foreach_div(squares, 1 - b2**step)
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, 1e-8)
        torch._foreach_addcdiv_(parameters, means, below, -group["lr"] / (1 - b1**step))
