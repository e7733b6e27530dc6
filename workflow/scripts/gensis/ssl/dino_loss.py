"""DINO's loss and centre (Caron et al. 2021, arXiv 2104.14294, equations 1 to 4)."""

import torch
from torch.nn import functional as F


def teacher_targets(logits: torch.Tensor, centre: torch.Tensor, temperature: float) -> torch.Tensor:
    """Centred and sharpened teacher outputs: softmax((logits - centre) / temperature), (..., K) float32."""
    return F.softmax((logits.float() - centre) / temperature, dim=-1)


def cross_entropy(targets: torch.Tensor, student_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean cross-entropy of student (B, K) logits under (B, K) targets."""
    return -(targets * F.log_softmax(student_logits.float() / temperature, dim=-1)).sum(-1).mean()


def dino_loss(targets: torch.Tensor, student_logits: list[torch.Tensor], temperature: float) -> torch.Tensor:
    """Cross-entropy over all pairs of a teacher's view and a different student's view.

    Args:
        targets: (T, B, K), the teacher's targets of the first T views.
        student_logits: V tensors (B, K); the first T are for the teacher's views.
        temperature: the student's.

    Returns:
        The mean over the T * V - T pairs and over the batch.
    """
    # The loss is linear in the targets, so each view is compared once with the sum of its targets.
    of_all, losses = targets.sum(0), []
    for number, logits in enumerate(student_logits):
        paired = of_all - targets[number] if number < len(targets) else of_all
        losses.append(cross_entropy(paired, logits, temperature))
    return torch.stack(losses).sum() / (len(targets) * (len(student_logits) - 1))


def updated_centre(centre: torch.Tensor, batch_mean: torch.Tensor, momentum: float) -> torch.Tensor:
    """Running mean of the teacher's logits, (K,)."""
    return centre * momentum + batch_mean * (1 - momentum)


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Mean entropy in nats of (..., K) distributions."""
    return -(probabilities * probabilities.clamp(min=1e-12).log()).sum(-1).mean()
