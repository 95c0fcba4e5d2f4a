# Stages that load a model: vLLM, TRL and torch with CUDA, in an environment of their own.
#
#   docker build -f docker/gpu-worker.Dockerfile --target stages -t tao-stages:0.1.0 .          # for pods and Ray
#   docker build -f docker/gpu-worker.Dockerfile -t tao-gpu-worker:0.1.0 .                      # a Celery worker besides
#
# torch brings CUDA's libraries as packages, the host its driver: the base needs a compiler (Triton's) and Python.
# Pin it for good by its digest: --build-arg CUDA_IMAGE=nvidia/cuda:13.0.0-base-ubi9@sha256:…
ARG CUDA_IMAGE=nvidia/cuda:13.0.0-base-ubi9

FROM ${CUDA_IMAGE} AS stages

# hadolint ignore=DL3041
RUN dnf install -y --nodocs --setopt=install_weak_deps=False gcc libgomp python3.11 python3.11-devel python3.11-pip \
    && dnf clean all \
    && rm -rf /var/cache/dnf \
    && useradd --no-log-init --uid 50000 --gid 0 --home-dir /tmp --no-create-home tao \
    && install -d -o 50000 -g 0 -m 0775 /lake /lake/home /opt/tao /opt/tao-gpu
USER 50000:0

WORKDIR /opt/tao
COPY --chown=50000:0 requirements/gpu.txt requirements/gpu.txt
RUN python3.11 -m venv /opt/tao-gpu \
    && /opt/tao-gpu/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements/gpu.txt

COPY --chown=50000:0 pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY --chown=50000:0 tao_ops tao_ops
COPY --chown=50000:0 plugins plugins
COPY --chown=50000:0 dags dags
RUN /opt/tao-gpu/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation . \
    && rm -rf build ./*.egg-info
COPY --chown=50000:0 include include

ENV HOME=/tmp \
    PATH=/opt/tao-gpu/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TAO_CACHE=/tmp/cache \
    TAO_HOME=/lake/home \
    TAO_INCLUDE=/opt/tao/include \
    TAO_LAKE=/lake
CMD ["tao", "--help"]


FROM stages AS worker

# Airflow's own environment beside that of the stages, which TAO_PYTHON names.
USER 0
RUN install -d -o 50000 -g 0 -m 0775 /opt/airflow /opt/airflow/logs /opt/tao-airflow
USER 50000:0
COPY --chown=50000:0 requirements/airflow.txt requirements/airflow.txt
RUN python3.11 -m venv /opt/tao-airflow \
    && /opt/tao-airflow/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements/airflow.txt \
    && /opt/tao-airflow/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation . \
    && rm -rf build ./*.egg-info

ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='[{"name": "tao", "classpath": "tao_airflow.bundle.TaoDagBundle", "kwargs": {}}]' \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False \
    PATH=/opt/tao-airflow/bin:$PATH \
    TAO_PYTHON=/opt/tao-gpu/bin/python
CMD ["airflow", "celery", "worker", "--queues", "gpu", "--concurrency", "1", "--skip-serve-logs"]
