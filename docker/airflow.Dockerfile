# Airflow with this project: all of Airflow's services, and Celery workers for stages that load no model. No torch.
#
#   docker build -f docker/airflow.Dockerfile -t tao-airflow:0.1.0 .
#
# Pin the base for good by its digest: --build-arg AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11@sha256:…
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11

FROM ${AIRFLOW_IMAGE}

USER 0
# Mounted volumes take over their owner: Airflow's user may write there in every image.
RUN install -d -o 50000 -g 0 -m 0775 /lake /lake/home /opt/airflow/logs /opt/tao
USER 50000:0

WORKDIR /opt/tao
COPY --chown=50000:0 requirements/airflow.txt requirements/airflow.txt
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/airflow.txt

COPY --chown=50000:0 pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY --chown=50000:0 tao_ops tao_ops
COPY --chown=50000:0 plugins plugins
COPY --chown=50000:0 dags dags
# The lock brings setuptools: nothing is fetched here. What was copied for it is not needed any more.
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && rm -rf build ./*.egg-info tao_ops plugins dags setup.py \
    && python -c "import importlib.util as u, sys; sys.exit('torch is installed' if u.find_spec('torch') else 0)"
COPY --chown=50000:0 include include

# Under Kubernetes and compose the root file system is read only: what is written has a volume, or is under /tmp.
ENV AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='[{"name": "tao", "classpath": "tao_airflow.bundle.TaoDagBundle", "kwargs": {}}]' \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False \
    PYTHONDONTWRITEBYTECODE=1 \
    TAO_CACHE=/tmp/cache \
    TAO_HOME=/lake/home \
    TAO_INCLUDE=/opt/tao/include \
    TAO_LAKE=/lake

# Airflow's image starts `airflow <command>` by its entry point. Which service this is, and so how its health is told,
# is said by who starts it.
CMD ["version"]
