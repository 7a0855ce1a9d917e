"""Is this machine fit to measure on? What is wrong with it, and what to do about it.

`examination.examine` collects the findings, `examination.document` and `finding.show` present
them. Everything is read through `machine.Machine`, so that tests bring a machine of their own.
"""
