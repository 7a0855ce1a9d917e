"""The table of speeds on the page of the chunked cores is what the records in the gallery say."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "reports" / "gallery" / "chunked_speed" / "benchmark.json"
CORES = ("query_chunked", "online_softmax")


def speed_table(document):
    """Speed relative to SDPA of the quickest readings, a line for each series and core."""
    cells = [one["extra_info"] for one in document["benchmarks"]]
    shapes = list(dict.fromkeys((one["num_heads"], one["seq_len"]) for one in cells))
    heading = [f"{heads} head{'s' * (heads > 1)}, n = {n}" for heads, n in shapes]
    lines = [f"| | {' | '.join(heading)} |", "|---" * (len(shapes) + 1) + "|"]
    series = dict.fromkeys((one["dtype"], one["pass"], one["threads"]) for one in cells)
    for dtype, pass_, threads in series:
        for core in CORES:
            speeds = {
                (one["num_heads"], one["seq_len"]): one["speed_relative_to_sdpa"][core]["quickest"]
                for one in cells
                if (one["dtype"], one["pass"], one["threads"]) == (dtype, pass_, threads)
            }
            words = [f"`{core}` {dtype}"]
            words += ["forward and backward"] if pass_ == "forward_backward" else []
            words += [f"{threads} threads"] if threads > 1 else []
            numbers = [f"{speeds[shape]:.2f}" for shape in shapes]
            lines.append(f"| {', '.join(words)} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def test_the_page_has_the_speeds_and_the_machine_of_the_records():
    document = json.loads(RECORDS.read_text())
    page = (ROOT / "docs" / "chunked_cores.md").read_text()
    (instructions,) = {one["extra_info"]["instructions"] for one in document["benchmarks"]}

    assert speed_table(document) in page
    assert f"{document['machine_info']['cpu']['brand_raw']}, {instructions}" in page
