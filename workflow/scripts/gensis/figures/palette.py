"""Colours of all figures, chosen so that readers with any colour blindness can tell them apart."""

SERIES = ("var(--ink)", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""CSS colours of lines and classes: those of Okabe and Ito (https://jfly.uni-koeln.de/color/) without yellow, which
disappears on white, and with the colour of text for black."""

KEPT = (0, 64, 255)
"""Outline of a kept tile. The green of Okabe and Ito equals reddish tissue for readers without green cones."""
ATTENTION = (0, 255, 0)
"""Attended tiles: of all colours that which differs most from tissue in H&E for all readers."""
YELLOW, VERMILION, SKY_BLUE, BLACK, GREY = (240, 228, 66), (213, 94, 0), (86, 180, 233), (0, 0, 0), (64, 64, 64)
