"""Numbers predicted by gated attention over a bag's embeddings."""

from gensis.evaluation.data import TaskData
from gensis.evaluation.measured import Measured, predicted_values
from gensis.evaluation.mil import predict_items
from gensis.evaluation.objectives import regression
from gensis.evaluation.tasks.abmil import GatedAttention


def measure(data: TaskData) -> Measured:
    """Metrics and attention of gated attention."""
    estimates, attention = predict_items(GatedAttention, data, lambda train: regression(data.values[train]))
    return predicted_values(data, estimates[:, 0], attention)
