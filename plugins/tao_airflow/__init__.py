"""What the DAGs share: the flywheel's timetable, the operator that runs a stage, the DAG's common settings."""
