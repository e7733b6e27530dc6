# Memory (MB) and time (minutes) of jobs, from the sizes of the study; no rules here. A profile overrides them. Where the
# number of images is not known yet, Snakemake shows <TBD>, and asks again when the job is ready. A retry asks for twice
# the memory, and if the job does not resume for twice the time: it may have been killed for them.
from gensis.artifacts.tables import read_table
from gensis.planning import jobs, memory
from gensis.planning.networks import width_of

LEAST_BYTES = 0.25  # of a pixel of a stored image: a part is taken to have more images than it has


def gpus_of(rule: str) -> int:
    """GPUs of the jobs of a rule: those of the profile or command line, 1 if they give none.

    Snakemake passes the rule's name as `rulename`; in another workflow that uses this one as a module it has a prefix.
    """
    of_rules = workflow.resource_settings.overwrite_resources
    return of_rules[rule]["gpu"].value if rule in of_rules and "gpu" in of_rules[rule] else 1


def images_listed(path: str) -> int:
    """Images that an index lists.

    Raises:
        FileNotFoundError: it is not written yet.
    """
    status = os.stat(path)
    return images_of_version(path, status.st_mtime_ns, status.st_size)


@functools.cache  # of an index as it is now: a run may write it again while Snakemake plans and submits
def images_of_version(path: str, modified_ns: int, size: int) -> int:
    """The same, read once from each version of the file."""
    return sum(int(line["images"]) for line in read_table(Path(path)))


def stored_px(dataset: str) -> int:
    """Side of the images in a store; 224 where only the images tell."""
    settings = STUDY.datasets[dataset]
    return getattr(settings, "tile_px", None) or getattr(settings, "image_px", None) or 224


def encoder_memory(wildcards, input, attempt, rulename):
    """Memory of the training of an encoder."""
    name = wildcards.get("encoder", BASELINE_ENCODER)
    images, px = images_listed(input.train), stored_px(TRAINED_ON)
    return jobs.megabytes(memory.training_bytes(STUDY, name, images, image_px=px, gpus=gpus_of(rulename)), attempt)


def encoder_time(wildcards, input, rulename):
    """Time of the training of an encoder."""
    name = wildcards.get("encoder", BASELINE_ENCODER)
    return jobs.encoder_minutes(STUDY, name, images_listed(input.train), gpus_of(rulename))


def autoencoder_memory(wildcards, attempt, rulename):
    """Memory of the training of the autoencoder."""
    px = stored_px(TRAINED_ON)
    return jobs.megabytes(memory.autoencoder_bytes(STUDY, image_px=px, gpus=gpus_of(rulename)), attempt)


def autoencoder_time(wildcards, rulename):
    """Time of the training of the autoencoder."""
    return jobs.autoencoder_minutes(STUDY, gpus_of(rulename))


def diffusion_memory(wildcards, input, attempt, rulename):
    """Memory of the training of the diffusion model."""
    sizes = {"width": width_of(STUDY, wildcards.encoder), "image_px": stored_px(TRAINED_ON)}
    images = images_listed(input.train)
    return jobs.megabytes(memory.diffusion_bytes(STUDY, images, gpus=gpus_of(rulename), **sizes), attempt)


def diffusion_time(wildcards, rulename):
    """Time of the training of the diffusion model."""
    return jobs.diffusion_minutes(STUDY, gpus_of(rulename))


def bank_memory(wildcards, input, attempt, rulename):
    """Memory of a job that makes a shard of a bank."""
    bank, images = STUDY.banks[wildcards.bank], images_listed(input.train)
    px = max(stored_px(TRAINED_ON), STUDY.diffusion_px)
    return jobs.megabytes(memory.bank_bytes(STUDY, bank, images, image_px=px, gpus=gpus_of(rulename)), attempt)


def filter_memory(wildcards, attempt, rulename):
    """Memory of the filter of a shard of a bank."""
    encoder, px = STUDY.banks[wildcards.bank].encoder, max(stored_px(TRAINED_ON), STUDY.diffusion_px)
    return jobs.megabytes(memory.embedding_bytes(STUDY, encoder, image_px=px, gpus=gpus_of(rulename)), attempt)


def bank_evaluation_memory(wildcards, input, attempt, rulename):
    """Memory of the evaluation of a bank."""
    width = width_of(STUDY, STUDY.banks[wildcards.bank].encoder)
    return jobs.megabytes(memory.bank_evaluation_bytes(images_listed(input.train), width, gpus_of(rulename)), attempt)


def generation_time(wildcards, input, rulename):
    """Time of the generation of a shard."""
    bank = STUDY.banks[wildcards.bank]
    return jobs.generation_minutes(STUDY, bank, images_listed(input.train), gpus_of(rulename))


def bank_time(wildcards, input, attempt, rulename):
    """Time to embed the images of a bank."""
    bank = STUDY.banks[wildcards.bank]
    images = images_listed(input.train) * bank.images_per_source
    return jobs.embedding_minutes(STUDY, bank.encoder, images, gpus=gpus_of(rulename), attempt=attempt)


def embedding_memory(wildcards, attempt, rulename):
    """Memory of a job that embeds images block by block."""
    sizes = {"image_px": stored_px(wildcards.dataset), "gpus": gpus_of(rulename)}
    return jobs.megabytes(memory.embedding_bytes(STUDY, wildcards.encoder, **sizes), attempt)


def embedding_time(wildcards, input, attempt, rulename):
    """Time to embed the images of a part, and mirrored ones if the study wants them."""
    images = images_of_part(wildcards, input) * (2 if STUDY.embeds_flips(wildcards.encoder) else 1)
    return jobs.embedding_minutes(STUDY, wildcards.encoder, images, gpus=gpus_of(rulename), attempt=attempt)


def blocks_time(wildcards, input, attempt, rulename):
    """Time of the last blocks, which are always computed of mirrored images too."""
    images = 2 * images_of_part(wildcards, input)
    return jobs.embedding_minutes(STUDY, wildcards.encoder, images, gpus=gpus_of(rulename), attempt=attempt)


def images_of_part(wildcards, input) -> float:
    """Images of a part, estimated from the size of its stores."""
    pixels = sum(map(os.path.getsize, input.stores)) / LEAST_BYTES
    return pixels / stored_px(wildcards.dataset) ** 2


def evaluation_memory(wildcards, input, attempt, rulename):
    """Memory of the evaluation of an encoder."""
    images, width = images_listed(input.units), width_of(STUDY, wildcards.encoder)
    blocks = "last_blocks" in STUDY.evaluation.further_inputs
    needed = memory.evaluation_bytes(images, width, gpus_of(rulename), with_last_blocks=blocks)
    return jobs.megabytes(needed, attempt)


def evaluation_time(wildcards, input, attempt):
    """Time of the evaluation of an encoder, if all images are compared with all."""
    images = images_listed(input.units)
    return jobs.evaluation_minutes(images, images, attempt)


def transfer_memory(wildcards, input, attempt, rulename):
    """Memory of the evaluation of an encoder with the classifiers of another data set."""
    images = images_listed(input.units) + images_listed(input.fit_units)
    width, gpus = width_of(STUDY, wildcards.encoder), gpus_of(rulename)
    return jobs.megabytes(memory.evaluation_bytes(images, width, gpus), attempt)


def transfer_time(wildcards, input, attempt):
    """Time of the same."""
    return jobs.evaluation_minutes(images_listed(input.fit_units), images_listed(input.units), attempt)


def benchmark_memory(wildcards, attempt, rulename):
    """Memory of the evaluation of an encoder on a benchmark; of segmentation by the number of training images."""
    benchmark, needed = STUDY.evaluation.benchmarks[wildcards.benchmark], 10e9  # whatever its size, as the time
    if benchmark.task == "segmentation":
        images = len(os.listdir(os.path.join(benchmark.path, "train", "images")))
        width, gpus = width_of(STUDY, wildcards.encoder), gpus_of(rulename)
        needed = max(needed, memory.segmentation_bytes(images, benchmark.image_px, width, gpus))
    return jobs.megabytes(needed, attempt)


def benchmark_time(wildcards, attempt):
    """Time of the evaluation of an encoder on a benchmark, whatever its size."""
    return 480 * min(attempt, 2)
