"""Disentangling the two sources of an interpolated image (Gen-SIS, arXiv 2412.01672, algorithm 1)."""

import torch

from gensis.ssl.dino_loss import teacher_targets


def disentangle_targets(
    source_logits: torch.Tensor,
    partner_logits: torch.Tensor,
    alpha: torch.Tensor,
    centre: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Targets for images interpolated between a source and its partner.

    The teacher's LOGITS are interpolated, before centring and softmax. The result is the normalised weighted geometric
    mean of the two DINO targets, unlike mixup's arithmetic mean. With alpha = 1 it is the DINO target of the source.

    Args:
        source_logits: teacher logits (..., B, K) of a view of the source.
        partner_logits: teacher logits (..., B, K) of a view of the partner.
        alpha: (B,) weight of the source.
        centre: (K,).
        temperature: the teacher's.

    Returns:
        float32 (..., B, K).
    """
    weight = alpha.float().unsqueeze(1)
    mixed = weight * source_logits.float() + (1 - weight) * partner_logits.float()
    return teacher_targets(mixed, centre, temperature)
