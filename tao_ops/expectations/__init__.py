"""Great Expectations suites of ``include/expectations/``: read, checked against a day, shown as Data Docs."""

from tao_ops.expectations.check import Checked, check
from tao_ops.expectations.data_docs import write_data_docs
from tao_ops.expectations.suite import Suite, load_suite

__all__ = ["Checked", "Suite", "check", "load_suite", "write_data_docs"]
