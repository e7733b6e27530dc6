"""Whether the bank can be trusted: the verdict in words, then every figure between its floor and its ceiling."""

import math
from typing import Any

from gensis.figures.chart import Line, line_chart
from gensis.figures.markup import ABSENT, figure, paragraph, table, text
from gensis.figures.run import Bank, Run
from gensis.figures.scores import Mean
from gensis.figures.strips import strips

ENOUGH = 0.9
"""Part of what real images reach below which a bank makes the encoder worse: a rule of thumb from trials of ours."""

SPENT = (
    "But class consistency is measured with the labels of training images: who follows this advice has let them choose "
    "how to train, and measures encoders on other labels (of a test split, of another data set) or says so."
)
_ENCODER, _RANDOM = "as this encoder sees them", "as an untrained network sees them"
MEANINGS = {
    "fidelity": (
        "shows its condition",
        "Cosine with what it was generated from. Floor: another condition; ceiling: a view.",
    ),
    "fidelity_held_out": (
        "the same, held out",
        "From images never trained on. Well below the line above: overfitting.",
    ),
    "fidelity_interpolated": ("the same, interpolated", "Cosine with the point between its two sources."),
    "source_nearest": (
        "source is nearest",
        "Share whose nearest training image is the source. Floor: chance; ceiling: views.",
    ),
    "source_rank": (
        "rank of the source",
        "Median among all training images; 1 is nearest. Floor: chance; ceiling: views.",
    ),
    "both_sources_top2": (
        "both sources nearest",
        "Share of interpolated images whose two nearest are source and partner.",
    ),
    "frechet_encoder": ("Fréchet distance", f"Low is good, {_ENCODER}. Floor: real images; ceiling: blurred ones."),
    "frechet_random": ("the same, independent", f"Low is good, {_RANDOM}."),
    "frechet_pixels": ("the same, pixels", "Low is good. With fewer sources than values it shows mostly their number."),
    "kernel_encoder": (
        "kernel distance",
        f"Low is good, {_ENCODER}; near 0 is alike. Floor: real images; ceiling: blurred ones.",
    ),
    "kernel_random": ("the same, independent", f"Low is good, {_RANDOM}."),
    "kernel_pixels": ("the same, pixels", "Low is good."),
    "real_vs_generated_accuracy_encoder": (
        "told from real",
        "Accuracy of a linear probe on embeddings; 0.5 is chance, at 1 all are told.",
    ),
    "real_vs_generated_accuracy_pixels": (
        "the same, pixels",
        "High where blur or compression gives generated images away.",
    ),
    "near_duplicates": (
        "near duplicates",
        "Share that repeats its source in pixels. Floor: real images that resemble each other.",
    ),
    "near_duplicates_held_out": (
        "the same, held out",
        "Well below the line above: training images are learnt by heart.",
    ),
    "diversity_random": (
        "diversity, independent",
        f"How far two images of one condition lie apart, {_RANDOM}: 1 - cosine about the mean of real images. "
        "Floor: two views of an image; ceiling: different images. Below the floor: less varied than views.",
    ),
    "diversity_pixels": ("the same, pixels", "Standard deviation of a pixel between the two images."),
}
"""Figure -> its name in the table and what it means."""


def bank_quality(run: Run) -> str:
    """Verdict, table and charts of each bank's first seed."""
    first: dict[str, Bank] = {}
    for bank in run.banks:
        if bank.quality:
            first.setdefault(bank.name, bank)
    return "\n".join(_bank(bank) for bank in first.values())


def warnings(run: Run) -> str:
    """A line for each bank that harms, of the seed where it is worst; for the place where encoders are compared."""
    harming: dict[str, list[Bank]] = {}
    for bank in run.banks:
        if (ratio := _ratio(bank)) is not None and ratio < ENOUGH and not _is_near_chance(bank):
            harming.setdefault(bank.name, []).append(bank)
    return "\n".join(paragraph(_worst(banks)) for banks in harming.values())


def _worst(banks: list[Bank]) -> str:
    worst, *others = sorted(banks, key=_ratio)
    more = ", ".join(f"seed {bank.seed}: {_ratio(bank):.2f}" for bank in others)
    return verdict(worst) + (f" Its other seeds harm too ({more})." if more else "")


def verdict(bank: Bank) -> str:
    """What the bank's images keep of their class, in a sentence."""
    named = f"<b>Bank {text(bank.name)}, seed {bank.seed}</b>"
    if (ratio := _ratio(bank)) is None:
        reason = bank.quality["skipped"].get("class consistency", "it has no generative images")
        return f"{named}: whether images keep their class is not known ({text(reason)})."
    kept = bank.quality["class_consistency"]
    interval = "" if kept["ratio"]["low"] is None else " [{low:.2f}, {high:.2f}]".format(**kept["ratio"])
    measured = (
        f"neighbours tell the class of {kept['generated']['value']:.1%} of the generated images and of "
        f"{kept['real']['value']:.1%} of the real ones{_of_views(kept)} (chance {kept['chance']:.1%}): "
        f'<b class="accent">{ratio:.2f}</b>{interval} of what real images reach'
    )
    if _is_near_chance(bank):
        return f"{named}: {measured}. That says little, since the real ones are not told above chance either."
    if ratio < ENOUGH:
        high = kept["ratio"]["high"]
        harms = "harms" if high is None or high < ENOUGH else "may harm"
        return (
            f"{named} <b>{harms}</b>: {measured}, below {ENOUGH}, our rule of thumb. What is retrained with it says "
            f"nothing of the method: train the diffusion model longer, or raise guidance, first. {SPENT}"
        )
    return f"{named} keeps the classes: {measured}."


def _of_views(kept: dict[str, Any]) -> str:
    """How often ordinary views keep the class; nothing where it was not measured."""
    return f" and {kept['views']['value']:.1%} of their ordinary views" if "views" in kept else ""


def _is_near_chance(bank: Bank) -> bool:
    """Whether not even real images' neighbours tell their class."""
    kept = bank.quality["class_consistency"]
    return kept["real"]["low"] is not None and kept["real"]["low"] <= kept["chance"]


def _ratio(bank: Bank) -> float | None:
    return bank.quality.get("class_consistency", {}).get("ratio", {}).get("value")


def _bank(bank: Bank) -> str:
    quality = bank.quality
    found = {each["figure"]: each for each in quality["figures"]}
    rows = [
        [text(MEANINGS[name][0]), *_cells(found[name]), text(MEANINGS[name][1])] for name in MEANINGS if name in found
    ]
    header = ["figure", "value", "floor", "ceiling", "images", "what it means"]
    skipped = "; ".join(f"{text(name)}: {text(reason)}" for name, reason in quality["skipped"].items())
    caption = (
        f"{quality['sources']:,} sources drawn by the seed, one image of each; of some, two for their diversity. Floor "
        "and ceiling are the same figure of images that are known. Below a value: standard error or 95 % interval."
        + (f" Not measured: {skipped}." if skipped else "")
    )
    parts_left = [paragraph(_filtered(kind, counts)) for kind, counts in quality.get("filter", {}).items()]
    charts = _along_alpha(quality) + _class_kept(quality)
    parts = [
        paragraph(verdict(bank)),
        *parts_left,
        figure(table(header, rows, "reasons"), caption) if rows else paragraph(caption, "note"),
        f'<div class="charts">{charts}</div>' if charts else "",
    ]
    return "\n".join(filter(None, parts))


def _filtered(kind: str, counts: dict[str, int]) -> str:
    """How many images of a kind the bank's filter leaves out, and why."""
    left_out = counts["generated"] - counts["kept"]
    return (
        f"The filter leaves out {left_out:,} of {counts['generated']:,} {kind} images: "
        f"{counts['unfaithful']:,} show too little of their condition, {counts['copies']:,} copy a source. "
        f"{counts['sources_without']:,} sources have no such image left; training sees them as they are."
    )


def _cells(found: dict[str, Any]) -> list[str]:
    value, floor, ceiling = (_number(found[name]) for name in ("value", "floor", "ceiling"))
    if found["error"] is not None:
        value += f"<small>± {found['error']:.2g}</small>"
    elif found.get("low") is not None:
        value += f"<small>{_number(found['low'])} to {_number(found['high'])}</small>"
    return [value, floor, ceiling, f"{found['n']:,}"]


def _number(value: float | None) -> str:
    """Three decimals below ten, else whole numbers."""
    return ABSENT if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


def _along_alpha(quality: dict[str, Any]) -> str:
    points = quality.get("along_alpha", [])
    if not points:
        return ""
    alphas = [point["alpha"] for point in points]
    lines = [
        Line(f"cosine to the {name}", alphas, [point[name] for point in points], colour)
        for colour, name in enumerate(("source", "partner"), 1)
    ]
    floor = next((each["floor"] for each in quality["figures"] if each["figure"] == "fidelity"), None)
    levels = {} if floor is None else {"unrelated images": floor}
    return figure(
        line_chart(lines, "alpha, weight of the source", "cosine", levels),
        "Images between two: as alpha grows, they should near the source and leave the partner. At 1: generative ones.",
    )


def _class_kept(quality: dict[str, Any]) -> str:
    if not (kept := quality.get("class_consistency")):
        return ""
    means = {
        name: Mean(*(_or_nan(kept[key][end]) for end in ("value", "low", "high")), math.nan, 1, kept["n"])
        for name, key in (("real images", "real"), ("ordinary views", "views"), ("generated images", "generated"))
        if key in kept
    }
    chance = Mean(kept["chance"], math.nan, math.nan, math.nan, 1, kept["n"])
    return figure(
        strips(means | {"chance": chance}),
        "Share whose 20 nearest real neighbours, those of the own slide or group left out, vote for their class. "
        "Line: 95 % interval. Dashed: chance, the commonest class.",
        "strips",
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
