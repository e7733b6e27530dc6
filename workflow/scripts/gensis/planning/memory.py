"""Main memory of the jobs of a study, from numbers that are known before they run."""

from gensis.planning.networks import (
    activation_bytes,
    unet_activation_bytes,
    unet_weights_bytes,
    weights_bytes,
    weights_of,
    width_of,
)
from gensis.settings.bank import Bank
from gensis.settings.pretraining import Pretraining
from gensis.settings.study import Study

LIBRARIES = 800_000_000
"""Bytes of a process that has loaded torch and the networks' libraries."""
CUDA = 2_000_000_000
"""Bytes of main memory that CUDA takes in a process that uses a GPU."""
COMPILING = 4_000_000_000
"""Bytes of the processes in which torch.compile compiles."""
SAVED = 4
"""Copies of the weights in a checkpoint, which each process loads: student, teacher and two moments of the optimizer;
or denoiser, its average and two moments."""
OF_EMBEDDINGS = 5
"""Copies of the embeddings that the evaluation of an encoder holds at once, measured at 200,000 x 256: 4.7."""
OF_LAST_BLOCKS = 20
"""The same of `linear_sgd`: four blocks of each image and its mirror image, all of them and those with a label; and the
tested ones again."""
OF_TOKENS = 4
"""Copies of the tokens that linear segmentation holds at once, measured: 3.65."""
OF_BANK_EVALUATION = 300_000_000
"""Bytes of its networks, and of pixels that are compared."""
PLANNED = 400
"""Bytes of an image of a bank while its shard is planned and written: source, partner, seed, position, checksum."""
KNOWN = 100_000
"""Most embeddings that the evaluation of a bank holds."""
TILING = 400_000_000
"""Bytes of a process that tiles a slide, without its thumbnail."""
TABLES = 40
"""Bytes that a training keeps of each image of the train split or a bank: positions, sources, partners."""
AHEAD = 4
"""Batches of images that are read ahead and decoded."""


def held_bytes(images: int, image_px: int, image_cache_gb: float) -> int:
    """Decoded images that a training keeps in memory: all if they fit in the cache, else none."""
    size = 3 * images * image_px**2
    return size if size <= image_cache_gb * 1e9 else 0


def training_bytes(study: Study, encoder: str, images: int, *, image_px: int, gpus: int) -> int:
    """Memory of the training of an encoder, on a CPU with its images and activations; a GPU holds them itself.

    Args:
        study: the study.
        encoder: one of its `trained_encoders`.
        images: of the train split.
        image_px: side of a stored image.
        gpus: number of its GPUs; each has a process.
    """
    settings = study.training_settings(encoder)
    bank = study.banks.get(getattr(settings, "bank", None))
    generated = images * bank.images_per_source if bank else 0
    kinds = 2 if bank else 1
    read_ahead = AHEAD * kinds * settings.batch_size * 3 * max(image_px, study.diffusion_px) ** 2
    kept = max(gpus, 1) * TABLES * (images + generated)
    kept += max(gpus, 1) * SAVED * weights_bytes(settings.backbone, settings.backbone_args) + _compiling(study)
    if encoder == study.baseline:
        kept += _checked_bytes(study)
    if gpus:
        return gpus * (LIBRARIES + CUDA) + read_ahead + kept
    cache = study.runtime.image_cache_gb
    held = held_bytes(images, image_px, cache)
    held += held_bytes(generated, study.diffusion_px, cache - held / 1e9)
    views = 4 * settings.batch_size * _views_px(settings)
    return LIBRARIES + held + read_ahead + kept + activation_bytes(settings) + views


def _checked_bytes(study: Study) -> int:
    """The largest networks of an arm, student and teacher, which are built before the first training."""
    own = study.pretraining.backbone, study.pretraining.backbone_args
    others = [(arm.backbone, arm.backbone_args) for arm in study.retraining.values()]
    return max((2 * weights_bytes(*other) for other in others if other != own), default=0)


def _compiling(study: Study) -> int:
    return COMPILING if study.runtime.compile else 0


def _views_px(settings: Pretraining) -> int:
    """Float32 values of the views of an image, doubled since they are augmented out of place."""
    return 2 * 3 * (2 + settings.views.local_crops) * settings.image_px**2


def diffusion_bytes(study: Study, images: int, *, width: int, image_px: int, gpus: int) -> int:
    """Memory of the training of the diffusion model; ``width`` is the dimension of an embedding."""
    settings, cache = study.diffusion, study.runtime.image_cache_gb
    side = denoiser_side(study)
    read_ahead = AHEAD * settings.batch_size * (3 * image_px**2 + 4 * width)
    kept = max(gpus, 1) * SAVED * denoiser_bytes(study) + _compiling(study)
    if gpus:
        return gpus * (LIBRARIES + CUDA) + read_ahead + kept
    held = held_bytes(images, image_px, cache) + 4 * images * width
    activations = unet_activation_bytes(
        settings.channels, settings.layers_per_block, side=side, batch_size=settings.batch_size
    )
    return LIBRARIES + min(held, round(cache * 1e9)) + read_ahead + kept + activations


def denoiser_bytes(study: Study) -> int:
    """Weights of the denoiser."""
    settings = study.diffusion
    return unet_weights_bytes(settings.channels, settings.layers_per_block, settings.denoiser)


def denoiser_side(study: Study) -> int:
    """Side of the denoiser's inputs: pixels or latents. An external autoencoder is taken to have the usual factor 8."""
    if study.autoencoder_mode == "none":
        return study.diffusion_px
    halvings = len(study.autoencoder_training.channels) - 1 if study.autoencoder_mode == "train" else 3
    return study.diffusion_px // 2**halvings


def autoencoder_bytes(study: Study, *, image_px: int, gpus: int) -> int:
    """Memory of the training of the autoencoder, and of the perceptual encoder's activations on a CPU."""
    settings = study.autoencoder_training
    read_ahead = AHEAD * settings.batch_size * 3 * image_px**2 + _compiling(study)
    if gpus:
        return gpus * (LIBRARIES + CUDA) + read_ahead
    activations = unet_activation_bytes(
        settings.channels, settings.layers_per_block, side=study.autoencoder_px, batch_size=settings.batch_size
    )
    return LIBRARIES + read_ahead + activations


def inference_bytes(study: Study, *, image_px: int, gpus: int) -> int:
    """Memory of a job that embeds or generates images in blocks, without the weights of its networks."""
    return LIBRARIES + CUDA * min(gpus, 1) + AHEAD * study.runtime.inference_batch_size * 3 * image_px**2


def embedding_bytes(study: Study, encoder: str, *, image_px: int, gpus: int) -> int:
    """Memory of a job that embeds images in blocks: the weights are there twice while they are loaded."""
    return inference_bytes(study, image_px=image_px, gpus=gpus) + 2 * weights_of(study, encoder)


def embeddings_bytes(images: int, width: int) -> int:
    """Embeddings in memory, in float32."""
    return 4 * images * width


def bank_bytes(study: Study, bank: Bank, images: int, *, image_px: int, gpus: int) -> int:
    """Memory of a job that makes a part of a bank. It streams embeddings, unless it searches them for neighbours.

    Args:
        study: the study.
        bank: one of its banks.
        images: of the train split.
        image_px: side of the largest image.
        gpus: number of its GPUs.
    """
    needed = inference_bytes(study, image_px=image_px, gpus=gpus)
    needed += PLANNED * images * bank.images_per_source // bank.shards
    needed += 2 * denoiser_bytes(study) if bank.is_generated else 0  # there twice while they are loaded
    if bank.toward_neighbour is None and bank.kind != "neighbours":
        return needed
    copies = 1 if gpus else 2  # the normalised embeddings are on the GPU
    return needed + copies * embeddings_bytes(images, width_of(study, bank.encoder))


def evaluation_bytes(images: int, width: int, gpus: int, *, with_last_blocks: bool = False) -> int:
    """Memory of the evaluation of an encoder: its embeddings, those with a label, and parts of these to fit on."""
    copies = OF_EMBEDDINGS + (OF_LAST_BLOCKS if with_last_blocks else 0)
    return LIBRARIES + CUDA * min(gpus, 1) + copies * embeddings_bytes(images, width)


def segmentation_bytes(images: int, image_px: int, width: int, gpus: int) -> int:
    """Memory of linear segmentation: the tokens of all training images, by patches of 14 px."""
    return LIBRARIES + CUDA * min(gpus, 1) + OF_TOKENS * embeddings_bytes(images * (image_px // 14) ** 2, width)


def bank_evaluation_bytes(images: int, width: int, gpus: int) -> int:
    """Memory of the evaluation of a bank of ``images`` sources."""
    return OF_BANK_EVALUATION + evaluation_bytes(min(images, KNOWN), width, gpus)


def tiling_bytes(threads: int) -> int:
    """Memory of a job that tiles one slide: thumbnail, its maps, and tiles that wait to be written."""
    return TILING + threads * 300_000_000
