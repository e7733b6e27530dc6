"""The student's outputs for a batch, by kind of view."""

import torch
from torch import nn

from gensis.ssl.batch import Batch


def student_outputs(student: nn.Module, batch: Batch, *, with_partners: bool = False) -> dict[str, torch.Tensor]:
    """Pass all views of a batch through the student.

    Args:
        student: a `BackboneWithHead`, or what calls one.
        batch: normalised views of B images.
        with_partners: whether the student sees the partners' views too, for methods without a teacher.

    Returns:
        Outputs (n, B, K) float32 of the views in `global`, `local`, `added`, `interpolated` and `partners`. Kinds of
        which the batch has no views are missing. Views of real images and, without added views, of interpolated images
        share the statistics of BatchNorm.
    """
    views, interpolated = batch.views, batch.interpolated
    together = {"global": views.global_views}
    if interpolated:
        together["interpolated"] = interpolated.views.unsqueeze(0)
        if with_partners:
            together["partners"] = interpolated.partners
    local = {"local": views.local_views} if len(views.local_views) else {}
    apart = {}
    if views.added_views is not None:
        apart["added"] = views.added_views.unsqueeze(0)
        if interpolated:
            apart["interpolated"] = together.pop("interpolated")
    sizes = [_joined(group) for group in (together, local) if group]
    outputs = student(*sizes, synthetic=_joined(apart) if apart else None).float().unflatten(0, (-1, len(batch)))
    kinds = together | local | apart
    return dict(zip(kinds, outputs.split([len(views) for views in kinds.values()])))


def _joined(kinds: dict[str, torch.Tensor]) -> torch.Tensor:
    """Views (n, B, 3, S, S) of several kinds as one batch; a single kind is not copied."""
    flat = [views.flatten(0, 1) for views in kinds.values()]
    return flat[0] if len(flat) == 1 else torch.cat(flat)
