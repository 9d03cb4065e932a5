# The receiver, `usagetrace serve`, as an image for docker-compose.yaml and kubernetes/. From the top of the repository:
#
#   docker build --file collector-config/receiver.Dockerfile --tag usagetrace-receiver:0.1.0 .
FROM python:3.13-slim-bookworm
RUN useradd --uid 10001 --create-home usagetrace && install --directory --owner 10001 /data
COPY . /source
RUN pip install --no-cache-dir '/source[server,cli]' && rm -rf /source
USER 10001
VOLUME /data
EXPOSE 4318
# Another address than loopback wants a token: USAGETRACE_SERVER_TOKEN.
CMD ["usagetrace", "--db", "/data/analytics.db", "serve", "--host", "0.0.0.0", "--port", "4318", "--no-grpc"]
