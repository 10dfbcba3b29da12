"""Layers, functions and losses one by one: results and gradients of inputs and parameters are those of eager.

Each is one graph on the engine, forward and backward; settings are such that ignoring one of them shows.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ane_trainer.torch import report, strict

Made = Callable[[], nn.Module]

# Name: a layer, and the shape of what it is given.
LAYERS: dict[str, tuple[Made, tuple[int, ...]]] = {
    "layer_norm": (lambda: nn.LayerNorm(12, eps=0.5), (4, 6, 12)),
    "layer_norm_of_two_axes": (lambda: nn.LayerNorm((6, 12), eps=0.5, bias=False), (4, 6, 12)),
    "layer_norm_without_affine": (lambda: nn.LayerNorm(12, elementwise_affine=False), (4, 12)),
    "group_norm": (lambda: nn.GroupNorm(2, 8, eps=0.5), (4, 8, 5, 5)),
    "instance_norm": (lambda: nn.InstanceNorm2d(4, affine=True), (3, 4, 5, 5)),
    "rms_norm": (lambda: nn.RMSNorm(12, eps=0.5), (4, 6, 12)),
    "batch_norm_1d": (lambda: nn.BatchNorm1d(6, eps=0.5), (16, 6)),
    "batch_norm_of_sequences": (lambda: nn.BatchNorm1d(6), (8, 6, 5)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1, stride=2), (3, 4, 9)),
    "conv2d_in_groups": (lambda: nn.Conv2d(4, 8, 3, groups=2, dilation=2, padding=2), (2, 4, 9, 9)),
    "conv2d_depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False), (2, 4, 7, 7)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 3, 4, stride=2, padding=1), (2, 4, 6)),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 3, 3, stride=2, output_padding=1), (2, 4, 5, 5)),
    "max_pool": (lambda: nn.MaxPool2d(3, stride=2, padding=1), (2, 3, 9, 9)),
    "avg_pool": (lambda: nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 3, 9, 9)),
    "adaptive_avg_pool": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (2, 3, 8, 9)),
    "upsample_nearest": (lambda: nn.Upsample(scale_factor=2), (2, 3, 5, 4)),
    "upsample_bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 5, 4)),
    "upsample_corners": (
        lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        (2, 3, 5, 4),
    ),
    "zero_pad": (lambda: nn.ZeroPad2d((1, 2, 0, 3)), (2, 3, 4, 5)),
    "relu6": (nn.ReLU6, (4, 33)),
    "leaky_relu": (lambda: nn.LeakyReLU(0.3), (4, 33)),
    "elu": (lambda: nn.ELU(0.7), (4, 33)),
    "selu": (nn.SELU, (4, 33)),
    "celu": (lambda: nn.CELU(0.7), (4, 33)),
    "gelu": (nn.GELU, (4, 33)),
    "gelu_tanh": (lambda: nn.GELU("tanh"), (4, 33)),
    "silu": (nn.SiLU, (4, 33)),
    "mish": (nn.Mish, (4, 33)),
    "softplus": (lambda: nn.Softplus(2.0), (4, 33)),
    "hardswish": (nn.Hardswish, (4, 33)),
    "hardsigmoid": (nn.Hardsigmoid, (4, 33)),
    "hardtanh": (lambda: nn.Hardtanh(-0.5, 0.8), (4, 33)),
    "log_sigmoid": (nn.LogSigmoid, (4, 33)),
    "softsign": (nn.Softsign, (4, 33)),
    "tanhshrink": (nn.Tanhshrink, (4, 33)),
    "prelu": (lambda: nn.PReLU(6), (4, 6, 5)),
    "softmax": (lambda: nn.Softmax(1), (4, 6, 5)),
    "log_softmax": (lambda: nn.LogSoftmax(-1), (4, 6)),
    "glu": (nn.GLU, (4, 12)),
    "flatten_and_linear": (lambda: nn.Sequential(nn.Flatten(1, 2), nn.Linear(12, 3)), (2, 3, 4)),
    "attention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), (2, 5, 8)),
}

Function = Callable[[Tensor], Tensor]

# Name: a function of [4, 6] whose gradient has a form of its own.
FUNCTIONS: dict[str, Function] = {
    "gather": lambda x: x.gather(1, torch.tensor([[1], [0], [5], [2]])),
    "index_select": lambda x: x.index_select(0, torch.tensor([2, 2, 0])),
    "causal_mask": lambda x: (x @ x.t() + torch.triu(torch.full((4, 4), -torch.inf), 1)).softmax(1),
    "tril": lambda x: torch.tril(x @ x.t(), -1),
    "where": lambda x: torch.where(x > 0, x * 2, -x),
    "masked_fill": lambda x: x.masked_fill(x > 0.5, 0.25),
    "clamp": lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0.1),
    "maximum": lambda x: torch.maximum(x, 0.2 * x) + torch.minimum(x, x * x),
    "cumsum": lambda x: x.cumsum(1),
    "variance": lambda x: x.var(1) + x.std(0).sum(),
    "norm": lambda x: x.norm(dim=1),
    "pow": lambda x: x.abs().pow(1.5) + x**3,
    "trigonometry": lambda x: x.sin() * x.cos(),
    "exponentials": lambda x: x.exp().log1p() + torch.expm1(x) + x.sigmoid().rsqrt(),
    "logsumexp": lambda x: x.logsumexp(1),
    "amax": lambda x: x.amax(1),
    "stack_and_split": lambda x: torch.stack(x.split([1, 3], 0)[1].unbind(0), 1),
    "strided_slices": lambda x: x[::2, 1::2] * x[1::2, ::2],
    "repeats": lambda x: x.repeat(2, 1) * x.repeat_interleave(2, 0),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "pad": lambda x: F.pad(x, (1, 2)) * 2,
}

CLASSES = torch.tensor([0, 3, -100, 2])
WEIGHTS = torch.tensor([1.0, 0.5, 2.0, 0.25, 1.5, 1.0])
REALS = torch.linspace(-1, 1, 24).reshape(4, 6)
SHARES = REALS.softmax(1)

LOSSES: dict[str, Function] = {
    "cross_entropy_ignoring": lambda x: F.cross_entropy(x, CLASSES),
    "cross_entropy_weighted": lambda x: F.cross_entropy(x, CLASSES, WEIGHTS),
    "cross_entropy_smoothed": lambda x: F.cross_entropy(x, CLASSES, label_smoothing=0.2),
    "cross_entropy_of_shares": lambda x: F.cross_entropy(x, SHARES),
    "cross_entropy_summed": lambda x: F.cross_entropy(x, CLASSES, reduction="sum"),
    "cross_entropy_each": lambda x: F.cross_entropy(x, CLASSES, reduction="none"),
    "mse": lambda x: F.mse_loss(x, REALS),
    "l1": lambda x: F.l1_loss(x, REALS),
    "huber": lambda x: F.huber_loss(x, REALS, delta=0.3),
    "smooth_l1": lambda x: F.smooth_l1_loss(x, REALS, beta=0.3),
    "bce": lambda x: F.binary_cross_entropy_with_logits(x, SHARES, pos_weight=WEIGHTS),
    "kl_div": lambda x: F.kl_div(x.log_softmax(1), SHARES, reduction="batchmean"),
}


def check(forward: Callable[..., Tensor], parameters: list[Tensor], x: Tensor) -> None:
    given = x.clone().requires_grad_()
    expected = forward(given)
    weight = torch.randn(expected.shape)
    exact = torch.autograd.grad((expected * weight).sum(), [given, *parameters])
    before = len(report().graphs)
    with strict():
        compiled = torch.compile(forward, backend="ane", dynamic=False, fullgraph=True)
        given = x.clone().requires_grad_()
        found = compiled(given)
        gradients = torch.autograd.grad((found * weight).sum(), [given, *parameters])
    assert [g.direction for g in report().graphs[before:]] == ["forward", "backward"]
    for a, b in zip((found, *gradients), (expected, *exact), strict=True):
        size = max(b.abs().max().item(), 1e-2)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-2 * size)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_that_of_eager(name: str) -> None:
    torch.manual_seed(0)
    made, shape = LAYERS[name]
    module = made().train()
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn_like(p) * 0.2)

    def forward(x: Tensor) -> Tensor:
        if isinstance(module, nn.MultiheadAttention):
            result: Tensor = module(x, x, x, need_weights=False)[0]
            return result
        result = module(x)
        return result

    check(forward, list(module.parameters()), torch.randn(shape))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_that_of_eager(name: str) -> None:
    torch.manual_seed(0)
    check(FUNCTIONS[name], [], torch.randn(4, 6))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_eager(name: str) -> None:
    torch.manual_seed(0)
    check(LOSSES[name], [], torch.randn(4, 6))


@pytest.mark.parametrize("padding", [None, 2])
def test_an_embedding_is_that_of_eager(padding: int | None) -> None:
    torch.manual_seed(0)
    module = nn.Embedding(7, 5, padding_idx=padding)
    indices = torch.tensor([[0, 2, 2], [6, 2, 1]])
    check(lambda scale: module(indices) * scale, [module.weight], torch.randn(5))
