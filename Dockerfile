# payonce and, for trying it out, its gateway mock: docs/docker.md
ARG PYTHON=3.13
ARG BASE=python:${PYTHON}-slim

FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Two environments: what builds the wheel stays behind, what runs it holds no pip.
RUN mkdir /dist && python -m venv /build && python -m venv --without-pip /opt/payonce
COPY requirements/build.txt requirements/run.txt requirements/sbom.txt requirements/
RUN /build/bin/pip install --require-hashes --only-binary=:all: -r requirements/build.txt \
 && /build/bin/pip install --require-hashes --only-binary=:all: -r requirements/sbom.txt \
 && /build/bin/pip --python /opt/payonce/bin/python install --no-compile --report /dist/run.json \
    --require-hashes --only-binary=:all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY migrations migrations
COPY gateway_mock gateway_mock
COPY worker worker
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /build/bin/pip --python /opt/payonce/bin/python install --no-compile \
    --report /dist/payonce.json --no-deps --no-index /dist/*.whl
COPY tools tools
RUN /build/bin/python -m tools.sbom /opt/payonce/bin/python /dist/*.json >/dist/sbom.cdx.json \
 && /build/bin/python -m tools.licences /dist/sbom.cdx.json
# Compiled is what payonce imports, and not the other half of what lies there.
RUN /opt/payonce/bin/python -c "\
import importlib, pkgutil, payonce.__main__, gateway_mock; \
[importlib.import_module(one.name) for top in (payonce, gateway_mock) \
 for one in pkgutil.walk_packages(top.__path__, top.__name__ + '.') if '__main__' not in one.name]"

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="payonce" \
      org.opencontainers.image.description="An order is paid exactly once, and a paid order never looks unpaid." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# The file system may be read-only.
ENV PATH=/opt/payonce/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Nobody installs anything here, and nobody becomes anybody else.
RUN groupadd --gid 10001 payonce \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
    --shell /usr/sbin/nologin payonce \
 && find / -xdev -regextype posix-extended \
    -regex '.*/(bin/pip[0-9.]*|(dist|site)-packages/pip(-[^/]*)?|ensurepip|python-wheels)' \
    -prune -exec rm -rf {} + \
 && find / -xdev -perm /6000 -exec chmod ug-s {} +
COPY --from=builder /opt/payonce /opt/payonce
COPY --from=builder /dist/sbom.cdx.json /usr/share/doc/payonce/
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
