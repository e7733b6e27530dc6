"""The report page of a run."""

from gensis.figures import bank_quality, plateau
from gensis.figures.answer import answer
from gensis.figures.attention import attention
from gensis.figures.bank_grid import bank_grid
from gensis.figures.classes import classes
from gensis.figures.cost import cost
from gensis.figures.curves import curves
from gensis.figures.differences import differences
from gensis.figures.embedding_map import embedding_map
from gensis.figures.encoder_comparison import encoder_comparison
from gensis.figures.html_tables import all_encoders, all_figures
from gensis.figures.interpolations import interpolations
from gensis.figures.markup import section, text
from gensis.figures.origins import origins
from gensis.figures.overview import datasets, overview
from gensis.figures.reconstructions import reconstructions
from gensis.figures.run import Run
from gensis.figures.slides import slides
from gensis.figures.style import CSS
from gensis.figures.view_distance import view_distances
from gensis.settings.roles import method

PAPER = "https://arxiv.org/abs/2412.01672"


def page(run: Run, threads: int = 1) -> str:
    """One HTML document that loads nothing: style, images and charts are embedded.

    Args:
        run: a finished run; only its config and summary are required.
        threads: number of threads that draw slides.
    """
    title = f"Gen-SIS: {run.study.run}"
    sections = of_training(run, threads) if run.study.pretraining else of_comparison(run, threads)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{CSS}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
<p>{question(run)}</p>
</header>
{"".join(sections)}
</body>
</html>
"""


def question(run: Run) -> str:
    """What the study asks, as markup."""
    if run.study.pretraining is None:
        return "Which of these encoders suits these images? Nothing was trained on them."
    return (
        f"Is a {text(method(run.study))} encoder better when it is retrained with images that a diffusion model "
        f'generated from the encoder\'s own embeddings? Method: Gen-SIS, <a href="{PAPER}">arXiv 2412.01672</a>.'
    )


def of_training(run: Run, threads: int) -> list[str]:
    """Sections about a study that trains encoders."""
    return [
        section("Answer", bank_quality.warnings(run), plateau.warning(run), answer(run)),
        section("All encoders", all_encoders(run), all_figures(run.scores)),
        section("Differences between encoders", plateau.warning(run), differences(run)),
        section("Classes and calibration", classes(run)),
        section("Plateau", plateau.plateau(run)),
        section("Overview of the run", overview(run)),
        section("The bank: sources and generated images", bank_grid(run)),
        section("Interpolations", interpolations(run)),
        section("Autoencoder reconstructions", reconstructions(run)),
        section("Is the bank good enough?", view_distances(run), bank_quality.bank_quality(run)),
        section("Training curves", curves(run)),
        section("Slides and tiles", slides(run, threads)),
        section("Attention maps", attention(run)),
        section("Map of the embeddings", embedding_map(run)),
        section("Compute time", cost(run)),
        section("Configuration and versions", origins(run)),
    ]


def of_comparison(run: Run, threads: int) -> list[str]:
    """Sections about a study that compares external encoders."""
    return [
        section("Answer", encoder_comparison(run)),
        section("All encoders", all_encoders(run), all_figures(run.scores)),
        section("Classes and calibration", classes(run)),
        section("Data sets", datasets(run)),
        section("Slides and tiles", slides(run, threads)),
        section("Attention maps", attention(run)),
        section("Map of the embeddings", embedding_map(run)),
        section("Compute time", cost(run)),
        section("Configuration and versions", origins(run)),
    ]
