# SPDX-License-Identifier: GPL-2.0-only
"""Medians, quartiles, and rows that say whether a budget is kept."""

import statistics


def quartiles(values):
    """Of at least two values."""
    return statistics.quantiles(values, n=4, method="inclusive")


def middle(values, digits=3):
    """Median and quartiles."""
    low, median, high = quartiles(values)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


class Table:
    """Results against the budgets of the design."""

    def __init__(self):
        self.rows = []

    def add(self, what, text, budget="", good=None, noise=False):
        """A row; good: whether it is within the budget; noise: it says little if not."""
        word = "" if good is None else "within" if good else "noise" if noise else "OVER"
        self.rows.append((what, text, budget, word))
        print(f"  {what:48} {text:34} {budget:10} {word}", flush=True)
