"""What does a call cost without a clock? Operations, traffic, launches and workspace of one call.

`direct.count` counts one case, `counter.Counter` answers many cases of one implementation, and
`document.run_counts` with `table.table` is what `attnscale counts` shows.
"""
