# payonce and, for trying it out, its gateway mock: docs/docker.md
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Two environments: what builds the wheel stays behind, what runs it holds no pip.
RUN python -m venv /build && python -m venv --without-pip /opt/payonce
COPY requirements/build.txt requirements/run.txt requirements/
RUN /build/bin/pip install --require-hashes --only-binary=:all: -r requirements/build.txt \
 && /build/bin/pip --python /opt/payonce/bin/python install \
    --require-hashes --only-binary=:all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY migrations migrations
COPY gateway_mock gateway_mock
COPY worker worker
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /build/bin/pip --python /opt/payonce/bin/python install --no-deps --no-index /dist/*.whl

FROM python:${PYTHON}-slim
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="payonce" \
      org.opencontainers.image.description="An order is paid exactly once, and a paid order never looks unpaid." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# Everything is compiled already, and the file system may be read-only.
ENV PATH=/opt/payonce/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 payonce \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
    --shell /usr/sbin/nologin payonce
COPY --from=builder /opt/payonce /opt/payonce
COPY config /app/config
WORKDIR /app
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# Asks the edge where the configuration puts it; a worker without that role needs no such check.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-c", "\
from http.client import HTTPConnection as Connection; from os import environ; import sys; \
from payonce.settings import load_settings; http = load_settings(environ).http; \
ask = Connection(http.host, http.port, timeout=4); ask.request('GET', '/healthz'); \
sys.exit(ask.getresponse().status != 200)"]
ENTRYPOINT ["payonce"]
CMD ["run"]
