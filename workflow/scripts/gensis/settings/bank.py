"""Banks of self-augmentations: new views of one image, and images between two."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gensis.settings.base import Fraction, Name, PositiveInt, Seed, Settings, added


class UniformAlphas(Settings):
    """One interpolated image a source, its alpha drawn uniformly from a range."""

    uniform: tuple[Fraction, Fraction]

    @model_validator(mode="after")
    def _ordered(self) -> "UniformAlphas":
        if self.uniform[0] > self.uniform[1]:
            raise ValueError(f"uniform {self.uniform} goes from high to low: put the lower end first")
        return self


class Filter(Settings):
    """Which generated images no training sees. They stay in the bank: other thresholds generate nothing anew."""

    minimum_fidelity: Annotated[float, Field(ge=-1, le=1)] = -1.0
    """Cosine of the image's embedding with its condition below which it is left out; -1 leaves out none."""
    copying_ratio: Annotated[float, Field(ge=0)] = 0.0
    """An image is left out as a copy where its distance in pixels to its source, or its partner, is below this part of
    its mean distance to the 2nd to 50th neighbours of that (Carlini et al. 2023: 1/3); 0 leaves out none."""

    @model_validator(mode="after")
    def _filters(self) -> "Filter":
        if self.minimum_fidelity == -1 and self.copying_ratio == 0:
            raise ValueError("filter leaves out nothing: give minimum_fidelity, copying_ratio or both")
        return self


class Bank(Settings):
    """Images generated once, before retraining, from the embeddings of one encoder."""

    seed: Seed | None = added(neutral=None)
    """One of `seeds`: all retrainings use the bank of that seed. Empty: each uses the bank of its own seed."""
    encoder: Name = "dino"
    """Encoder whose embeddings condition: `dino`, a retrained one for a second round, or one of `encoders`."""
    variants: Annotated[int, Field(ge=0)] = 1
    """Generative images a source."""
    guidance: Annotated[float, Field(ge=0)] = 2.0
    """Classifier-free guidance: 1 is plain conditioning, above 1 follows the embedding more closely."""
    guidance_interval: tuple[Fraction, Fraction] = added(neutral=[0.0, 1.0])
    """Part of the way, from 1 (noise) to 0 (image), in which guidance applies; outside a step takes half the time."""
    sampler: Literal["auto", "heun", "dpm++"] = added(neutral="auto")
    """`auto`: Euler for the objective flow, DDIM for epsilon. `heun`: flow alone. `dpm++`: DPM-Solver++ (2M)."""
    sampling_steps: PositiveInt = 50
    """Steps of the sampler. Heun evaluates the denoiser twice in all but the last, the others once in each."""
    alphas: tuple[Fraction, ...] | UniformAlphas = (0.5,)
    """One interpolated image a source and alpha; alpha weights the source, 1 - alpha its partner."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the denoiser's and the autoencoder's passes; the sampler's own numbers are always float32."""
    filter: Filter | None = added(neutral=None)
    """Leave generated images out of training that show too little of their condition, or copy their source."""
    shards: PositiveInt = 1
    """Files (and jobs) that the sources are divided into. Images do not depend on it."""

    @model_validator(mode="after")
    def _not_empty(self) -> "Bank":
        if self.variants == 0 and self.alphas == ():
            raise ValueError("variants 0 and no alphas make an empty bank: set one of the two")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> "Bank":
        if self.guidance_interval[0] > self.guidance_interval[1]:
            raise ValueError(
                f"guidance_interval {self.guidance_interval} goes from high to low: put the lower end first"
            )
        return self

    def evaluations(self) -> int:
        """Forward passes of the denoiser that an image takes at most, guidance in all of its steps."""
        steps = 2 * self.sampling_steps - 1 if self.sampler == "heun" else self.sampling_steps
        return steps if self.guidance == 1 else 2 * steps
