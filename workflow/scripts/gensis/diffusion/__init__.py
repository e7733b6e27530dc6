"""The diffusion model that generates an image from its embedding, and the autoencoder in whose latents it may work."""

RECIPE = 1
"""Version of the code that trains a diffusion model, as that of an encoder: see `gensis.ssl.RECIPE`."""

AUTOENCODER_RECIPE = 1
"""The same of the autoencoder."""
