"""The four papers: one folder each, one module an item, named like the item and holding its run, claims and figure."""
