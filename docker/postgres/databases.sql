-- Beside `tao`, which the server's image makes: Airflow's own tables, and MLflow's.
create database airflow;
create database mlflow;
