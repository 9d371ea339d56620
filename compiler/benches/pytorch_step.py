"""Time of one training step of ResNet-20 in PyTorch, as `training.rs` measures it here.

    python pytorch_step.py [STEPS] [THREADS]
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

BATCH, WARM_UP = 64, 3


def conv(ins, outs, stride):
    return nn.Sequential(nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs))


class Block(nn.Module):
    def __init__(self, ins, outs, stride):
        super().__init__()
        self.first = conv(ins, outs, stride)
        self.second = conv(outs, outs, 1)
        self.stride, self.more = stride, (outs - ins) // 2

    def forward(self, x):
        y = self.second(torch.relu(self.first(x)))
        if self.more:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more))
        return torch.relu(y + x)


def resnet20():
    layers, width = [conv(3, 16, 1), nn.ReLU()], 16
    for outs, stride in (16, 1), (32, 2), (64, 2):
        for stride in (stride, 1, 1):
            layers.append(Block(width, outs, stride))
            width = outs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    torch.set_num_threads(threads)
    print(f"PyTorch {torch.__version__}, {threads} threads, batch {BATCH}, {steps} steps")
    torch.manual_seed(1)
    network, loss = resnet20().train(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    times = []
    for _ in range(WARM_UP + steps):
        x, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(network(x), labels).backward()
        optimizer.step()
        times.append((time.perf_counter() - start) * 1e3)
    times = times[WARM_UP:]
    print(f"resnet20: {min(times):.1f} ms a step at best, {statistics.median(times):.1f} ms median")


if __name__ == "__main__":
    main()
