# smarthostd as a container: non-root, read-only root, configured by SMARTHOST_* variables and *_FILE secrets.
#
#   docker run --read-only -v spool:/var/spool/smarthostd --tmpfs /run/smarthostd:uid=10025,gid=10025 \
#     -e SMARTHOST_URL=smtp+starttls://smtp.example.com:587 -e SMARTHOST_USER=me@example.com \
#     -e SMARTHOST_PASSWORD_FILE=/run/secrets/password ...
FROM python:3.11-slim AS build
COPY requirements/runtime.txt /src/requirements/runtime.txt
RUN python -m venv /opt/smarthostd \
 && /opt/smarthostd/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/runtime.txt
COPY pyproject.toml README.md /src/
COPY src /src/src
RUN /opt/smarthostd/bin/pip install --no-cache-dir setuptools \
 && /opt/smarthostd/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src \
 && /opt/smarthostd/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim
LABEL org.opencontainers.image.title="smarthostd" \
      org.opencontainers.image.description="A local mail relay: apps hand mail to it, it reaches your smarthost." \
      org.opencontainers.image.licenses="MIT"
# The uid is fixed so that a volume's owner can be set from outside.
RUN groupadd --gid 10025 smarthostd \
 && useradd --uid 10025 --gid 10025 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin smarthostd \
 && install -d -o smarthostd -g smarthostd -m 0700 /var/spool/smarthostd \
 && install -d -o smarthostd -g smarthostd -m 0755 /run/smarthostd
COPY --from=build /opt/smarthostd /opt/smarthostd
ENV PATH=/opt/smarthostd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    SMARTHOSTD_LOCAL_INTERFACES="<; 0.0.0.0 ; ::0" SMARTHOSTD_DAEMON_SMTP_PORTS=2525 \
    SMARTHOSTD_DROP_DIRECTORY=/var/spool/smarthostd/drop SMARTHOSTD_DROP=/var/spool/smarthostd/drop
USER 10025:10025
VOLUME /var/spool/smarthostd
# Above 1024, since the container has no capability to bind 25: publish it as -p 127.0.0.1:25:2525.
EXPOSE 2525
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s \
  CMD ["smarthostd", "queue", "health"]
ENTRYPOINT ["smarthostd", "run"]
