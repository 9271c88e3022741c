"""Mutants of the service: faults that the storm or a property test has to see, or they miss real ones too.

`patches/` has the mutants, `mutant` reads and applies them, `layers` are what has to see them, `play` plays
one turn of the storm, `runs` plays all, `table` says what has come of it, `__main__` is `make mutants-storm`.
"""
