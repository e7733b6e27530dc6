"""Units of quantities on slides. At run time they are plain numbers; a type checker refuses one in place of another."""

from typing import NewType

Level0Px = NewType("Level0Px", float)
"""Pixels at full resolution."""
LevelPx = NewType("LevelPx", float)
"""Pixels of the pyramid level that is read."""
TilePx = NewType("TilePx", int)
"""Pixels of a tile at the target resolution."""
RasterPx = NewType("RasterPx", float)
"""Pixels of a thumbnail or mask."""
Downsample = NewType("Downsample", float)
"""Level-0 pixels per pixel of a level, thumbnail or mask."""
Mpp = NewType("Mpp", float)
"""Micrometres per pixel."""

SizeLevel0 = tuple[Level0Px, Level0Px]
"""Width and height."""
BoundsLevel0 = tuple[Level0Px, Level0Px, Level0Px, Level0Px]
"""Left, top, right and bottom."""
