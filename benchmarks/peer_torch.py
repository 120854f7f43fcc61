"""CycleGAN as published, from stock PyTorch layers, timed on request: the other side of bench_peer.py.

Needs PyTorch and numpy only, so that it runs in an environment of its own. Reads a JSON object per line from stdin and
answers each with one on stdout:

    -> {"kind": "train", "crops": "crops.npy", "batch": 1, "precision": "float32"}       one training step
    -> {"kind": "translate", "crops": "window.npy", "batch": 1, "precision": "mixed_bfloat16"}       one pass of G
    <- {"seconds": 3.21, "layout": "channels_last"}

The first of equal requests builds the networks and runs them once in each memory layout; the faster one stays.

Reference: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017, with the
authors' settings: ResNet of 9 blocks with 64 channels, instance norm and reflection padding, 70x70 patches, least
squares, λ = 10, identity 0.5·λ, Adam 2e-4 with β₁ = 0.5. Left out, as they take hardly any time: the history of 50
translations for D and the decay of the learning rate.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable

import numpy as np

try:
    import torch
    from torch import nn
except ImportError:
    print(json.dumps({"error": f"PyTorch is not installed for {sys.executable}"}), flush=True)
    sys.exit(0)

CYCLE_WEIGHT, IDENTITY_WEIGHT = 10.0, 5.0
_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Residual(nn.Module):
    """x + h(x), two convolutions of 3x3: [n, c, h, w] -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def generator(*, width: int = 64, blocks: int = 9) -> nn.Sequential:
    """c7s1-64, d128, d256, R256 × 9, u128, u64, c7s1-3: [n, 3, h, w] -> the same, in [-1, 1]."""

    def norm_act(channels: int) -> list[nn.Module]:
        return [nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]

    return nn.Sequential(
        nn.ReflectionPad2d(3),
        nn.Conv2d(3, width, 7),
        *norm_act(width),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        *norm_act(2 * width),
        nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
        *norm_act(4 * width),
        *(Residual(4 * width) for _ in range(blocks)),
        nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1),
        *norm_act(2 * width),
        nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
        *norm_act(width),
        nn.ReflectionPad2d(3),
        nn.Conv2d(width, 3, 7),
        nn.Tanh(),
    )


def discriminator(*, width: int = 64) -> nn.Sequential:
    """C64-C128-C256-C512 and a score per patch of 70x70 px: [n, 3, h, w] -> [n, 1, h/8 - 2, w/8 - 2]."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    for factor, stride in ((2, 2), (4, 2), (8, 1)):
        layers += [
            nn.Conv2d(factor // 2 * width, factor * width, 4, stride=stride, padding=1),
            nn.InstanceNorm2d(factor * width),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, padding=1))


class CycleGAN:
    """Both generators, both discriminators, their optimisers.

    Args:
        layout: a key of the memory layouts.
        precision: "float32", or "mixed_bfloat16" for autocast.
        width: of the first layers; 64 is published.
    """

    def __init__(self, *, layout: str, precision: str, width: int = 64) -> None:
        torch.manual_seed(0)
        self._format = _LAYOUTS[layout]
        self._bfloat16 = precision == "mixed_bfloat16"
        self.to_style, self.to_content = (self._place(generator(width=width)) for _ in range(2))
        self.of_style, self.of_content = (self._place(discriminator(width=width)) for _ in range(2))
        self._g_optimizer, self._d_optimizer = (
            torch.optim.Adam(
                itertools.chain(*(network.parameters() for network in pair)), lr=2e-4, betas=(0.5, 0.999)
            )
            for pair in ((self.to_style, self.to_content), (self.of_style, self.of_content))
        )

    def _place(self, network: nn.Module) -> nn.Module:
        return network.to(memory_format=self._format)

    def step(self, a: torch.Tensor, b: torch.Tensor) -> None:
        """One update of all four networks; a, b [n, 3, h, w] float32 in [-1, 1]."""
        a, b = (x.contiguous(memory_format=self._format) for x in (a, b))
        l1 = nn.functional.l1_loss

        # Generators; their discriminators are held still.
        self._require_d_gradients(False)
        self._g_optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            fake_b, fake_a = self.to_style(a), self.to_content(b)
            cycle = l1(self.to_content(fake_b), a) + l1(self.to_style(fake_a), b)
            identity = l1(self.to_style(b), b) + l1(self.to_content(a), a)
            adversarial = _squares(self.of_style(fake_b), 1.0) + _squares(self.of_content(fake_a), 1.0)
            loss = adversarial + CYCLE_WEIGHT * cycle + IDENTITY_WEIGHT * identity
        loss.backward()
        self._g_optimizer.step()

        # Discriminators
        self._require_d_gradients(True)
        self._d_optimizer.zero_grad()
        for network, real, fake in ((self.of_style, b, fake_b), (self.of_content, a, fake_a)):
            with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
                loss = 0.5 * (_squares(network(real), 1.0) + _squares(network(fake.detach()), 0.0))
            loss.backward()
        self._d_optimizer.step()

    def translate(self, a: torch.Tensor) -> None:
        """One pass of the generator without gradients."""
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            self.to_style(a.contiguous(memory_format=self._format))

    def _require_d_gradients(self, wanted: bool) -> None:
        for network in (self.of_style, self.of_content):
            network.requires_grad_(wanted)


def _squares(scores: torch.Tensor, target: float) -> torch.Tensor:
    return torch.mean(torch.square(scores.float() - target))


def _runner(request: dict, layout: str) -> Callable[[], None]:
    crops = torch.from_numpy(np.load(request["crops"])).permute(0, 3, 1, 2)  # [n, 3, h, w]
    count = request["batch"]
    gan = CycleGAN(layout=layout, precision=request["precision"])
    if request["kind"] == "translate":
        return lambda: gan.translate(crops[:count])
    return lambda: gan.step(crops[:count], crops[-count:])


def _timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Answers requests until stdin ends."""
    chosen: dict[str, tuple[str, Callable[[], None]]] = {}
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if line not in chosen:
            runs = {layout: _runner(request, layout) for layout in _LAYOUTS}
            seconds = {layout: _timed(run) for layout, run in runs.items()}
            layout = min(seconds, key=lambda name: seconds[name])
            chosen[line] = (layout, runs[layout])
        else:
            layout, run = chosen[line]
            seconds = {layout: _timed(run)}
        print(json.dumps({"seconds": seconds[layout], "layout": layout}), flush=True)


if __name__ == "__main__":
    main()
