"""Encoders: self-supervised training with and without a bank, timm backbones, and monitoring."""

RECIPE = 1
"""Version of the code that trains an encoder. It is raised with each change that gives different weights from the same
settings, images and seed, in this package or in the code it uses (views, loop, sampler). See docs/development.md."""
