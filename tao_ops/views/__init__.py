"""What the Flywheel page shows: plain records, read from the lake, the registry and a run's artifacts.

Nothing here knows Airflow or HTML. What a lake does not hold is None, never zero.
"""
