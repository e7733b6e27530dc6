"""The page of a run, put together."""

from gensis.figures.answer import answer
from gensis.figures.attention import attention
from gensis.figures.bank_grid import bank_grid
from gensis.figures.bank_quality import bank_quality, warnings
from gensis.figures.cost import cost
from gensis.figures.curves import curves
from gensis.figures.differences import differences
from gensis.figures.embedding_map import embedding_map
from gensis.figures.html_tables import all_encoders, all_figures
from gensis.figures.interpolations import interpolations
from gensis.figures.markup import section, text
from gensis.figures.origins import origins
from gensis.figures.overview import overview
from gensis.figures.reconstructions import reconstructions
from gensis.figures.run import Run
from gensis.figures.slides import slides
from gensis.figures.style import CSS

PAPER = "https://arxiv.org/abs/2412.01672"


def page(run: Run, threads: int = 1) -> str:
    """One HTML document that loads nothing: style, pictures and charts lie within.

    Args:
        run: a finished run; of its parts only config and summary must be there.
        threads: that draw slides.
    """
    title = f"Gen-SIS: {run.study.run}"
    sections = [
        section("Answer", warnings(run), answer(run)),
        section("All encoders", all_encoders(run.scores, run.evaluations), all_figures(run.scores)),
        section("Encoders in pairs", differences(run)),
        section("What was run", overview(run)),
        section("The bank: sources and what was generated of them", bank_grid(run)),
        section("Between two images", interpolations(run)),
        section("What the autoencoder keeps", reconstructions(run)),
        section("Can the bank be trusted?", bank_quality(run)),
        section("Training", curves(run)),
        section("Slides and their tiles", slides(run, threads)),
        section("What slide classifiers looked at", attention(run)),
        section("Images by their embeddings", embedding_map(run)),
        section("What it cost", cost(run)),
        section("Configuration and versions", origins(run)),
    ]
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
<p>Does an encoder learn more from its own images with images of its own making? The method:
<a href="{PAPER}">arXiv 2412.01672</a>.</p>
</header>
{"".join(sections)}
</body>
</html>
"""
