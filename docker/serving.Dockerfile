# The server of a flywheel's champion: an OpenAI-compatible front and vLLM behind it, from the lock of the stages.
#
#   docker build -f docker/serving.Dockerfile -t tao-serving:0.1.0 .
#
# It has the same steps as the target `stages` of gpu-worker.Dockerfile: built after it, they come from its cache.
# Pin the base for good by its digest: --build-arg CUDA_IMAGE=nvidia/cuda:13.0.0-base-ubi9@sha256:…
ARG CUDA_IMAGE=nvidia/cuda:13.0.0-base-ubi9

FROM ${CUDA_IMAGE}

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

EXPOSE 8000
STOPSIGNAL SIGTERM
# Healthy once a model answers: weights are loaded first.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30m --retries=4 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# Which flywheel: docker run … tao-serving:0.1.0 tickets
ENTRYPOINT ["tao", "serve", "--host", "0.0.0.0", "--port", "8000"]
