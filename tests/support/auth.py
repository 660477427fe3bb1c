"""A locked cluster of real processes, and every credential that it must refuse.

Two schedulers (a leader and a standby) with mutual TLS, tokens and JWTs, one agent, and a gateway
that serves HTTPS. `Issuer` signs JWTs, good ones and bad ones.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Any

import grpc
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from quorate.security.credentials import tokens
from quorate.security.identity import CERTIFICATE_ONLY, Role
from quorate.v1 import queue_pb2, scheduler_pb2, scheduler_pb2_grpc, task_pb2
from tests.support import forked
from tests.support.tls import Leaf, TestAuthority, etcd_flags

ISSUER = "https://id.example.com"
AUDIENCE = "quorate"
# What the bound caller is bound to, and the queue that is not among it.
BOUND = ["mail*"]
FOREIGN = "other"
_clusters = count(1)


class Issuer:
    """An identity provider with one key."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public_pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        public = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        self.jwks_file = folder / "jwks.json"
        self.jwks_file.write_text(json.dumps({"keys": [{**public, "kid": "k1", "use": "sig"}]}))

    def claims(self, role: str = "admin", **more: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "role": role}
        return {**claims, "iat": now, "exp": now + 600, **more}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        return jwt.encode(
            dict(claims), self.key, algorithm="ES256", headers={"kid": "k1", **header}
        )

    def token(self, role: str = "admin", **more: Any) -> str:
        return self.sign(self.claims(role, **more))

    def without_signature(self) -> str:
        return jwt.encode(self.claims(), "", algorithm="none", headers={"kid": "k1"})

    def by_the_public_key(self) -> str:
        """HS256 with what everybody knows as the secret."""
        head = {"alg": "HS256", "typ": "JWT", "kid": "k1"}
        parts = b".".join(_b64(json.dumps(one).encode()) for one in (head, self.claims()))
        digest = hmac.new(self.public_pem, parts, hashlib.sha256).digest()
        return b".".join((parts, _b64(digest))).decode()


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@dataclass
class Locked:
    """A cluster that knows its callers."""

    folder: Path
    authority: TestAuthority
    stranger: TestAuthority
    issuer: Issuer
    tokens_file: Path
    schedulers: list[str] = field(default_factory=list)
    agent: str = ""
    gateway: str = ""
    foreign_task: str = ""

    def make_token(self, role: str, *queues: str, days: float = 1) -> str:
        """An API token; `days` below 0: expired."""
        return tokens.create(
            self.tokens_file,
            f"{role}-test",
            Role(role),
            queues or ("*",),
            now=dt.datetime.now(dt.UTC),
            lasts=dt.timedelta(days=days),
        )

    def unauthenticated(self) -> dict[str, str]:
        """Values of `authorization` that say nothing, or nothing good."""
        now = int(time.time())
        issuer = self.issuer
        good = issuer.token()
        return {
            "expired JWT": f"Bearer {issuer.token(exp=now - 600)}",
            "JWT without expiry": "Bearer "
            + issuer.sign({k: v for k, v in issuer.claims().items() if k != "exp"}),
            "alg=none": f"Bearer {issuer.without_signature()}",
            "signed with the public key": f"Bearer {issuer.by_the_public_key()}",
            "wrong audience": f"Bearer {issuer.token(aud='another')}",
            "wrong issuer": f"Bearer {issuer.token(iss='https://evil.example.com')}",
            "signature cut": f"Bearer {good[:-4]}",
            "unknown key": "Bearer " + issuer.sign(issuer.claims(), kid="k2"),
            "JWT of a scheduler": f"Bearer {issuer.token('scheduler')}",
            "expired token": f"Bearer {self.expired}",
            "unknown token": "Bearer qrt_0123456789abcdef_" + "A" * 43,
            "not bearer": "Basic YWRtaW46YWRtaW4=",
        }

    def __post_init__(self) -> None:
        self.expired = self.make_token("admin", days=-1)
        self.admin = self.make_token("admin")
        self.bound = self.make_token("admin", *BOUND)
        self.by_role = {
            role: self.make_token(role) for role in Role if role not in CERTIFICATE_ONLY
        }

    def leaf(self, subject: str) -> Leaf:
        return self.authority.leaf(subject)


@contextmanager
def locked(etcd: str, folder: Path) -> Iterator[Locked]:
    """Run one until the block is left."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, stranger = TestAuthority(folder / "ca"), TestAuthority(folder / "other-ca", "other")
    cluster = Locked(folder, authority, stranger, Issuer(folder), folder / "tokens")
    started: list[tuple[forked.Running, IO[str]]] = []
    name = f"locked-{os.getpid()}-{next(_clusters)}"
    common = (f"--etcd={etcd}", f"--cluster={name}", "--listen=127.0.0.1:0", *etcd_flags())

    def start(module: str, *flags: str) -> str:
        with (folder / "log").open("ab") as log:
            process, output = forked.start_piped(module, *flags, error=log.fileno())
        started.append((process, output))
        words = output.readline().split()
        assert "ready" in words, f"{module} did not start: {(folder / 'log').read_text()[-3000:]}"
        return next(word.partition("=")[2] for word in words if word.startswith("address="))

    try:
        for number in (1, 2):
            cluster.schedulers.append(
                start(
                    "scheduler",
                    *common,
                    f"--name=s{number}",
                    "--channelz",
                    *authority.leaf(f"scheduler:s{number}").flags,
                    "--auth=mtls,tokens,jwt",
                    f"--auth-tokens-file={cluster.tokens_file}",
                    f"--auth-jwks={cluster.issuer.jwks_file}",
                    f"--auth-jwt-issuer={ISSUER}",
                    f"--auth-jwt-audience={AUDIENCE}",
                )
            )
        cluster.agent = start(
            "node_agent",
            *common,
            "--name=n1",
            "--channelz",
            f"--data-dir={folder / 'n1'}",
            *authority.leaf("node:n1").flags,
        )
        mine = authority.leaf("gateway:g1").flags
        cluster.gateway = start(
            "gateway",
            f"--schedulers={','.join(cluster.schedulers)}",
            "--listen=127.0.0.1:0",
            *mine,
            *(flag.replace("--tls-", "--scheduler-tls-") for flag in mine),
            "--auth=bearer",
        )
        cluster.foreign_task = _fill(cluster)
        yield cluster
    finally:
        for process, output in reversed(started):
            process.kill()
            process.wait()
            output.close()


def _fill(cluster: Locked) -> str:
    """Queues `mail` and `other`, and a task in the second, which waits for ever."""
    with open_channel(cluster, cluster.schedulers[0], "admin:alice") as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        for queue in ("mail", FOREIGN):
            request = scheduler_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name=queue))
            stub.CreateQueue(request, timeout=60)
        stub.PauseQueue(scheduler_pb2.PauseQueueRequest(name=FOREIGN), timeout=20)
        spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
        created = stub.CreateTask(
            scheduler_pb2.CreateTaskRequest(queue=FOREIGN, spec=spec), timeout=20
        )
        return str(created.task.id)


def open_channel(
    cluster: Locked, address: str, subject: str, *, by: TestAuthority | None = None
) -> grpc.Channel:
    """A channel with a certificate of this subject; with none when it is empty.

    Args:
        by: who signed it, when that is not the cluster's CA.
    """
    ca = cluster.authority.ca_file.read_bytes()
    if not subject:
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca))
    leaf = (by or cluster.authority).leaf(subject)
    credentials = grpc.ssl_channel_credentials(
        ca, leaf.key_file.read_bytes(), leaf.cert_file.read_bytes()
    )
    return grpc.secure_channel(address, credentials)
