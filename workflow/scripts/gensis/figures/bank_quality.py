"""Whether the bank is good enough: a verdict in words, then a table of metrics beside reference images."""

import math
from typing import Any

from gensis.figures.chart import Line, line_chart
from gensis.figures.markup import ABSENT, figure, paragraph, table, text
from gensis.figures.run import Bank, Run
from gensis.figures.scores import Mean
from gensis.figures.strips import strips

ENOUGH = 0.9
"""Class consistency, relative to real images, below which a bank may make the encoder worse: our rule of thumb."""

OF_REAL_IMAGES = {
    "neighbours": "the nearest other training images of each source",
    "sources": "the sources themselves",
}
"""Kind of bank without generated images -> what its images are."""
NAMES = {"generated": "generated images", "neighbours": "neighbours", "sources": "sources"}
"""Kind of bank -> what one calls its images."""
ADVICE = {
    "generated": (
        "Encoders that are retrained with it say nothing about the method: first train the diffusion model longer, or "
        "raise guidance."
    ),
    "neighbours": "Its images often have another class than their source: take fewer variants.",
    "sources": "",
}
"""Kind of bank -> what to do where classes are not preserved."""
LABELS_WERE_USED = (
    "Class consistency uses the labels of training images. If you follow this advice, these labels have influenced the "
    "training: evaluate the encoders on other labels (of a test split or of another data set), or state it."
)
MEANINGS = {
    "fidelity": (
        "fidelity to the source",
        "Mean cosine between the embedding of a generated image and that of its source, which is its condition unless "
        "the bank moves conditions (toward_neighbour): how closely the diffusion model follows it, "
        "not how useful the image is; above the ceiling it is nearer than an ordinary view. Floor: other sources; "
        "ceiling: augmented views of real images.",
    ),
    "fidelity_held_out": (
        "fidelity, held out",
        "The same for conditions from images that the diffusion model was not trained on. Well below fidelity: "
        "overfitting.",
    ),
    "fidelity_interpolated": (
        "fidelity, interpolated",
        "The same for interpolated images and their interpolated condition.",
    ),
    "source_nearest": (
        "source is nearest",
        "Share of generated images whose nearest training image is their source; high is good. Floor: chance; "
        "ceiling: augmented views.",
    ),
    "source_rank": (
        "rank of the source",
        "Median rank of the source among all training images; 1 (nearest) is best. Floor: chance; ceiling: augmented "
        "views.",
    ),
    "both_sources_top2": (
        "both sources in top 2",
        "Share of interpolated images whose two nearest training images are source and partner; high is good. "
        "Floor: chance.",
    ),
    "frechet_encoder": (
        "Fréchet distance, encoder",
        "Distance between real and generated images in the embedding of the bank's encoder; low is good. Floor: other "
        "real images; ceiling: blurred real images.",
    ),
    "frechet_random": (
        "Fréchet distance, untrained",
        "The same in the embedding of an untrained network, which the generation was not conditioned on; low is good.",
    ),
    "frechet_pixels": (
        "Fréchet distance, pixels",
        "The same on pixels; low is good. With fewer sources than pixel values it mostly reflects their number.",
    ),
    "kernel_encoder": (
        "kernel distance, encoder",
        "Squared maximum mean discrepancy with the kernel of KID, in the embedding of the bank's encoder; low is good, "
        "0 is no difference. Floor: other real images; ceiling: blurred real images.",
    ),
    "kernel_random": (
        "kernel distance, untrained",
        "The same in the embedding of an untrained network; low is good.",
    ),
    "kernel_pixels": ("kernel distance, pixels", "The same on pixels; low is good."),
    "real_vs_generated_accuracy_encoder": (
        "real vs generated, encoder",
        "Accuracy of a linear probe on embeddings that separates real from generated images; low is good. 0.5 is "
        "chance, 1 separates all.",
    ),
    "real_vs_generated_accuracy_pixels": (
        "real vs generated, pixels",
        "The same on pixels. High where blur or compression gives generated images away.",
    ),
    "near_duplicates": (
        "near duplicates",
        "Share of generated images that repeat their source in pixels; low is good. Floor: real images and the real "
        "image nearest to them.",
    ),
    "near_duplicates_held_out": (
        "near duplicates, held out",
        "The same for sources that the diffusion model was not trained on. Well below near duplicates: training images "
        "are memorised.",
    ),
    "diversity_random": (
        "diversity, untrained",
        "1 - cosine between two images of one condition, in the embedding of an untrained network centred on real "
        "images; high is diverse. Floor: two augmented views of an image; ceiling: different images. Below the floor: "
        "less diverse than augmented views.",
    ),
    "diversity_pixels": (
        "diversity, pixels",
        "Standard deviation of a pixel between the two images. Floor and ceiling as above.",
    ),
}
"""Metric -> its name and its meaning in the table."""


def bank_quality(run: Run) -> str:
    """Verdict, table and charts of each bank, of its first seed."""
    first: dict[str, Bank] = {}
    for bank in run.banks:
        if bank.quality:
            first.setdefault(bank.name, bank)
    return "\n".join(_bank(bank) for bank in first.values())


def warnings(run: Run) -> str:
    """A warning for each bank of generated images that may harm, of its worst seed; shown with the answer."""
    harming: dict[str, list[Bank]] = {}
    for bank in run.banks:
        if bank.kind not in OF_REAL_IMAGES and _loses_classes(bank):
            harming.setdefault(bank.name, []).append(bank)
    return "\n".join(paragraph(_worst(banks)) for banks in harming.values())


def _worst(banks: list[Bank]) -> str:
    worst, *others = sorted(banks, key=_ratio)
    more = ", ".join(f"seed {bank.seed}: {_ratio(bank):.2f}" for bank in others)
    return verdict(worst) + (f" The same holds for its other seeds ({more})." if more else "")


def verdict(bank: Bank) -> str:
    """Class consistency of a bank, and whether it is high enough to retrain with the bank."""
    named = f"<b>Bank {text(bank.name)}, seed {bank.seed}</b>"
    if (ratio := _ratio(bank)) is None:
        reason = bank.quality["skipped"].get("class consistency", "it has no generative images")
        return f"{named}: its class consistency is not known ({text(reason)})."
    found = bank.quality["class_consistency"]
    interval = "" if found["ratio"]["low"] is None else " [{low:.2f}, {high:.2f}]".format(**found["ratio"])
    measured = f'its class consistency is <b class="accent">{ratio:.2f}</b>{interval} times that of real images'
    accuracies = (
        f"A k-NN classifier on real training images has an accuracy of {found['generated']['value']:.1%} for its "
        f"{NAMES[bank.kind]}, {found['real']['value']:.1%} for real images{_of_views(found)} "
        f"(chance {found['chance']:.1%})."
    )
    if _is_near_chance(bank):
        return f"{named}: {measured}. {accuracies} This says little: real images are not classified above chance."
    if _loses_classes(bank):
        return (
            f"{named} <b>may harm</b> the retrained encoder: {measured}, below {ENOUGH} (our rule of thumb). "
            f"{accuracies} {ADVICE[bank.kind]} {LABELS_WERE_USED}"
        )
    return f"{named}: {measured}. {accuracies} That is enough, by our rule of thumb."


def _loses_classes(bank: Bank) -> bool:
    """Whether images of a bank keep the class less often than real images do, and than augmented views if measured."""
    ratio = _ratio(bank)
    if ratio is None or ratio >= ENOUGH or _is_near_chance(bank):
        return False
    found = bank.quality["class_consistency"]
    return "views" not in found or found["generated"]["value"] < found["views"]["value"]


def _of_views(found: dict[str, Any]) -> str:
    """Accuracy for augmented views; empty where it was not measured."""
    return f" and {found['views']['value']:.1%} for augmented views of these" if "views" in found else ""


def _is_near_chance(bank: Bank) -> bool:
    """Whether the k-NN accuracy of real images is not clearly above chance."""
    found = bank.quality["class_consistency"]
    return found["real"]["low"] is not None and found["real"]["low"] <= found["chance"]


def _ratio(bank: Bank) -> float | None:
    return bank.quality.get("class_consistency", {}).get("ratio", {}).get("value")


def _bank(bank: Bank) -> str:
    quality = bank.quality
    found = {each["figure"]: each for each in quality["figures"]}
    rows = [
        [text(MEANINGS[name][0]), *_cells(found[name]), text(MEANINGS[name][1])] for name in MEANINGS if name in found
    ]
    header = ["metric", "value", "floor", "ceiling", "images", "meaning"]
    skipped = "; ".join(f"{text(name)}: {text(reason)}" for name, reason in quality["skipped"].items())
    caption = (
        f"{quality['sources']:,} sources, drawn at random, with one image of the bank each (two for diversity, of "
        "fewer sources). Floor and ceiling: the same metric on reference images, which the last column names. Below a "
        "value: ± standard error, or 95 % interval." + (f" Not measured: {skipped}." if skipped else "")
    )
    of_kinds = quality.get("filter", {}).items()
    filters = [paragraph(_filtered(kind, counts)) for kind, counts in of_kinds if counts["generated"]]
    charts = _along_alpha(quality) + _class_consistency(quality, NAMES[bank.kind])
    control = OF_REAL_IMAGES.get(bank.kind)
    parts = [
        paragraph(f"A control: in place of generated images, bank {text(bank.name)} has {control}.") if control else "",
        paragraph(verdict(bank)),
        *filters,
        figure(table(header, rows, "reasons"), caption) if rows else paragraph(caption, "note"),
        f'<div class="charts">{charts}</div>' if charts else "",
    ]
    return "\n".join(filter(None, parts))


def _filtered(kind: str, counts: dict[str, int]) -> str:
    """How many images of a kind the filter of the bank leaves out, and why."""
    left_out = counts["generated"] - counts["kept"]
    return (
        f"The filter leaves out {left_out:,} of {counts['generated']:,} {kind} images: "
        f"{counts['unfaithful']:,} have a low fidelity to their condition, {counts['copies']:,} copy a source. "
        f"{counts['sources_without']:,} sources have no such image left; retraining uses the real images instead."
    )


def _cells(found: dict[str, Any]) -> list[str]:
    value, floor, ceiling = (_number(found[name]) for name in ("value", "floor", "ceiling"))
    if found["error"] is not None:
        value += f"<small>± {found['error']:.2g}</small>"
    elif found.get("low") is not None:
        value += f"<small>{_number(found['low'])} to {_number(found['high'])}</small>"
    return [value, floor, ceiling, f"{found['n']:,}"]


def _number(value: float | None) -> str:
    """Three decimals below ten, none above."""
    return ABSENT if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


def _along_alpha(quality: dict[str, Any]) -> str:
    points = quality.get("along_alpha", [])
    if not points:
        return ""
    alphas = [point["alpha"] for point in points]
    lines = [
        Line(f"cosine to the {name}", alphas, [point[name] for point in points], colour=colour)
        for colour, name in enumerate(("source", "partner"), 1)
    ]
    floor = next((each["floor"] for each in quality["figures"] if each["figure"] == "fidelity"), None)
    levels = {} if floor is None else {"unrelated images": floor}
    return figure(
        line_chart(lines, "alpha, weight of the source", "cosine", levels),
        "<b>Interpolated images by alpha.</b> Mean cosine between their embeddings and those of source and partner. "
        "Good: the larger alpha, the nearer the source and the farther the partner. At alpha = 1: generative images. "
        "Dotted: unrelated images.",
    )


def _class_consistency(quality: dict[str, Any], own: str) -> str:
    if not (found := quality.get("class_consistency")):
        return ""
    means = {
        name: Mean(
            *(_or_nan(found[key][end]) for end in ("value", "low", "high")), deviation=math.nan, seeds=1, n=found["n"]
        )
        for name, key in (("real images", "real"), ("augmented views", "views"), (own, "generated"))
        if key in found
    }
    chance = Mean(found["chance"], math.nan, math.nan, deviation=math.nan, seeds=1, n=found["n"])
    return figure(
        strips(means | {"chance": chance}),
        "<b>Class consistency.</b> Share of images that a k-NN classifier (20 nearest real training images) assigns to "
        "the class of their source. Images of the slide or group of the source do not vote. Good: images of the bank "
        "reach the value of augmented views. Line: 95 % interval. Dashed line: chance, the most common class.",
        "strips",
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
