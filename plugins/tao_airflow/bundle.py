"""The DAGs that came with the package, wherever it is installed, for Airflow's DAG processor and its workers."""

from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle

from tao_ops.settings import PROJECT

FOLDER = next(folder for folder in (Path(__file__).parent / "dags", PROJECT / "dags") if folder.is_dir())
"""Of the DAG files: in the package, or, where the package is the project's own folder, beside it."""


class TaoDagBundle(LocalDagBundle):
    """The DAGs of this release: an entry of ``[dag_processor] dag_bundle_config_list``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(path=str(FOLDER), **kwargs)
