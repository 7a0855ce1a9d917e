"""The articles' faulty code in our own words: what the claims run, and never anything to use."""
