"""The page that shows a finished run: one HTML file that needs nothing else."""
