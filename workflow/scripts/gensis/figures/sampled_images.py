"""Evenly spaced choices of the images and slides to show."""


def evenly(total: int, wanted: int) -> list[int]:
    """At most ``wanted`` of the numbers below ``total``: evenly spaced, ascending, with the first and the last."""
    if total <= wanted:
        return list(range(total))
    if wanted < 2:
        return [0][:wanted]
    return [round(i * (total - 1) / (wanted - 1)) for i in range(wanted)]
