"""A function that performs a work: parameters in; results, products and plots out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def math(alpha: float, beta: float, directory: str | None = None) -> tuple[dict[str, Any], list[str], list[str]]:
    """Calculate with two numbers.

    Parameters
    ----------
    directory
        Where a table of the results and a chart are written; None: nowhere.

    Returns
    -------
    tuple
        The results, the paths of products, which are for programs, and of plots, which are for people.

    Examples
    --------
    >>> math(alpha=1, beta=2)
    ({'sum': 3, 'difference': -1, 'product': 2, 'quotient': 0.5}, [], [])
    """
    results = {"sum": alpha + beta, "difference": alpha - beta, "product": alpha * beta}
    results["quotient"] = alpha / beta
    if directory is None:
        return results, [], []
    product, plot = Path(directory, "math.json"), Path(directory, "math.svg")
    product.write_text(json.dumps(results))
    plot.write_text(_chart(results))
    return results, [str(product)], [str(plot)]


def _chart(results: dict[str, float]) -> str:
    """A bar for each result, as long as it is large."""
    largest = max(map(abs, results.values())) or 1
    rows = []
    for place, (name, value) in enumerate(results.items()):
        top, width = 30 * place, 200 * abs(value) / largest
        rows.append(f'<rect x="100" y="{top + 5}" width="{width:.1f}" height="20" fill="steelblue"/>')
        rows.append(f'<text x="95" y="{top + 20}" text-anchor="end">{name} {value:.4g}</text>')
    size = f'width="310" height="{30 * len(results)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-size="12">{"".join(rows)}</svg>\n'
