"""Class consistency, fidelity and Frechet distance of generated images by sampler, number of steps and guidance.

    python benchmarks/sampling.py --run results/cifar10-two-hours --encoder dino --dataset cifar10-16px \\
        --output /tmp/sampling

Every setting uses the same sources and noise. The distance is the squared Frechet distance to as many other real
images, in the space of the encoder of another seed, which the diffusion model is not conditioned on. Prints a JSON line
per setting.
"""

import argparse
import json
import time

import numpy as np
import torch
from diffusion import CPU, SourceEvaluation, draw_strips, parser

from gensis.diffusion.loading import load_pipeline
from gensis.evaluation.distances import frechet_distance
from gensis.ssl.backbone import Encoder, load_encoder

SETTINGS = [
    *(("auto", steps, 1.5) for steps in (4, 8, 12, 25, 50)),
    *(("dpm++", steps, 1.5) for steps in (4, 8, 12, 25)),
    *(("heun", steps, 1.5) for steps in (4, 8, 12)),
    *(("auto", 12, guidance) for guidance in (1.0, 2.0, 3.0)),
]
SHOWN = 16


def main(arguments: argparse.Namespace) -> None:
    """Generate images with each setting and evaluate them; write a grid with the sources in the first row."""
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    evaluation = SourceEvaluation(arguments)
    pipeline = load_pipeline(
        arguments.run / "diffusion" / arguments.encoder / "seed0", evaluation.features.shape[1], CPU
    )
    independent = load_encoder(arguments.run / "encoders" / arguments.encoder / "seed1").eval()
    others = np.random.default_rng(0).permutation(len(evaluation.index))[-arguments.sources :]
    real = embedded(independent, evaluation.images.batch(torch.from_numpy(others)))
    sources = evaluation.images.batch(torch.from_numpy(evaluation.sources))
    floor = {"frechet_of_sources": frechet_distance(real, embedded(independent, sources))}
    print(json.dumps({"case": "sampling", "subject": "real"} | floor), flush=True)
    strips = [sources[:SHOWN]]
    for sampler, steps, guidance in SETTINGS:
        steps = min(steps, 2) if arguments.toy else steps
        began = time.process_time()
        setting = {"sampler": sampler, "num_inference_steps": steps, "guidance": guidance}
        figures, images = evaluation.evaluate(pipeline, **setting)
        figures["frechet"] = frechet_distance(real, embedded(independent, images))
        spent = {"cpu_seconds": round(time.process_time() - began, 1)}
        print(json.dumps({"case": "sampling", "subject": "gensis"} | setting | figures | spent), flush=True)
        strips.append(images[:SHOWN])
    draw_strips(arguments.output / "sampling.png", strips)


def embedded(encoder: Encoder, images: torch.Tensor) -> np.ndarray:
    """Embeddings (n, D) of uint8 (n, 3, H, W), scaled to mean square 1."""
    features = torch.nn.functional.normalize(encoder(images)).numpy()
    return features * features.shape[1] ** 0.5


if __name__ == "__main__":
    main(parser(__doc__).parse_args())
