"""Holds no DAG: fails to import where a flywheel's YAML is wrong, so that Airflow shows the error in its UI.

Airflow stops every DAG of a file that fails to import; in a file of its own the error stops none.
"""

from tao_airflow.dag import settings

from tao_ops.config import flywheel_names, load_flywheel
from tao_ops.errors import ConfigError

names, wrong = flywheel_names(), []
for name in names:
    try:
        settings(load_flywheel(name))
    except ConfigError as error:
        wrong.append(str(error))
if wrong:
    told = "\n".join([f"{len(wrong)} of {len(names)} flywheels cannot be read:", *wrong])
    raise ImportError(told)  # all at once, a line each: a ConfigError is one line
