"""Settings of the course folder for nbgrader; copied there by ``make classroom``. They need uapkit in the same environment."""

from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

from uapkit.classroom.collector import Collector
from uapkit.classroom.execute import ExecuteByProperty
from uapkit.classroom.pages import FeedbackPage

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "uap"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError"}
c.Execute.timeout = 60  # seconds a cell; then it is interrupted, counts as failed, and the next one runs
c.Execute.interrupt_on_timeout = True
c.Execute.iopub_timeout = 20
c.Execute.raise_on_iopub_timeout = False  # on a busy machine output may be late; the kernel's reply says what failed
c.Execute.startup_timeout = 120
c.LimitOutput.max_lines = 200
# test cells are tried property by property
c.Autograde.autograde_preprocessors = [
    ExecuteByProperty if step is Execute else step for step in Autograde.autograde_preprocessors.default()
]
# feedback without hidden tests, and without anything to fetch
c.GenerateFeedback.exporter_class = FeedbackPage
# zip_collect: whose a file of a learning platform's archive is
c.ZipCollectApp.collector_plugin = Collector
