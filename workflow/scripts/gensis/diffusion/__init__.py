"""The diffusion model, conditioned on an encoder's embeddings, and the autoencoder of latent diffusion."""

from gensis.pipeline_packages import require

require("diffusers", "torchmetrics")

RECIPE = 1
"""Version of the code that trains a diffusion model. See `gensis.ssl.RECIPE`, its counterpart for encoders."""

AUTOENCODER_RECIPE = 1
"""Version of the code that trains an autoencoder."""
