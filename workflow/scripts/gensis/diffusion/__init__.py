"""The diffusion model that paints an image from its embedding, and the autoencoder in whose latents it may work."""
