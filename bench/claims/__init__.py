"""What do the articles claim, and is it so?

`article_claims.CLAIMS` is the table of the claims. `articles/` holds the articles' faulty code in
our own words: no implementation and no test, but what the claims run. `examples` has
what `attnscale explain` shows, `worked_examples` works it out.
"""
