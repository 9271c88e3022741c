"""What a call costs, and how long a caller hears nothing: measured, as ratios within one run."""
