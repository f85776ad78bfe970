"""PriorityCut in a training loop that is not ours: three pure functions, and nothing else of this package.

python examples/foreign_training_loop.py --steps 200
"""

import argparse

import torch
from torch import nn
from torch.nn.functional import affine_grid, binary_cross_entropy_with_logits, grid_sample

from prioritycut import consistency_loss, mix, priority_cut_mask


def network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, outputs, 5, padding=2))


def squares(batch: int, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright square, and the same one elsewhere: what it uncovers, the first picture does not show."""
    pictures = 0.3 * torch.rand(batch, 3, 1, 1).expand(2, batch, 3, size, size).clone()
    for picture in pictures.flatten(0, 1):
        top, left = torch.randint(size // 2, (2,)).tolist()
        picture[:, top : top + size // 2, left : left + size // 2] += 0.6
    return pictures[0], pictures[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    torch.manual_seed(0)
    generator, judge = network(6, 7), network(3, 1)  # the judge scores pixels, as any U-Net discriminator does
    learn_to_make, learn_to_judge = (torch.optim.Adam(each.parameters(), lr=2e-3) for each in (generator, judge))
    still = affine_grid(torch.eye(2, 3)[None], [1, 3, 32, 32], align_corners=False)
    for step in range(parser.parse_args().steps):
        source, driving = squares(8)
        flow, shown, background, paint = generator(torch.cat([source, driving], 1)).split([2, 1, 1, 3], 1)
        shown, background = shown.sigmoid(), background.sigmoid()
        moved = grid_sample(source, still + flow.permute(0, 2, 3, 1), align_corners=False)
        made = shown * moved + (1 - shown) * paint.sigmoid()
        fooled = binary_cross_entropy_with_logits(judge(made), torch.ones_like(shown))
        loss = (made - driving).abs().mean() + 0.01 * fooled
        learn_to_make.zero_grad()
        loss.backward()
        learn_to_make.step()

        made = made.detach()
        real, fake = judge(driving), judge(made)
        cut = priority_cut_mask(shown, background, torch.rand(8))  # 0 in the first map: hidden, to be painted
        consistency = consistency_loss(judge(mix(driving, made, cut)).sigmoid(), real.sigmoid(), fake.sigmoid(), cut)
        told_apart = binary_cross_entropy_with_logits(torch.cat([real, -fake]), torch.ones(16, 1, 32, 32))
        learn_to_judge.zero_grad()
        (told_apart + consistency).backward()
        learn_to_judge.step()
        print(f"step {step + 1}: {loss:.3f} to make, {told_apart:.3f} to judge, consistency {consistency:.4f}")


if __name__ == "__main__":
    main()
