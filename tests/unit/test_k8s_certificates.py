"""The certificates of the manifests name roles that exist, and users that etcd has."""

from __future__ import annotations

from quorate.security.identity import Role, from_common_name
from quorate.security.policy import holds
from tests.support.manifests import container_of, named, of_kind


def _names(certificate: str) -> list[str]:
    found = named("prod", "Certificate", certificate)["spec"].get("dnsNames", [])
    return list(found)


def test_certificates_name_roles_that_may_do_what_is_needed() -> None:
    callers = {
        each["metadata"]["name"]: from_common_name(each["spec"]["commonName"])
        for each in of_kind("prod", "Certificate")
    }
    roles = {name: caller.role for name, caller in callers.items() if caller is not None}
    assert roles == {
        "scheduler": Role.SCHEDULER,
        "agent": Role.NODE,
        "gateway": Role.GATEWAY,
        "keda": Role.SCALER,
        # By these names etcd knows its users.
        "etcd-scheduler": Role.SCHEDULER,
        "etcd-operator": Role.OPERATOR,
    }
    # One name for all agents is etcd's only: to a scheduler it is nobody.
    assert callers["etcd-agent"] is None
    assert holds(roles["scheduler"], "agent.session")
    assert holds(roles["keda"], "scaling.read")
    assert holds(roles["keda"], "scaling.mark")
    # A member is verified by its name and address: no wildcard there, and no name for a client.
    for client in ("etcd-scheduler", "etcd-agent", "etcd-operator"):
        assert not _names(client)
    assert not [name for name in _names("etcd") if "*" in name]


def test_etcd_is_told_of_the_users_that_its_certificates_name() -> None:
    (job,) = of_kind("prod", "Job")
    command = container_of(job)["command"]
    assert command[:3] == ["quorate", "etcd", "init-auth"]
    told = {word for word in command[3:] if ":" in word}
    shown = {
        named("prod", "Certificate", name)["spec"]["commonName"]
        for name in ("etcd-scheduler", "etcd-agent")
    }
    assert told == shown
    # The command's own certificate keeps all rights.
    operator = named("prod", "Certificate", "etcd-operator")["spec"]
    assert operator["commonName"].startswith("operator:")
    (volume,) = job["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == operator["secretName"]
