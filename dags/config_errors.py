"""Holds no DAG: fails to import where a flywheel's YAML is wrong, so that Airflow shows the error in its UI.

Airflow stops every DAG of a file that fails to import; in a file of its own the error stops none.
"""

from tao_ops.config import flywheel_names, load_flywheel
from tao_ops.errors import ConfigError

wrong = []
for name in flywheel_names():
    try:
        load_flywheel(name)
    except ConfigError as error:
        wrong.append(str(error))
if wrong:
    raise ConfigError("\n".join(wrong))
