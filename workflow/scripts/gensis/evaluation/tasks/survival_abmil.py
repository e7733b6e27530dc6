"""Survival by gated attention over a bag's embeddings, whose output is the log risk of Cox's model."""

from gensis.evaluation.data import TaskData
from gensis.evaluation.measured import Measured, predicted_risk
from gensis.evaluation.mil import predict_items
from gensis.evaluation.objectives import survival_risk
from gensis.evaluation.tasks.abmil import GatedAttention


def measure(data: TaskData) -> Measured:
    """Concordance and attention of gated attention."""
    risk, attention = predict_items(GatedAttention, data, lambda train: survival_risk(data.survival[train]))
    return predicted_risk(data, risk[:, 0], attention)
