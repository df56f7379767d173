"""One module a paper, one pure function an item: plain keywords in, a tidy table out."""
