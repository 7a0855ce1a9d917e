"""The commands by name, each in a module of its own, and the line of the help on each.

The line stands here so that the help of all commands imports none of them.
"""

COMMANDS = {
    "list": "Show the implementations, the laws they claim and what they support.",
    "verify": "Check outputs, gradients and properties against the float64 oracle.",
    "counts": "Count operations, bytes, launches and workspace exactly, without a clock.",
    "doctor": "Say whether this machine is fit to measure on, and what to do about it.",
    "sweep": "Measure: verify first, then time all cells in many short passes; writes a run.",
    "fit": "Judge claimed laws on any table of sizes and costs.",
    "report": "Write figures, tables, HTML and Markdown from records or any table alone.",
    "crossovers": "Say from which length on one implementation is slower than another.",
    "compare": "Say what is faster or slower: between two runs, or within one.",
    "table1": "Show Table 1 of Vaswani et al. 2017: published, counted and measured.",
    "explain": "Work out small examples of attention step by step: scores, weights, output.",
    "claims": "Decide every claim of the source articles by running something.",
    "run": "Verify, sweep, fit and report in one go.",
}
