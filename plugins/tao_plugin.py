"""Registers the plugin where this folder alone is Airflow's; an installed package does so by its entry point."""

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="tao"):  # Airflow would load it twice, and warn of the second
    from tao_airflow.plugin import TaoPlugin  # noqa: F401
