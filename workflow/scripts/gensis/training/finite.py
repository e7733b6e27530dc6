"""A check of weights for values that are not finite, which would otherwise show later, as a loss that is NaN."""

from torch import nn

from gensis.errors import UserError


def refuse_not_finite(model: nn.Module, source: object) -> None:
    """Raise UserError if a weight or buffer of the model is NaN or infinite.

    Args:
        model: with its weights.
        source: where they come from: a path, or a name.
    """
    for name, values in model.state_dict().items():
        if values.is_floating_point() and not values.isfinite().all():
            raise UserError(
                f"{source}: the weights {name} are not finite: their training diverged or the file is damaged: "
                "use another file"
            )
