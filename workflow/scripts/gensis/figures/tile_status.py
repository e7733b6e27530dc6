"""Status of a tile (kept, or why it was left out), and its colour in every overlay and export."""

from dataclasses import dataclass

from gensis.figures import palette


@dataclass(frozen=True)
class TileStatus:
    """A status that a tile may have, and how it is drawn."""

    label: str
    """In a legend."""
    colour: tuple[int, int, int]
    fill: float
    """Opacity of its area within an outline: low for kept tiles and glass, high for tiles that were lost."""
    line: float
    """Opacity of its outline."""

    @property
    def solid(self) -> float:
        """Opacity of its area where tiles are too small for outlines: about the mean of an outlined tile."""
        return (self.fill + self.line) / 3


TILE_STATUSES = {
    "kept": TileStatus("kept", palette.KEPT, 0.12, 0.95),
    "low_quality": TileStatus("low quality", palette.YELLOW, 0.50, 1.0),
    "pen": TileStatus("pen", palette.VERMILION, 0.50, 1.0),
    "not_chosen": TileStatus("not chosen", palette.SKY_BLUE, 0.40, 0.9),
    "unreadable": TileStatus("unreadable", palette.BLACK, 0.60, 1.0),
    "little_tissue": TileStatus("little tissue", palette.GREY, 0.06, 0.18),
}
NAMES = tuple(TILE_STATUSES)
KEPT, LOW_QUALITY = NAMES.index("kept"), NAMES.index("low_quality")
