"""How the classifiers do on each class, and how well they are calibrated."""

from gensis.figures.calibration import calibration
from gensis.figures.confusion import confusion
from gensis.figures.markup import paragraph, text
from gensis.figures.predicted import read_predicted
from gensis.figures.run import Run
from gensis.figures.scores import Column
from gensis.settings.tasks import find_task, variant

_METRIC = "balanced_accuracy"


def classes(run: Run) -> str:
    """Recalls, confusion matrix and calibration of the main classifiers of each data set; empty without any."""
    encoder = run.scores.subject or run.study.reference
    parts = []
    for dataset in run.scores.datasets:
        for column in _classifiers(run, dataset):
            suffix = column.metric.removeprefix(_METRIC)
            found = read_predicted(run.predictions(encoder, dataset), column.task, suffix)
            if found:
                name = f"{dataset}, {column.label.removesuffix(', balanced accuracy')}"
                curve = calibration(name, found)
                parts += [confusion(name, found), f'<div class="charts">{curve}</div>' if curve else ""]
    note = f"Of {text(encoder)}, first seed. Intervals of the means over classes are in the tables above."
    return "\n".join([paragraph(note, "note"), *parts]) if parts else ""


def _classifiers(run: Run, dataset: str) -> list[Column]:
    """The main classifiers of labels, then one of each target."""
    known = {column.task: column for column in run.scores.columns(dataset) if column.metric.startswith(_METRIC)}
    chosen = [column for column in run.scores.main_columns(dataset) if column.task in known]
    for target in dict.fromkeys(variant(task) for task in known if find_task(task).target):
        of_target = (known.get(f"slides-{method}-{target}") for method in ("abmil", "dsmil", "mean"))
        chosen.append(next(filter(None, of_target)))
    return list(dict.fromkeys(chosen))
