"""Everything that makes pages: the notebooks' page object, chapters, drawn numbers, scoreboard, links, the build."""
