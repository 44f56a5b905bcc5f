"""Certificates: a server is spoken to only when somebody who is trusted here vouches for its name."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from journeys.harness import Server, free_ports
from kith.sdk import Api, Client, Unreachable, Untrusted
from kith.sdk.link import Link
from sdk.meeting import CHEAP, FEW, PASSPHRASE, Meeting, introduce, next_message

DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority of this test's own."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key.public_key(), ca=True, lifetime=DAY)

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool, lifetime: dt.timedelta, host: str = ""
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names: list[x509.GeneralName] = [x509.DNSName(host)] if host else [x509.IPAddress(ipaddress.ip_address("::1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def trusted(self) -> ssl.SSLContext:
        """Whoever trusts this authority and nobody else."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def vouches_for(self, host: str, folder: Path, lifetime: dt.timedelta = DAY) -> ssl.SSLContext:
        """What a server of that name presents."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._signed(subject, key.public_key(), ca=False, lifetime=lifetime, host=host)
        file = folder / "server.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@dataclass
class BehindTls(Server):
    """A server whose people come through a proxy that speaks TLS."""

    tls_port: int = 0

    @property
    def origin(self) -> str:
        """Where people go."""
        return f"https://localhost:{self.tls_port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BehindTls]:
    """One server for this module."""
    port, staff_port, tls_port = free_ports(3)
    behind = BehindTls(tmp_path_factory.mktemp("tls") / "server", port, staff_port, tls_port=tls_port)
    behind.create()
    try:
        behind.start()
        yield behind
    finally:
        behind.stop()


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The one that the operator set up."""
    return Authority("Kith test authority")


@asynccontextmanager
async def proxy(server: BehindTls, presents: ssl.SSLContext) -> AsyncIterator[list[bytes]]:
    """Takes TLS off in front of the server; the list is everything that anybody said inside it."""
    said: list[bytes] = []
    tasks: list[asyncio.Task[None]] = []
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: list[bytes] | None) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                if heard is not None:
                    heard.append(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", server.port)
        pumps = (pump(reader, forth, said), pump(back, writer, None))
        tasks.extend(asyncio.create_task(one) for one in pumps)
        writers.extend((forth, writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", server.tls_port, ssl=presents)
    try:
        yield said
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def client(meeting: Meeting, name: str, trusts: ssl.SSLContext) -> Client:
    """A client that trusts exactly these."""
    return Client(meeting.folder / f"{name}.kith", PASSPHRASE, packages=FEW, cost=CHEAP, tls=trusts)


def test_two_people_talk_over_tls_of_an_authority_of_their_own(
    server: BehindTls, meeting: Meeting, authority: Authority, tmp_path: Path
) -> None:
    """HTTP and stream both, by the authority that was named."""

    async def story() -> None:
        async with (
            proxy(server, authority.vouches_for("localhost", tmp_path)) as said,
            client(meeting, "ann", authority.trusted()) as ann,
            client(meeting, "ben", authority.trusted()) as ben,
        ):
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            hers, _ = await introduce(ann, ben)
            await hers.send("inside TLS")
            assert (await next_message(ben)).text == "inside TLS"
            assert said  # the control of the others: what is said does pass here

    asyncio.run(story())


@pytest.mark.parametrize("fault", ["another authority", "another name", "expired"])
def test_a_certificate_that_does_not_check_out_ends_it_before_a_word(
    server: BehindTls, authority: Authority, tmp_path: Path, fault: str
) -> None:
    """Neither HTTP nor the stream says anything; the error has a type and a sentence of its own."""
    signs = Authority("Kith test authority") if fault == "another authority" else authority
    host = "elsewhere.example" if fault == "another name" else "localhost"
    presents = signs.vouches_for(host, tmp_path, -DAY if fault == "expired" else DAY)

    async def story() -> None:
        async with proxy(server, presents) as said:
            async with Api(server.origin, "a-token", tls=authority.trusted()) as api:
                with pytest.raises(Untrusted, match="certificate that is not trusted here") as refused:
                    await api.me()
                assert isinstance(refused.value, Unreachable)
            link = stream(server, authority.trusted())
            with pytest.raises(ssl.SSLCertVerificationError):
                await link._connect()
            assert said == []

    asyncio.run(story())


def test_without_being_named_an_authority_of_ones_own_is_not_trusted(
    server: BehindTls, authority: Authority, tmp_path: Path
) -> None:
    """By default the authorities that browsers trust, for both doors."""

    async def story() -> None:
        async with proxy(server, authority.vouches_for("localhost", tmp_path)) as said:
            async with Api(server.origin, "a-token") as api:
                with pytest.raises(Untrusted):
                    await api.me()
            with pytest.raises(ssl.SSLCertVerificationError):
                await stream(server, None)._connect()
            assert said == []

    asyncio.run(story())


def stream(server: BehindTls, trusts: ssl.SSLContext | None) -> Link:
    """A stream that was not started."""
    return Link(server.origin, "a-token", tls=trusts, heard=lambda _: None, online=lambda _: None, ended=lambda: None)
