"""The six assignments under ``classroom/``: checking them, building what students get, and grading what they hand in.

``python -m uapkit.classroom --help`` lists the commands; the teacher's guide is ``book/classroom/guide.md``. Grading needs
the extra ``classroom`` (nbgrader).
"""
