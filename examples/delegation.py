"""An orchestrator hands a part of its grant to a worker process; what is stolen, widened or revoked is refused."""

import base64
import contextlib
import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from agentid import Agent, Authority, Error, Guard, TrustAnchor, requires
from agentid.errors import DelegationError


@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id: str) -> str:
    return f"customer {customer_id}"


def worker(folder: Path) -> None:
    """The other process. It has the public keys, what was revoked, and an agent; it asks nobody."""
    keys = (folder / "keys.json").read_text()
    trust = TrustAnchor.from_jwks(keys, trust_domain="acme.example", status=folder / "status.jwt")
    file = folder / "worker.json"
    try:
        trust.verify_grant(json.loads(file.read_text())["grant"])  # each signature, and what each link hands on
        with Guard(trust).acting_as(Agent.load(file)):
            for line in sys.stdin:
                print(get_customer(line.strip()), flush=True)
    except DelegationError as refusal:
        print(f"refused: {refusal.code}: {refusal.why}", flush=True)
    except Error as refusal:
        print(f"refused: {refusal.code}", flush=True)


class Worker:
    """The orchestrator's end of a worker process."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, __file__, folder]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def ask(self, customer_id: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # it may have given up already, and said why
            self._process.stdin.write(f"{customer_id}\n")
            self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate()


def once(folder: Path, customer_id: str = "c-42") -> str:
    process = Worker(folder)
    answer = process.ask(customer_id)
    process.end()
    return answer


def orchestrator(folder: Path) -> None:
    authority = Authority.open(
        folder / "private" / "authority.pem", trust_domain="acme.example", status_uri="https://acme.example/status"
    )
    bot = authority.issue("orchestrator", allow=["read:crm/customers/*"], owner="team:support")
    (folder / "keys.json").write_text(json.dumps(authority.trust.to_jwks()))
    publish(authority, folder)

    file = folder / "worker.json"
    bot.delegate("worker", allow=["read:crm/customers/c-42"], ttl=timedelta(minutes=5)).save(file)
    print("handed on:", once(folder))
    print("another customer:", once(folder, "c-43"))

    good = file.read_text()
    bot.delegate("thief").save(file, overwrite=True)
    file.write_text(json.dumps({**json.loads(good), "key": json.loads(file.read_text())["key"]}))
    print("stolen, without its key:", once(folder))

    file.write_text(json.dumps(widened(json.loads(good), bot)))
    print("widened:", once(folder, "c-43"))

    file.write_text(good)
    running = Worker(folder)
    print("running:", running.ask("c-42"))
    authority.revoke(bot)
    publish(authority, folder)
    answer = running.ask("c-42")
    while answer == "customer c-42":  # the worker looks twice a second
        answer = running.ask("c-42")
    print("its parent revoked:", answer)
    running.end()


def publish(authority: Authority, folder: Path) -> None:
    """Write what was revoked, in one step: whoever reads it never reads half of it."""
    draft = folder / "status.jwt.new"
    draft.write_text(authority.status_list())
    draft.replace(folder / "status.jwt")


def widened(saved: dict, parent: Agent) -> dict:
    """Hand on more than the parent has, as a parent does that goes wrong: by hand, and signed with its real key."""
    head, payload, _ = saved["grant"][-1].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["authorization_details"][0]["locations"] = ["crm/**"]
    signed = f"{head}.{base64url(json.dumps(claims).encode())}"
    link = f"{signed}.{base64url(parent.sign(signed.encode()))}"
    return {**saved, "grant": [*saved["grant"][:-1], link]}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    if sys.argv[1:]:
        worker(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            orchestrator(Path(name))
