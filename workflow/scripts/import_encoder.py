"""Import an external encoder in the layout of trained encoders, so that later stages handle both alike."""

import argparse
import logging
from pathlib import Path

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.folders import write_provenance
from gensis.artifacts.provenance import provenance
from gensis.settings.encoders import ExternalEncoder
from gensis.ssl.backbone import FORMAT, preprocessing_of, save_encoder
from gensis.ssl.external import open_external

log = logging.getLogger("import_encoder")


def main(arguments: argparse.Namespace) -> None:
    """Download or read the weights, and write them with their preprocessing."""
    settings = ExternalEncoder.model_validate(arguments.config)
    backbone, name, model_arguments = open_external(settings.timm, arguments.path)
    preprocessing = preprocessing_of(backbone)
    save_encoder(backbone, arguments.output, name=name, arguments=model_arguments, preprocessing=preprocessing)
    weights = content_id(arguments.output / "model.safetensors")
    # Named as in the config, not by the folder's place on this machine.
    external = {str(settings.path or settings.timm): weights}
    record = provenance(
        FORMAT,
        settings=arguments.config,
        inputs={},
        seed=None,
        device="cpu",
        started=arguments.started,
        external_weights=external,
    )
    write_provenance(arguments.output, record | {"weights": weights})
    log.info("%s, %d dimensions, %s", name, backbone.num_features, preprocessing)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--path", type=Path, help="folder in timm's hub layout, or weight file")
    parser.add_argument("--output", type=Path, required=True, help="folder of the encoder")
    command.run(main, parser.parse_args())
