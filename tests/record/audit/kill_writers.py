"""
Kill writers with SIGKILL at random moments, many times, and see that nothing they had acknowledged is lost.

Run as a program, because it forks: `kill_writers.py FOLDER ROUNDS WRITERS DURABILITY SEED`. Each writer has two threads
and says on a pipe what `write` has returned for. It prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from agentid.record import AccessRecord
from agentid.record.audit import AuditLog, verify_audit_log
from agentid.signing import ED25519, PrivateKey

ID = 32


def write_for_ever(folder, key, durability, out, base):
    log = AuditLog(folder, signer=key, durability=durability, checkpoint_records=7, segment_bytes=30_000)

    def thread(first):
        number = first
        while True:
            name = f"{number:0{ID}x}"
            log.write("decision", AccessRecord(name, "", 0, "spiffe://acme.example/agent/bot", "bot", "tool"))
            os.write(out, name.encode())
            number += 1

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(thread, [base, base + 10**9]))


def start(folder, key, durability, base):
    reading, writing = os.pipe()
    with suppress(ImportError, OSError, AttributeError):
        import fcntl

        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # so that a writer is never far ahead of what was read
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            write_for_ever(folder, key, durability, writing, base)
        finally:
            os._exit(1)
    os.close(writing)
    return child, reading


def read(pipe, limit):
    data = b""
    while len(data) < limit and (more := os.read(pipe, limit - len(data))):
        data += more
    return data


def main():
    folder, rounds, writers, durability, seed = (
        Path(sys.argv[1]),
        *map(int, sys.argv[2:4]),
        sys.argv[4],
        int(sys.argv[5]),
    )
    chance = random.Random(seed)
    key = PrivateKey.generate(ED25519)
    acknowledged = set()
    kills = 0
    for turn in range(rounds):
        started = [start(folder, key, durability, (turn * writers + n) * 10**10) for n in range(writers)]
        chance.shuffle(started)
        for child, pipe in started:
            said = read(pipe, ID * chance.choice([0, 0, 1, 2, 6, 7, 8, chance.randrange(100)]))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            kills += os.WIFSIGNALED(status)
            said += read(pipe, 1 << 20)
            os.close(pipe)
            acknowledged |= {said[i : i + ID].decode() for i in range(0, len(said) // ID * ID, ID)}
    report = verify_audit_log(folder, [key.public_key()])
    written = {
        json.loads(line)["data"]["call"]["id"]
        for path in folder.glob("*.jsonl")
        for line in path.read_bytes().split(b"\n")[:-1]
    }
    print(
        json.dumps(
            {
                "kills": kills,
                "acknowledged": len(acknowledged),
                "lost": sorted(acknowledged - written),
                "problems": list(map(str, report.problems)),
                "records": report.records,
                "chains": report.chains,
                "torn": len(report.recovered),
            }
        )
    )


if __name__ == "__main__":
    main()
