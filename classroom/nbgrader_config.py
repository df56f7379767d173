"""Settings of the course folder for nbgrader; copied there by ``make classroom``."""

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "uap"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError"}
c.Execute.timeout = 30  # seconds a cell; then it is interrupted, counts as failed, and the next one runs
c.Execute.interrupt_on_timeout = True
c.Execute.iopub_timeout = 60
c.Execute.startup_timeout = 120
c.LimitOutput.max_lines = 200
