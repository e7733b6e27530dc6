"""Logistic regression with an L2 penalty, as scikit-learn fits it, with loss and gradient computed on a device."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import pad

MOST_ITERATIONS = 1000
_STOP = {"gtol": 1e-4, "ftol": 64 * np.finfo(float).eps, "maxls": 50, "maxiter": MOST_ITERATIONS}
"""The values of scikit-learn. A fit ends when no component of the gradient of the mean loss exceeds `gtol`."""
_BLOCK_BYTES = 1 << 28


@dataclass(frozen=True)
class Items:
    """Training items on a device."""

    features: Tensor
    """float32 (N, D)."""
    labels: Tensor
    """int64 (N,), each of 0 to K - 1."""
    classes: int
    """K, two or more."""

    def fit(self, strength: float, start: np.ndarray | None = None) -> tuple[np.ndarray, int]:
        """Minimise the mean cross-entropy plus ``|weights|^2 / (2 C N)`` by L-BFGS.

        Args:
            strength: C, the inverse of the regularisation strength.
            start: coefficients to start from; zeros if None.

        Returns:
            Coefficients, float64 (rows, D + 1), and the number of iterations. A row is the weights of a class and its
            intercept, which is not penalised. Two classes have one row, of the second class, as in scikit-learn: the
            penalty on two rows would be another.
        """
        rows, columns = 1 if self.classes == 2 else self.classes, self.features.shape[1] + 1
        penalty = 1 / (strength * len(self.labels))

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            coefficients = flat.reshape(rows, columns)
            loss, gradient = self._loss(coefficients)
            weights = coefficients[:, :-1]
            gradient[:, :-1] += penalty * weights
            return loss + penalty / 2 * np.square(weights).sum(), gradient.ravel()

        begin = np.zeros((rows, columns)) if start is None else start
        found = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options=_STOP)
        return found.x.reshape(rows, columns), found.nit

    def _loss(self, coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean cross-entropy, and its gradient by the coefficients, summed over blocks in float64."""
        loss, gradient = 0.0, 0.0
        for block in self._blocks():
            log_shares = logits(self.features[block], coefficients).log_softmax(dim=1)
            labels = self.labels[block, None]
            loss = loss - log_shares.gather(1, labels).sum(dtype=torch.float64)
            residuals = log_shares.exp_().scatter_add_(1, labels, -torch.ones_like(labels, dtype=torch.float32))
            residuals = residuals[:, -len(coefficients) :]
            parts = [residuals.T @ self.features[block], residuals.sum(dim=0)[:, None]]
            gradient = gradient + torch.cat(parts, dim=1).double()
        return float(loss) / len(self.labels), gradient.cpu().numpy() / len(self.labels)

    def _blocks(self) -> Iterator[slice]:
        """Blocks of items whose logits take at most _BLOCK_BYTES."""
        most = max(1, _BLOCK_BYTES // (4 * self.classes))
        return (slice(first, first + most) for first in range(0, len(self.labels), most))


def logits(features: Tensor, coefficients: np.ndarray) -> Tensor:
    """Class logits, float32 (N, K), of float32 (N, D) features and coefficients as `Items.fit` returns them."""
    on_device = torch.from_numpy(coefficients).to(features.device, torch.float32)
    found = torch.addmm(on_device[:, -1], features, on_device[:, :-1].T)
    return found if len(coefficients) > 1 else pad(found, (1, 0))
