"""Which folders are packages; all else of the distribution is in pyproject.toml.

The files of ``dags`` lie in the wheel as ``tao_airflow/dags``: Airflow parses them, and nobody imports them.
"""

from setuptools import find_namespace_packages, find_packages, setup

LIBRARY = find_packages(include=["tao_ops", "tao_ops.*"])
PLUGIN = find_namespace_packages("plugins", exclude=["*__pycache__*"])

setup(
    packages=[*LIBRARY, *PLUGIN, "tao_airflow.dags"],
    package_dir={"tao_airflow": "plugins/tao_airflow", "tao_airflow.dags": "dags"},
)
