"""The networks of arms are checked before the first training of a study."""

import pytest

from gensis.errors import UserError
from gensis.settings.pretraining import Pretraining
from pretrain_encoder import refuse_impossible_arms

PAPER = {"dataset": "d", "preset": "paper", "image_px": 224}


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        ({"backbone": "densenet121"}, r"unexpected keyword argument 'drop_path_rate': set drop_path: 0"),
        ({"backbone": "resnet18", "gradient_accumulation": "auto"}, "auto would change results, because resnet18"),
        ({"backbone_args": {"patch_size": 14}}, "does not accept local views of 96 px"),
        ({"backbone": "vit_small_patch61_224"}, "timm has no model 'vit_small_patch61_224'"),
    ],
)
def test_a_mistake_in_the_networks_of_an_arm_is_one_line(arm, line):
    with pytest.raises(UserError, match=rf"^retraining\.other: .*{line}"):
        refuse_impossible_arms({"other": Pretraining(**PAPER | arm).model_dump(mode="json")}, 1000)


def test_arms_that_can_be_trained_are_accepted():
    small = {"backbone": "resnet18_cifar", "backbone_args": {"channels": [8, 8, 16, 16]}, "image_px": 32}
    arms = [PAPER | {"backbone": "densenet121", "drop_path": 0}, {"dataset": "d", "method": "simclr"} | small]
    refuse_impossible_arms({str(arm): Pretraining(**arm).model_dump(mode="json") for arm in arms}, 1000)
