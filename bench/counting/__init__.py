"""What does a call cost without a clock? Operations, traffic, launches and workspace.

`direct.count` counts one case, `counter.Counter` answers many cases of one implementation, and
`document.counts_in_worker` with `table.table` is what `attnscale counts` shows.
"""
