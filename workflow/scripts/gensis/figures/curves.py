"""Training curves."""

import math

from gensis.figures.chart import Line, line_chart
from gensis.figures.markup import figure
from gensis.figures.run import Run, Training
from gensis.figures.scores import Column

STEP = "step"
USUAL_K = 20
WATCHED = [
    (
        "rankme",
        "RankMe (dimensions)",
        "RankMe: how many dimensions the teacher's embeddings of some training images use. A fall to a few "
        "means that images are told apart by little.",
    ),
    (
        "view_retrieval",
        "views found (share)",
        "Share of the same images whose two random views are each other's nearest in the teacher's embedding. It needs "
        "no labels, and does not say how well tissues or classes are told apart.",
    ),
    ("gradient_norm", "gradient norm", "Norm of the encoders' gradient before clipping, mean of an epoch."),
    ("images_per_second", "images/s", "Speed of the encoders' training."),
]
"""Column of an encoder's history, name of its axis, caption."""
KEPT = [
    ("psnr", "PSNR (dB)", "Peak signal-to-noise ratio of the autoencoder on images that it does not learn from."),
    ("ssim", "SSIM", "Structural similarity of the same images to their originals; 1: equal."),
]
"""The same of the autoencoder."""


def curves(run: Run) -> str:
    """How the encoders learnt, then the loss of the diffusion model and of the autoencoder."""
    trainings = {
        stage: [training for training in run.trainings if training.stage == stage]
        for stage in ("encoder", "diffusion", "autoencoder")
    }
    colours = {name: number for number, name in enumerate(run.encoders)}
    figures = [
        _losses(trainings["encoder"], colours),
        _entropies(trainings["encoder"], colours),
        _traces(run, trainings["encoder"], colours),
        *(
            _figure(line_chart(_lines(trainings["encoder"], colours, column), STEP, label), caption)
            for column, label, caption in WATCHED
        ),
        _loss(
            trainings["diffusion"],
            colours,
            "Loss of the diffusion model, by the encoder that conditions it. It need not fall far: most of it is noise "
            "that cannot be predicted.",
        ),
        _loss(trainings["autoencoder"], colours, "Loss of the autoencoder."),
        *(
            _figure(line_chart(_lines(trainings["autoencoder"], colours, column), STEP, label), caption)
            for column, label, caption in KEPT
        ),
    ]
    found = "".join(filter(None, figures))
    return f'<div class="charts">{found}</div>' if found else ""


def _lines(trainings: list[Training], colours: dict[str, int], column: str, dashed: bool = False) -> list[Line]:
    """A line a training that has the column; seeds of one encoder look alike. Dashed ones stay out of the legend."""
    return [
        Line("" if dashed else t.name, t.history[STEP], t.history[column], colours.get(t.name, 0), dashed)
        for t in trainings
        if column in t.history
    ]


def _losses(encoders: list[Training], colours: dict[str, int]) -> str:
    lines = _lines(encoders, colours, "dino") + _lines(encoders, colours, "disentangle", dashed=True)
    return _figure(
        line_chart(lines, STEP, "cross-entropy (nats)", _uniform(encoders)),
        "Loss of the encoders: the DINO term; dashed, the disentanglement term where there is one. Teachers differ, so "
        "a lower loss is not a better encoder. At ln K (K prototypes) nothing is learnt.",
    )


def _entropies(encoders: list[Training], colours: dict[str, int]) -> str:
    lines = _lines(encoders, colours, "teacher_entropy") + _lines(encoders, colours, "teacher_batch_entropy", True)
    return _figure(
        line_chart(lines, STEP, "teacher entropy (nats)", _uniform(encoders)),
        "Entropy of the teacher's target for an image; dashed, of the mean target of a batch. The first at ln K means "
        "that the encoder has collapsed to uniform outputs; the second near 0, to one output for all images.",
    )


def _traces(run: Run, encoders: list[Training], colours: dict[str, int]) -> str:
    ks = {int(k) for t in encoders for k in t.knn_history.get("k", [])}
    if not ks:
        return ""
    usual = min(ks, key=lambda k: abs(k - USUAL_K))
    lines = []
    for t in filter(lambda t: t.knn_history.get("k"), encoders):
        points = [
            (step, value) for step, k, value in zip(*map(t.knn_history.get, (STEP, "k", "accuracy"))) if k == usual
        ]
        lines.append(Line(t.name, *map(list, zip(*points)), colours.get(t.name, 0)))
    return _figure(
        line_chart(lines, STEP, "k-NN accuracy", _chance(run, usual)),
        f"Accuracy of the {usual} nearest neighbours among the watched training images, each voted on by those of "
        "other slides or groups. Labels came in after training; they decided nothing.",
    )


def _chance(run: Run, k: int) -> dict[str, float]:
    """What always naming the commonest class reaches among the tested images of the same data set, by label."""
    column = Column("knn", f"accuracy_k{k}", "")
    mean = run.scores.mean("chance", run.study.pretraining.dataset, column)
    return {"chance": mean.value} if mean else {}


def _loss(trainings: list[Training], colours: dict[str, int], caption: str) -> str:
    return _figure(line_chart(_lines(trainings, colours, "loss"), STEP, "loss"), caption)


def _figure(chart: str, caption: str) -> str:
    return figure(chart, caption) if chart else ""


def _uniform(encoders: list[Training]) -> dict[str, float]:
    """Entropy of a uniform output over K prototypes, by label."""
    counts = {t.provenance.get("resolved", {}).get("prototypes") for t in encoders} - {None}
    return {f"ln K, K = {count:,}": math.log(count) for count in sorted(counts)}
