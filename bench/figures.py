"""The figures of a benchmark: what is reported, what is asked of it, whether it holds."""

import json
from statistics import median


def best(rounds, key):
    """The least disturbed round's figure: the highest rate, the lowest of everything else.

    What else runs on the machine only ever makes a figure worse, and hits one side of a round more than the other."""
    return (max if key.endswith("per_s") else min)(one[key] for one in rounds)


def paired(ours, least, key):
    """Ours, the reference's and the ratio of the two: the medians over all rounds, the ratio's over its pairs.

    A disk's sync or a core here is twice as slow in one minute as in the next. The two sides of a round are
    measured next to each other, so their ratio is of one minute; the best rounds of each side are not."""
    return (median(one[key] for one in ours), median(one[key] for one in least),
            median(own[key] / other[key] for own, other in zip(ours, least, strict=True)))


def judge(figure, word, most, least):
    """What is asked of a figure, in words, and whether it holds; nothing where neither bound is given."""
    if most is not None:
        return f"{word} <= {most:g}", figure <= most
    if least is not None:
        return f"{word} >= {least:g}", figure >= least
    return None, None


class Report:
    """Collects figures in the order in which they were measured."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, reference=None, *, ratio=None, most=None, least=None):
        """Adds a figure. `most` and `least` bound the ratio to the reference, or the value when there is none
        or `ratio` is False. Without either the figure is only reported."""
        quotient = value / reference if reference else None
        judged, word = (quotient, "ratio") if reference and ratio is not False else (value, "value")
        self._row(name, value, unit, reference, quotient, *judge(judged, word, most, least))

    def add_paired(self, name, ours, least, key, unit, *, most=None, at_least=None):
        """Adds a figure measured in turn with its reference, judged by the median ratio of the pairs."""
        value, reference, ratio = paired(ours, least, key)
        self._row(name, value, unit, reference, ratio, *judge(ratio, "ratio", most, at_least))

    def missing(self, name, unit, why):
        """A figure that could not be measured does not hold."""
        self._row(name, None, unit, None, None, f"measured: {why}", False)

    def _row(self, name, value, unit, reference, ratio, goal, holds):
        self.rows.append({
            "name": name, "value": value, "unit": unit, "reference": reference, "ratio": ratio,
            "goal": goal, "holds": holds})

    @property
    def holds(self):
        return all(row["holds"] is not False for row in self.rows)

    def write(self, path):
        path.write_text(json.dumps(self.rows, indent=2) + "\n")

    def table(self):
        lines = [f"{'figure':<34}{'value':>11} {'unit':<10}{'reference':>11}{'ratio':>8}  goal"]
        for row in self.rows:
            verdict = {True: "holds", False: "DOES NOT HOLD", None: ""}[row["holds"]]
            lines.append(
                f"{row['name']:<34}{number(row['value']):>11} {row['unit']:<10}{number(row['reference']):>11}"
                f"{number(row['ratio']):>8}  {row['goal'] or 'reported only'}  {verdict}".rstrip())
        return "\n".join(lines)


def number(value):
    """Four significant digits, thousands whole."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
