"""Training curves of the encoders, the diffusion model and the autoencoder."""

import math

from gensis.figures.chart import Line, line_chart
from gensis.figures.markup import figure, text
from gensis.figures.run import Run, Training
from gensis.figures.scores import Column
from gensis.settings.methods import METHODS
from gensis.settings.roles import method

STEP = "step"
USUAL_K = 20
MONITORED = [
    (
        "contrast_accuracy",
        "contrast accuracy (share)",
        "<b>Contrast accuracy.</b> Share of the training views whose most similar view in the batch is of the same "
        "image, by the outputs of the projection head. High is good. The larger the batch, the lower it is.",
    ),
    (
        "rankme",
        "RankMe (dimensions)",
        "<b>RankMe.</b> Effective number of dimensions of the encoder's embeddings, on monitored training images. High "
        "is good. A fall to a few dimensions means that the embeddings have collapsed.",
    ),
    (
        "view_retrieval",
        "view retrieval (share)",
        "<b>View retrieval.</b> Share of the monitored images whose two random views are each other's nearest "
        "neighbours in the encoder's embedding. High is good. It uses no labels and does not measure how well classes "
        "are separated.",
    ),
    (
        "gradient_norm",
        "gradient norm",
        "<b>Gradient norm.</b> Norm of the encoders' gradient before clipping, mean over an epoch.",
    ),
    ("images_per_second", "images/s", "<b>Throughput.</b> Training images per second, of the encoders."),
]
"""Column of the history of an encoder, name of its axis, caption."""
RECONSTRUCTION = [
    (
        "psnr",
        "PSNR (dB)",
        "<b>PSNR of the autoencoder.</b> Peak signal-to-noise ratio on images that it is not trained on; high is good.",
    ),
    (
        "ssim",
        "SSIM",
        "<b>SSIM of the autoencoder.</b> Structural similarity of the same images to their originals; 1 is best.",
    ),
]
"""The same for the autoencoder."""


def curves(run: Run) -> str:
    """The curves of the encoders, then those of the diffusion model and of the autoencoder."""
    trainings = {
        stage: [training for training in run.trainings if training.stage == stage]
        for stage in ("encoder", "diffusion", "autoencoder")
    }
    colours = {name: number for number, name in enumerate(run.study.trained_encoders)}
    figures = [
        _losses(run, trainings["encoder"], colours),
        _entropies(trainings["encoder"], colours),
        _knn_accuracy(run, trainings["encoder"], colours),
        *(
            _figure(line_chart(_lines(trainings["encoder"], colours, column), STEP, label), caption)
            for column, label, caption in MONITORED
        ),
        _loss(
            trainings["diffusion"],
            colours,
            "<b>Loss of the diffusion model</b>, by the encoder it is conditioned on. Expect a small decrease: most of "
            "the loss is noise that cannot be predicted.",
        ),
        _loss(trainings["autoencoder"], colours, "<b>Loss of the autoencoder.</b>"),
        *(
            _figure(line_chart(_lines(trainings["autoencoder"], colours, column), STEP, label), caption)
            for column, label, caption in RECONSTRUCTION
        ),
    ]
    found = "".join(filter(None, figures))
    return f'<div class="charts">{found}</div>' if found else ""


def _lines(trainings: list[Training], colours: dict[str, int], column: str, dashed: bool = False) -> list[Line]:
    """A line for each training that has the column, one colour for all seeds. Dashed lines are not in the legend."""
    return [
        Line("" if dashed else t.name, t.history[STEP], t.history[column], colour=colours.get(t.name, 0), dashed=dashed)
        for t in trainings
        if column in t.history
    ]


def _losses(run: Run, encoders: list[Training], colours: dict[str, int]) -> str:
    own = [line for name in METHODS for line in _lines(encoders, colours, name)]
    unlearnt = {t.provenance.get("uniform_loss") for t in encoders} - {None}
    stays = "A loss that stays at the dotted line means that nothing is learnt. " if unlearnt else ""
    return _figure(
        line_chart(
            own + _lines(encoders, colours, "disentangle", dashed=True),
            STEP,
            "loss",
            {f"nothing learnt: {loss:.2f}": loss for loss in sorted(unlearnt)},
        ),
        f"<b>Loss of the encoders.</b> Solid: {text(method(run.study))} term; dashed: disentanglement term, where "
        f"there is one. {stays}Each encoder is trained with its own views and targets, so a lower loss does not mean a "
        "better encoder.",
    )


def _entropies(encoders: list[Training], colours: dict[str, int]) -> str:
    lines = _lines(encoders, colours, "teacher_entropy") + _lines(encoders, colours, "teacher_batch_entropy", True)
    return _figure(
        line_chart(lines, STEP, "teacher entropy (nats)", _uniform(encoders)),
        "<b>Entropy of the teacher.</b> Solid: of the target for one image, mean over images; dashed: of the mean "
        "target of a batch. Both show a collapse: solid at ln K, to uniform outputs; dashed near 0, to the same output "
        "for all images.",
    )


def _knn_accuracy(run: Run, encoders: list[Training], colours: dict[str, int]) -> str:
    ks = {int(k) for t in encoders for k in t.knn_history.get("k", [])}
    if not ks:
        return ""
    usual = min(ks, key=lambda k: abs(k - USUAL_K))
    lines = []
    for t in filter(lambda t: t.knn_history.get("k"), encoders):
        points = [
            (step, value) for step, k, value in zip(*map(t.knn_history.get, (STEP, "k", "accuracy"))) if k == usual
        ]
        lines.append(Line(t.name, *map(list, zip(*points)), colour=colours.get(t.name, 0)))
    chance = _chance(run, usual)
    return _figure(
        line_chart(lines, STEP, "k-NN accuracy", chance),
        f"<b>k-NN accuracy during training.</b> Each monitored training image is classified by its {usual} nearest "
        "neighbours among the monitored images of other slides or groups. High is good. The labels were used after "
        "training only and did not influence it." + " Dotted: chance on the test images." * bool(chance),
    )


def _chance(run: Run, k: int) -> dict[str, float]:
    """Accuracy of always predicting the most common class, on the test images of the same data set, by label."""
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
