"""Choosing what is shown."""


def evenly(total: int, wanted: int) -> list[int]:
    """At most ``wanted`` of the numbers below ``total``: evenly spaced, in order, with the first and the last."""
    if total <= wanted:
        return list(range(total))
    if wanted < 2:
        return [0][:wanted]
    return [round(i * (total - 1) / (wanted - 1)) for i in range(wanted)]
