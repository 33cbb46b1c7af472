"""The layout of several hosts, with everything in processes of its own on free ports.

PostgreSQL and Redis are this module's own, so that they can be killed. nginx runs the file that is
shipped in `deploy/`, with other ports and a certificate made here.
"""

from __future__ import annotations

import datetime
import logging
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
import redis
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings

from tests.support.live_server import _listening, free_port
from tests.support.receiver import Received, a_receiver
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
START_TIMEOUT_S = 240
Answer = TypeVar("Answer")


def program(name: str) -> str | None:
    """Where a server program lies; Debian keeps some of them out of the path."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found:
        return found
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(versions[-1]) if versions else None


NEEDED = ("nginx", "redis-server", "initdb", "postgres")
MISSING = [name for name in NEEDED if program(name) is None]

#: Skips without the programs; under CI the test runs all the same, and fails.
needs_services = pytest.mark.skipif(
    bool(MISSING) and not os.environ.get("CI"),
    reason=f"not installed: {', '.join(MISSING)}; see tests/support/install_services",
)


class Part:
    """One process of the stack, which can be killed and started again."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        env: dict[str, str] | None = None,
        killed_by: int = signal.SIGKILL,
    ) -> None:
        self.name, self._command, self._log, self._ready = name, command, log, ready
        self._env = {**os.environ, **(env or {})}
        self._killed_by = killed_by
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Without waiting until it is ready: several can start at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it is killed with the processes it has made
            )

    def wait(self) -> None:
        def is_ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} ended:\n{self.said()[-3000:]}"
            return self._ready()

        until(is_ready, within_s=START_TIMEOUT_S)

    def kill(self) -> None:
        """As when the machine loses its power: nothing is finished and nobody is told."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, self._killed_by)
        self._process.wait(30)

    def said(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


@dataclass
class Mailbox:
    """An SMTP server of our own, which can be away for a while. Keeps who got a mail and which."""

    port: int
    received: list[tuple[str, str]] = field(default_factory=list)
    _controller: Controller | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        text = envelope.content.decode(errors="replace")
        message_id = re.search(r"(?im)^message-id: *(\S+)", text)
        for to in envelope.rcpt_tos:
            self.received.append((to, message_id[1] if message_id else ""))
        return "250 OK"

    def open(self) -> None:
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # one line for each step of a mail
        self._controller = Controller(self, hostname=HOST, port=self.port)
        self._controller.start()

    def close(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


@dataclass
class HookReceiver:
    """A receiver of webhooks of our own, which can be away for a while."""

    port: int
    received: list[Received] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/hooks"

    def open(self) -> None:
        self._open.enter_context(a_receiver(self.port, received=self.received))

    def close(self) -> None:
        self._open.close()


@dataclass
class Stack:
    """Two hosts behind nginx, what they share, and what works beside them."""

    folder: Path
    env: dict[str, str]
    postgres: Part
    redis: Part
    hosts: tuple[Part, Part]
    host_ports: tuple[int, int]
    nginx: Part
    https_port: int
    worker: Part
    beat: Part
    mailbox: Mailbox
    hooks: HookReceiver
    tls: ssl.SSLContext
    _desk: ProcessPoolExecutor

    @property
    def kiosk_url(self) -> str:
        return f"wss://localhost:{self.https_port}/ws/kiosk/"

    def kiosk_url_of(self, host: int) -> str:
        return f"ws://{HOST}:{self.host_ports[host]}/ws/kiosk/"

    def live_url_of(self, host: int, session_pk: int) -> str:
        return f"ws://{HOST}:{self.host_ports[host]}/ws/live/{session_pk}/"

    def at_the_desk(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """What a function of `tests.hosts.records` returns, in a process over this database."""
        return self._desk.submit(_on_a_new_connection, work, *arguments).result(timeout=120)


@contextmanager
def running_stack() -> Iterator[Stack]:
    with ExitStack() as ending:
        folder = Path(tempfile.mkdtemp(prefix="rollcall-stack-"))
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres, database = _postgres(folder)
        ending.callback(postgres.kill)
        redis_port = free_port()
        redis_part = _redis(folder, redis_port)
        ending.callback(redis_part.kill)
        mailbox = Mailbox(free_port())
        mailbox.open()
        ending.callback(mailbox.close)
        hooks = HookReceiver(free_port())
        hooks.open()
        ending.callback(hooks.close)
        env = _environment(folder, database, redis_port, mailbox.port)
        for part in (postgres, redis_part):
            part.start()
        for part in (postgres, redis_part):
            part.wait()
        _manage(env, "migrate", "-v", "0")

        ports = free_port(), free_port()
        hosts = _host("host-a", ports[0], folder, env), _host("host-b", ports[1], folder, env)
        worker = celery_part("worker", folder, env, queue="celery")
        beat = Part(
            "beat",
            [sys.executable, "-m", "celery", "-A", "attendance_site", "beat"],
            log=folder / "beat.log",
            env=env,
            ready=lambda: any((folder / "data").glob("celerybeat-schedule*")),
        )
        https_port = free_port()
        nginx, tls = _nginx(folder, https_port, ports)
        parts = (*hosts, worker, beat, nginx)
        for part in parts:
            ending.callback(part.kill)
            part.start()
        desk = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_at_the_desk, initargs=(env,)
        )
        ending.callback(desk.shutdown)
        for part in parts:
            part.wait()
        yield Stack(
            folder=folder,
            env=env,
            postgres=postgres,
            redis=redis_part,
            hosts=hosts,
            host_ports=ports,
            nginx=nginx,
            https_port=https_port,
            worker=worker,
            beat=beat,
            mailbox=mailbox,
            hooks=hooks,
            tls=tls,
            _desk=desk,
        )


def celery_part(name: str, folder: Path, env: dict[str, str], *, queue: str) -> Part:
    """A worker that does one task at a time."""
    part = Part(
        name,
        [
            *(sys.executable, "-m", "celery", "-A", "attendance_site", "worker"),
            *("--hostname", f"{name}@%h", "--loglevel", "INFO"),
            *("--queues", queue, "--concurrency", "1"),
        ],
        log=folder / f"{name}.log",
        env=env,
        ready=lambda: " ready." in part.said(),
    )
    return part


def _environment(folder: Path, database: str, redis_port: int, smtp_port: int) -> dict[str, str]:
    return {
        "DEBUG": "False",
        # The same as here, so that passes can be drawn here, as on telephones.
        "SECRET_KEY": settings.SECRET_KEY,
        "TEMPLATE_KEYS": ",".join(settings.TEMPLATE_KEYS),
        "ALLOWED_HOSTS": f"localhost,{HOST}",
        "BEHIND_PROXY": "True",
        "DATABASE_URL": database,
        "REDIS_URL": f"redis://{HOST}:{redis_port}/0",
        "CELERY_BROKER_URL": f"redis://{HOST}:{redis_port}/1",
        "EMAIL_URL": f"smtp://{HOST}:{smtp_port}",
        "MAIL_RETRY_SECONDS": "2",
        "WEBHOOK_ALLOWED_HOSTS": HOST,
        "WEBHOOK_RETRY_SECONDS": "1",
        "DATA_DIR": str(folder / "data"),
        "RECOGNITION_WORKERS": "1",
        "DJANGO_SETTINGS_MODULE": "attendance_site.settings",
        "PYTHONUNBUFFERED": "1",
        "LOG_LEVEL": "INFO",
    }


def _postgres(folder: Path) -> tuple[Part, str]:
    """PostgreSQL refuses to run as root."""
    data, port = folder / "postgres", free_port()
    as_owner: list[str] = []
    if os.geteuid() == 0:
        as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        folder.chmod(0o755)
        data.mkdir()
        shutil.chown(data, "postgres", "postgres")
    initdb, postgres = program("initdb"), program("postgres")
    assert initdb is not None
    assert postgres is not None
    subprocess.run(
        [*as_owner, initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
        check=True,
        capture_output=True,
        cwd="/",
    )
    url = f"postgres://postgres@{HOST}:{port}/postgres"

    def answers() -> bool:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    options = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
    }
    given = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    part = Part(
        "postgres",
        [*as_owner, postgres, "-D", str(data), *given],
        log=folder / "postgres.log",
        ready=answers,
        # Its "immediate shutdown": it recovers from the log at the next start, as after a crash.
        killed_by=signal.SIGQUIT,
    )
    return part, url


def _redis(folder: Path, port: int) -> Part:
    def answers() -> bool:
        try:
            return bool(redis.Redis(HOST, port, socket_timeout=2).ping())
        except redis.RedisError:
            return False

    server = program("redis-server")
    assert server is not None
    # It keeps nothing on the disk: whoever starts it again finds it empty.
    command = [server, "--port", str(port), "--bind", HOST, "--save", "", "--dir", str(folder)]
    return Part("redis", command, log=folder / "redis.log", ready=answers)


def _host(name: str, port: int, folder: Path, env: dict[str, str]) -> Part:
    return Part(
        name,
        [
            *(sys.executable, "-m", "daphne", "-v", "0", "-b", HOST, "-p", str(port)),
            *("--proxy-headers", "attendance_site.asgi:application"),
        ],
        log=folder / f"{name}.log",
        env=env,
        ready=lambda: _listening(port),
    )


def _nginx(folder: Path, https_port: int, ports: tuple[int, int]) -> tuple[Part, ssl.SSLContext]:
    certificate, key = _certificate(folder)
    site = shipped_site(
        {
            "/etc/rollcall/tls/fullchain.pem": str(certificate),
            "/etc/rollcall/tls/privkey.pem": str(key),
            "127.0.0.1:8001": f"{HOST}:{ports[0]}",
            "127.0.0.1:8002": f"{HOST}:{ports[1]}",
            "/var/log/nginx/rollcall.log": str(folder / "access.log"),
        },
        listen=https_port,
    )
    (folder / "site.conf").write_text(site)
    config = folder / "nginx.conf"
    config.write_text(nginx_config(folder))
    nginx = program("nginx")
    assert nginx is not None
    part = Part(
        "nginx",
        [nginx, "-c", str(config), "-e", str(folder / "nginx.log"), "-g", "daemon off;"],
        log=folder / "nginx.out",
        ready=lambda: _listening(https_port),
    )
    tls = ssl.create_default_context(cafile=str(certificate))
    return part, tls


def shipped_site(instead: dict[str, str], *, listen: int) -> str:
    """The files of `deploy/nginx` for this machine, whose ports 80 and 443 may be taken."""
    files = (ROOT / "deploy" / "nginx" / name for name in ("upstream.conf", "site.conf"))
    site = "".join(file.read_text() for file in files)
    for shipped, here in instead.items():
        assert shipped in site, f"deploy/nginx has no {shipped} any more"
        site = site.replace(shipped, here)
    site = re.sub(r"(?m)^ *listen \[::\].*\n", "", site)
    site = site.replace("listen 443", f"listen {HOST}:{listen}")
    return site.replace("listen 80;", f"listen {HOST}:{free_port()};")


def nginx_config(folder: Path) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"  {kind}_temp_path {folder}/{kind};" for kind in kinds)
    return f"""{user}
pid {folder}/nginx.pid;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
{paths}
  include {folder}/site.conf;
}}
"""


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "fullchain.pem", folder / "privkey.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def _manage(env: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env={**os.environ, **env}, check=True
    )


def _on_a_new_connection(work: Callable[..., Answer], *arguments: Any) -> Answer:
    """The one from before may have ended with PostgreSQL."""
    from django.db import connection

    connection.close()
    return work(*arguments)


def _at_the_desk(env: dict[str, str]) -> None:
    os.environ.update(env)
    import django

    django.setup()
