"""Encoders: DINO and Gen-DINO, backbones of timm's, and what watches over their training."""

RECIPE = 1
"""Version of the code that trains an encoder: raised with each change that gives other weights from the same settings,
images and seed, in this package or in what it trains with (views, loop, sampler). docs/development.md says when."""
