"""What surrounds a release: the report on packages, and the files that are published."""
