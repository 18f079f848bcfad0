# The voiceguard server: slim, without root, with a read-only root file system.
#
#   docker build -t voiceguard .
#   docker run --read-only --tmpfs /tmp -p 50051:50051 -v "$PWD/etc:/etc/voiceguard:ro" \
#     -v voiceguard:/var/lib/voiceguard \
#     voiceguard serve --config /etc/voiceguard/server.toml
#
# What it keeps is in /var/lib/voiceguard: give it a volume with a name, and keep its keys elsewhere
# (docs/storage.md).
#
# Without a command it listens on the container's own loopback only: plaintext is for loopback.
# To be reached from outside, listen on 0.0.0.0:50051 with TLS, and with client certificates or
# bearer tokens, all in the configuration. The health check then needs to know of them too:
# docker/healthcheck.py lists its settings.
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
WORKDIR /src
COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE ./
COPY voiceguard/ voiceguard/
COPY models/ models/
RUN install -d -m 700 /var/lib/voiceguard
RUN python -m venv /opt/voiceguard \
    && /opt/voiceguard/bin/python -m pip install --no-cache-dir --disable-pip-version-check .

FROM python:${PYTHON_VERSION}-slim
COPY --from=build /opt/voiceguard /opt/voiceguard
COPY docker/healthcheck.py /opt/voiceguard/healthcheck.py
COPY --from=build --chown=10001:10001 /var/lib/voiceguard /var/lib/voiceguard
ENV PATH=/opt/voiceguard/bin:$PATH \
    VOICEGUARD_DATA_DIR=/var/lib/voiceguard \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number, so that a cluster can tell that it is not root.
USER 10001:10001
VOLUME /var/lib/voiceguard
WORKDIR /tmp
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "/opt/voiceguard/healthcheck.py"]
ENTRYPOINT ["voiceguard"]
CMD ["serve", "--listen", "127.0.0.1:50051"]
