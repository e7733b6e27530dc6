"""The report of a finished run, as one self-contained HTML file, and the overlays of slides."""
