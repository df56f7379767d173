"""Settings shared by all tests."""

from hypothesis import settings

settings.register_profile("uapkit", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("uapkit")
