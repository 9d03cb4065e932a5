"""A server with a certificate: both doors speak TLS with it, and what can't be used is said before anything listens."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import ssl
import subprocess
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from tests.delivery.endpoint_kit import Papers, make_papers
from tests.server.running import PATIENCE_S, PROTOBUF, running, spans
from usagetrace.cli.app import app
from usagetrace.cli.context import Cli
from usagetrace.server.tls import Certificate, CertificateError

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """An authority and a certificate of it for 127.0.0.1."""
    return make_papers(tmp_path_factory.mktemp("papers"))


def certificate(papers: Papers) -> Certificate:
    """Return the certificate as a server takes it."""
    return Certificate(Path(papers.certificate), Path(papers.key))


def test_both_doors_speak_tls(papers: Papers, tmp_path: Path) -> None:
    """Who trusts the authority sends by HTTP and gRPC; who does not sends nothing, and plain HTTP is not answered."""
    trusting = ssl.create_default_context(cafile=papers.authority)
    with running(tmp_path / "analytics.db", grpc=True, certificate=certificate(papers)) as server:
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trusting, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/traces", spans("by-http"), {"Content-Type": PROTOBUF})
            assert connection.getresponse().status == 200
        credentials = grpc.ssl_channel_credentials(Path(papers.authority).read_bytes())
        with grpc.secure_channel(str(server.server.grpc), credentials) as channel:
            export = channel.unary_unary(_EXPORT, request_serializer=None, response_deserializer=None)
            export(spans("by-grpc"), timeout=PATIENCE_S)
        stranger = http.client.HTTPSConnection(
            "127.0.0.1", server.port, context=ssl.create_default_context(), timeout=PATIENCE_S
        )
        with contextlib.closing(stranger), pytest.raises(ssl.SSLCertVerificationError):
            stranger.request("POST", "/v1/traces", spans("by-a-stranger"), {"Content-Type": PROTOBUF})
        assert b"HTTP/1.1 200" not in server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert server.names() == ["by-grpc", "by-http"]


@pytest.mark.parametrize("wrong", ["nothing", "other_key", "missing", "password", "no_key"])
def test_what_can_not_be_used_is_said(wrong: str, papers: Papers, tmp_path: Path) -> None:
    """A file that is none, a key of another certificate, one with a password, none at all: one sentence names it."""
    shown, key = tmp_path / "shown.pem", tmp_path / "shown.key"
    shutil.copy(papers.certificate, shown)
    shutil.copy(papers.key, key)
    given: Path | None = key
    expected = "not a certificate and its key"
    if wrong == "nothing":
        shown.write_text("no certificate")
    elif wrong == "other_key":
        shutil.copy(make_papers(tmp_path / "other").key, key)
    elif wrong == "missing":
        key.unlink()
        expected = "the file can't be read"
    elif wrong == "password":
        command = ["openssl", "pkey", "-aes256", "-passout", "pass:word", "-in", papers.key, "-out", str(key)]
        subprocess.run(command, check=True, capture_output=True)
        expected = "the key has a password"
    else:
        given, expected = None, "--tls-key"
    with pytest.raises(CertificateError, match=expected):
        Certificate(shown, given).require()


def test_the_command_names_the_fault(papers: Papers, tmp_path: Path) -> None:
    """The command ends with one sentence, and a key without a certificate is wrong usage."""
    surroundings = Cli(environ={"HOME": str(tmp_path)})
    broken = tmp_path / "broken.pem"
    broken.write_text("none")
    arguments = ["--db", str(tmp_path / "a.db"), "serve", "--port", "0", "--no-grpc"]
    failed = CliRunner().invoke(app, [*arguments, "--tls-certificate", str(broken)], obj=surroundings)
    assert failed.exit_code == 1
    assert "no certificate in PEM" in failed.output
    assert "Traceback" not in failed.output
    wrong = CliRunner().invoke(app, [*arguments, "--tls-key", papers.key], obj=surroundings)
    assert wrong.exit_code == 2
    assert "--tls-certificate" in wrong.output
