# Both services of a node in one image: docker run IMAGE agent | controller | any command of `warmstandby`.
#
# BASE_IMAGE is any Debian-like image with Python 3.11 or newer.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && python3 -m venv /opt/warmstandby \
    && /opt/warmstandby/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY shared shared
RUN /opt/build/bin/hatchling build -t wheel -d /dist \
    && /opt/warmstandby/bin/python -m pip install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM ${BASE_IMAGE}
# A seed runs pg_dump and pg_restore, which must not be older than the server. Debian has one major only, so they come
# from the PostgreSQL project's own repository, whose key Debian's postgresql-common brings. A base image that has
# pg_dump already keeps its own, and needs no such repository.
ARG POSTGRES_MAJOR=18
# hadolint ignore=DL3008
RUN if ! command -v pg_dump >/dev/null; then \
        apt-get update \
        && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
        && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
        && apt-get install -y --no-install-recommends "postgresql-client-${POSTGRES_MAJOR}" \
        && rm -rf /var/lib/apt/lists/*; \
    fi \
    && groupadd --gid 10001 warmstandby \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/warmstandby --shell /usr/sbin/nologin warmstandby \
    && install -d -o warmstandby -g warmstandby -m 0700 /var/lib/warmstandby
COPY --from=build /opt/warmstandby /opt/warmstandby
# The programs themselves before Debian's wrapper of them.
ENV PATH=/opt/warmstandby/bin:/usr/lib/postgresql/${POSTGRES_MAJOR}/bin:$PATH \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1
RUN pg_dump --version && pg_restore --version && warmstandby --version
USER 10001:10001
WORKDIR /var/lib/warmstandby
EXPOSE 8440 8441
ENTRYPOINT ["warmstandby"]
CMD ["--help"]
