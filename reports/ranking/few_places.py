"""At which of the measured sizes are implementations compared? At a few that most of them share."""

from __future__ import annotations

import pandas as pd

MOST_PLACES = 3


def few_places(where: pd.DataFrame, shared: pd.Series, most: int = MOST_PLACES) -> list[int]:
    """The numbers of a few places, the largest last.

    `where` has the sizes of each place by its number, `shared` how many implementations have it.
    Only places count that at least half as many have as have the place that most have: a size that
    only few reach says little of the others. In order of importance: the longest place, the longest
    of those that most have, the widest, the shortest, and one in the middle.
    """
    fewest = min(2, int(shared.max()))
    common = where[(shared >= fewest) & (2 * shared >= shared.max())]
    columns = list(where.columns)
    by_length = common.sort_values(columns, kind="stable").index
    by_width = common.sort_values(columns[1:] + columns[:1], kind="stable").index
    of_most = [place for place in by_length if shared[place] == shared.max()]
    wanted = (
        *(by_length[-1], of_most[-1], by_width[-1], by_length[0]),
        by_length[len(by_length) // 2],
    )
    chosen = list(dict.fromkeys(wanted))[:most]
    return [int(place) for place in by_length if place in chosen]
