"""What may be claimed of the retrained encoder: against the baseline, and against the controls of the study."""

import math

from gensis.figures.compared import Compared, p_value, seeds_for_a_claim
from gensis.figures.markup import text
from gensis.figures.run import Run
from gensis.figures.scores import Column
from gensis.settings.study import Study


def claim(run: Run, subject: str, dataset: str, column: Column) -> str:
    """Whether the subject beats the baseline and all controls; no more than the number of seeds supports."""
    baseline = run.study.baseline
    found = _against(run, (subject, baseline), dataset, column)
    if found is None:
        return f"There is no retrained encoder to compare with {text(baseline)}."
    against = {name: _against(run, (subject, name), dataset, column) for name in controls(run.study, subject)}
    sentences = [_difference(found)]
    if found.n == 1:
        pair = (subject, baseline)
        sentences += _over_items(next(iter(run.comparisons.over_items(pair, dataset, column)), None))
    sentences += [_test(found), *_of_controls(against), *_conditions(run, subject)]
    return " ".join([_verdict(found, against), *sentences])


def controls(study: Study, subject: str) -> list[str]:
    """Arms that a gain of the subject must beat too: as much compute without a bank, and banks of other images.

    These are banks of real images, and a bank whose images are not those of their sources (`shuffle_bank`).
    """
    others = {name: arm for name, arm in study.retraining.items() if name != subject}
    return [
        name
        for name, arm in others.items()
        if (arm.shuffle_bank or not study.banks[arm.bank].is_generated if arm.bank else arm.match_compute == subject)
    ]


def _against(run: Run, pair: tuple[str, str], dataset: str, column: Column) -> Compared | None:
    return run.comparisons.main_figure(pair, dataset, column, run.scores.main_figures)


def _verdict(found: Compared, against: dict[str, Compared | None]) -> str:
    """The verdict; a control that was not compared is not beaten."""
    if found.is_evidence and found.difference < 0:
        return "<b>No:</b> there is evidence that it is worse on these test data."
    if found.is_evidence:
        not_beaten = [name for name, each in against.items() if not _is_gain(each)]
        if not_beaten:
            return (
                f"<b>Not shown:</b> there is evidence that it is better than {text(found.baseline)}, but not that it "
                f"is better than {text(', '.join(not_beaten))}. The gain may have other causes than the method."
            )
        beaten = f", and better than each control ({text(', '.join(against))})"
        return f"<b>Yes:</b> there is evidence that it is better on these test data{beaten if against else ''}."
    if not found.has_seeds_for_a_claim and (found.n == 1 or found.excludes_no_difference):
        return "<b>Too few seeds to claim</b> a difference."
    return "<b>Not shown:</b> there is no evidence of a difference."


def _is_gain(found: Compared | None) -> bool:
    return found is not None and found.is_evidence and found.difference > 0


def _difference(found: Compared) -> str:
    observed = f"{text(found.encoder)} &minus; {text(found.baseline)} = {found.difference:+.3f}"
    if found.n == 1:
        return f"{observed} with one seed, which says nothing about other seeds."
    return f"{observed}, mean of {found.n} seeds, 95 % interval {found.low:+.3f} to {found.high:+.3f}."


def _over_items(found: Compared | None) -> list[str]:
    if found is None or math.isnan(found.low):
        return []
    return [f"Over the test items of this seed: 95 % interval {found.low:+.3f} to {found.high:+.3f}."]


def _test(found: Compared) -> str:
    """Result of the test over seeds, or how many seeds it needs."""
    several = found.family > 1
    if not found.has_seeds_for_a_claim:
        metrics = f" about {found.family} main metrics" if several else ""
        return f"A claim{metrics} needs at least {seeds_for_a_claim(found.family)} seeds."
    after = p_value(found.corrected_p).removeprefix("p ").removeprefix("= ")
    corrected = f", {after} after Holm correction for {found.family} main metrics" if several else ""
    return f"Sign-flip test over seeds: {p_value(found.p)}{corrected}."


def _of_controls(against: dict[str, Compared | None]) -> list[str]:
    """The difference from each control, with its interval where there are several seeds."""
    cells = [
        f"{text(each.baseline)} {each.difference:+.3f}"
        + ("" if math.isnan(each.low) else f" ({each.low:+.3f} to {each.high:+.3f})")
        for each in against.values()
        if each
    ]
    return [f"Minus its controls: {', '.join(cells)}."] if cells else []


def _conditions(run: Run, subject: str) -> list[str]:
    """What the interval of the result does not cover: the quality of the bank, and a bank that all seeds share."""
    ratio = run.class_consistency(subject)
    sentences = [] if math.isnan(ratio) else [f"Class consistency of its bank: {ratio:.2f} times that of real images."]
    bank = run.study.banks.get(run.study.retraining[subject].bank)
    if bank and bank.seed is not None and len(run.study.seeds) > 1:
        sentences.append(f"All seeds share one bank (that of seed {bank.seed}): another bank could change the result.")
    return sentences
