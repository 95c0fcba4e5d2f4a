"""The TAO flywheel's library: stages, rewards, registry and lake. It knows nothing of Airflow."""

__version__ = "0.1.0"
