"""Banks of self-augmentations: generative variants of one image, and interpolations of two images."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gensis.settings.base import Fraction, Name, PositiveInt, Seed, Settings, added

OF_GENERATION = ("guidance", "guidance_interval", "sampler", "sampling_steps", "precision", "toward_neighbour")
"""Keys of a bank that say how images are generated."""


class UniformAlphas(Settings):
    """One interpolated image per source, with alpha drawn uniformly from a range."""

    uniform: tuple[Fraction, Fraction]
    """Lower and upper end of the range."""

    @model_validator(mode="after")
    def _ordered(self) -> "UniformAlphas":
        if self.uniform[0] > self.uniform[1]:
            raise ValueError(f"uniform {self.uniform} goes from high to low: put the lower end first")
        return self


class TowardNeighbour(Settings):
    """Generative images from conditions between a source and one of its nearest neighbours."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the way from the embedding of the source to that of the neighbour, on the great circle between them."""
    neighbours: PositiveInt = 8
    """Number of nearest other training images, by cosine similarity, of which one is drawn for each image."""


class Filter(Settings):
    """Which generated images are excluded from training. They stay in the bank, so changing a threshold generates
    nothing again."""

    minimum_fidelity: Annotated[float, Field(ge=-1, le=1)] = -1.0
    """Exclude images whose embedding has a lower cosine similarity with their condition. -1 excludes none."""
    copying_ratio: Annotated[float, Field(ge=0)] = 0.0
    """Exclude copies: images whose pixel distance to their source or partner is below this fraction of their mean
    distance to the 2nd to 50th nearest neighbours of that image (Carlini et al. 2023: 1/3). 0 excludes none."""

    @model_validator(mode="after")
    def _filters(self) -> "Filter":
        if self.minimum_fidelity == -1 and self.copying_ratio == 0:
            raise ValueError("filter excludes nothing: set minimum_fidelity, copying_ratio or both")
        return self


class Bank(Settings):
    """Images generated once, before retraining, from the embeddings of one encoder; or, as a control, real images in
    their place."""

    kind: Literal["generated", "neighbours", "sources"] = added(neutral="generated")
    """`generated`: images from a diffusion model. `neighbours`: the `variants` nearest other training images of each
    source, by cosine similarity of the encoder's embeddings. `sources`: each source itself. The last two are controls
    that need no diffusion model, and have no interpolated images."""
    seed: Seed | None = added(neutral=None)
    """One of `seeds`: all retrainings use the bank of this seed. Empty: each retraining uses the bank of its own
    seed."""
    encoder: Name | None = None
    """Encoder whose embeddings condition the diffusion model: a name in `retraining` for a second round, or a name in
    `encoders`. Empty: the pre-trained encoder."""
    variants: Annotated[int, Field(ge=0)] = 1
    """Generative images per source."""
    guidance: Annotated[float, Field(ge=0)] = 2.0
    """Classifier-free guidance scale. 1 is no guidance; larger values follow the embedding more closely."""
    guidance_interval: tuple[Fraction, Fraction] = added(neutral=[0.0, 1.0])
    """Range of sampling times, from 1 (noise) to 0 (image), in which guidance applies. Steps outside take half the
    time."""
    sampler: Literal["auto", "heun", "dpm++"] = added(neutral="auto")
    """`auto`: Euler for the objective `flow`, DDIM for `epsilon`. `heun`: only for `flow`. `dpm++`: DPM-Solver++
    (2M)."""
    sampling_steps: PositiveInt = 50
    """Steps of the sampler. Heun evaluates the denoiser twice per step except the last; the other samplers once."""
    alphas: tuple[Fraction, ...] | UniformAlphas = (0.5,)
    """One interpolated image per source and alpha. alpha is the weight of the source, 1 - alpha that of its partner.
    `{uniform: [0.3, 0.7]}`: one image per source, with a random alpha."""
    toward_neighbour: TowardNeighbour | None = added(neutral=None)
    """Condition of a generative image: part of the way from its source to one of the source's nearest neighbours.
    Empty: the source's embedding."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward passes of denoiser and autoencoder. The sampler always computes in float32."""
    filter: Filter | None = added(neutral=None)
    """Exclude generated images from training that differ too much from their condition or copy their source."""
    shards: PositiveInt = 1
    """Number of files and jobs that the bank is divided into. The images do not depend on it."""

    @model_validator(mode="before")
    @classmethod
    def _real_images_are_not_interpolated(cls, values: Any) -> Any:
        is_generated = not isinstance(values, dict) or values.get("kind", "generated") == "generated"
        return values if is_generated else {"alphas": ()} | values

    @model_validator(mode="after")
    def _real_images_are_not_generated(self) -> "Bank":
        if self.is_generated:
            return self
        unset = {name: getattr(Bank(), name) for name in OF_GENERATION} | {"alphas": ()}
        if given := [name for name, value in unset.items() if getattr(self, name) != value]:
            raise ValueError(f"kind: {self.kind} copies real images and generates none: remove {given[0]}")
        if self.kind == "sources" and self.variants != 1:
            raise ValueError(f"kind: sources has one image per source: set variants: 1 instead of {self.variants}")
        if not self.variants:
            raise ValueError("kind: neighbours has no images with variants: 0: set at least 1")
        return self

    @model_validator(mode="after")
    def _not_empty(self) -> "Bank":
        if self.variants == 0 and self.alphas == ():
            raise ValueError("variants: 0 and alphas: [] make an empty bank: set one of the two")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> "Bank":
        if self.guidance_interval[0] > self.guidance_interval[1]:
            raise ValueError(
                f"guidance_interval {self.guidance_interval} goes from high to low: put the lower end first"
            )
        return self

    @property
    def is_generated(self) -> bool:
        """Whether the images come from a diffusion model."""
        return self.kind == "generated"

    @property
    def images_per_source(self) -> int:
        """Number of images of each source, interpolated ones included."""
        return self.variants + (1 if isinstance(self.alphas, UniformAlphas) else len(self.alphas))

    def evaluations(self) -> int:
        """Largest number of denoiser forward passes per image: guidance in every step."""
        steps = 2 * self.sampling_steps - 1 if self.sampler == "heun" else self.sampling_steps
        return steps if self.guidance == 1 else 2 * steps
