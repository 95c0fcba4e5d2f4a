"""Airflow and PostgreSQL on one machine: started, followed through a turn, stopped without remains."""
