# The page and the HTTP interface of `interior-surfaces serve`, on a CPU; see docs/serve.md.
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir '.[web,heic]'

FROM python:3.12-slim
COPY --from=build /opt/venv /opt/venv
RUN useradd --create-home --uid 10001 surfaces
USER 10001
WORKDIR /home/surfaces
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["interior-surfaces"]
CMD ["serve", "--host", "0.0.0.0"]
