#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
QEMU with the bench guest inside an emulated host, for tests/lab/rdma-speed: start it, move it over RDMA,
see that it lives, end it. Speaks QMP and nothing else, over /run/peer.sock.
Never ends a process but by QMP's quit.
Next in the flow: tests/lab/rdma-speed compares.

  peer.py start MEMORY WORDS [INCOMING]   returns when the guest works on its pages, or QEMU waits for one
  peer.py pin                             rdma-pin-all, on both ends, before the move
  peer.py move URI                        prints how it ended: "completed in N ms, frozen for N ms" or why not
  peer.py lives                           0 if the guest runs, goes on writing, and found no bad page, else why
  peer.py quit
QEMU's output is in /lab/peer.out.
"""
import json
import resource
import socket
import subprocess
import sys
import time

HEADER = 0x101000  # bench/guest/report.h: the first vCPU's counters
STATE, WRITTEN, ERRORS = 9, 5, 7  # words of them
RUNNING = 3


class Monitor:
    def __init__(self, seconds=2):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + seconds
        while True:
            try:
                self.socket.connect("/run/peer.sock")
                break
            except OSError:
                if time.monotonic() > end:
                    sys.exit("QEMU has ended")
                time.sleep(0.1)
        self.socket.settimeout(180)
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall((json.dumps({"execute": command, "arguments": arguments}) + "\n").encode())
        while True:
            line = self.lines.readline()
            if not line:
                sys.exit(f"{command}: QEMU has ended")
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                sys.exit(f"{command}: {answer['error']['desc']}")

    def words(self):
        text = self.ask("human-monitor-command", **{"command-line": f"xp /12gx {HEADER:#x}"})
        return [int(word, 16) for line in text.splitlines() for word in line.split(":")[1].split()]

    def until(self, what, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if what():
                return True
            time.sleep(0.2)
        return False


def no_limit():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)


def start(memory, words, incoming=None):
    command = ["qemu-system-x86_64", "-accel", "kvm", "-M", "q35", "-m", memory, "-display", "none",
               "-nodefaults", "-kernel", "/pair/bench.elf", "-append", words,
               "-qmp", "unix:/run/peer.sock,server=on,wait=off"]
    with open("/lab/peer.out", "w", encoding="utf-8") as out:
        subprocess.Popen(command + (["-incoming", incoming] if incoming else []), stdin=subprocess.DEVNULL,
                         stdout=out, stderr=out, start_new_session=True, preexec_fn=no_limit)
    monitor = Monitor(60)
    if not incoming and not monitor.until(lambda: monitor.words()[STATE] == RUNNING, 120):
        sys.exit("the guest does not work on its pages")


def pin():
    Monitor().ask("migrate-set-capabilities", capabilities=[{"capability": "rdma-pin-all", "state": True}])


def move(uri):
    monitor = Monitor()
    monitor.ask("migrate-set-parameters", **{"downtime-limit": 300, "max-bandwidth": 2**62})
    monitor.ask("migrate", uri=uri)
    ended = ("completed", "failed", "cancelled")
    monitor.until(lambda: monitor.ask("query-migrate").get("status") in ended, 300)
    said = monitor.ask("query-migrate")
    if said.get("status") != "completed":
        sys.exit(f"ended as {said.get('status')}: {said.get('error-desc', 'QEMU does not say why')}")
    print(f"completed in {said['total-time']} ms, frozen for {said['downtime']} ms")


def lives():
    monitor = Monitor()
    if not monitor.until(lambda: monitor.ask("query-status")["running"], 20):
        sys.exit("the guest does not run")
    before = monitor.words()[WRITTEN]
    if not monitor.until(lambda: monitor.words()[WRITTEN] > before, 20) or monitor.words()[ERRORS]:
        sys.exit("the guest writes no pages, or bad ones")


def leave():
    Monitor().ask("quit")


if __name__ == "__main__":
    {"start": start, "pin": pin, "move": move, "lives": lives, "quit": leave}[sys.argv[1]](*sys.argv[2:])
