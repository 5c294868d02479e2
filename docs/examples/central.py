#!/usr/bin/env python3
"""Central's side of the wire, as small as it can be and still be right: one file, Python, paho-mqtt and cryptography.

    central.py keygen central.key            makes a signing key, and prints what goes into latchd.toml
    central.py run --broker HOST:PORT --controller ID --key central.key --store central.db

`run` reads one JSON object a line from standard input:

    {"put": {"type": "grant", ...}}          a record of the contract: credential, grant or policy
    {"delete": {"type": "grant", "id": "g-9"}}
    {"command": {"action": "access", "door": "entrance", "by": "anna@central"}}

and writes one JSON object a line to standard output: each event once, in order ({"event": ...}), each command's
result ({"result": ...}), what was agreed with the controller ({"sync": ...}), and at first {"listening": ID}.

What central must hold to, and where it is done here:

  * numbers, not delivery: what a controller has is what its `sync` says (on_sync), never what the broker took
  * an event is stored before it is acknowledged (on_events), so that none is lost between two disks
  * events are checked: numbers without a gap, and each hash over the one before it (chain)
  * everything that is said is signed, over the exact bytes that are sent (sign)
  * records and numbers outlast a restart of central (Store); a store that was lost begins a new epoch
"""

import argparse
import base64
import hashlib
import json
import os
import queue
import sqlite3
import sys
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import paho.mqtt.client as mqtt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PART = 500  # records a message: small enough to verify in no time, large enough to be quick
AGAIN_S = 10  # a snapshot under way is not begun anew by a controller that asks meanwhile
COMMAND_S = 60  # how long a command may take to arrive; the contract allows 300


def canonical(value):
    """RFC 8785 of what the wire holds. Its numbers are integers and its names ASCII, so that Python's own order and
    spelling are the canonical ones; a value with fractions would need a library."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(records):
    """The XOR of the SHA-256 of every record as it was sent."""
    total = bytes(32)
    for record in records:
        total = bytes(a ^ b for a, b in zip(total, hashlib.sha256(canonical(record)).digest()))
    return total.hex()


def instant(at):
    """As the wire writes it: RFC 3339 in UTC, with Z."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An Ed25519 key, and the name a controller knows it by."""

    def __init__(self, path):
        self.kid = Path(path).stem
        self.private = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)

    @staticmethod
    def make(path):
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # Never over a key that is there: controllers believe it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)

    def public(self):
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return b64(raw)

    def sign(self, message):
        """JWS, compact (RFC 7515), EdDSA (RFC 8037)."""
        head = b64(canonical({"alg": "EdDSA", "kid": self.kid}))
        signed = f"{head}.{b64(canonical(message))}"
        return f"{signed}.{b64(self.private.sign(signed.encode()))}"


class Store:
    """What outlasts central: the records, the changes that made them with their numbers, and the events."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(
            """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            CREATE TABLE IF NOT EXISTS list (epoch INTEGER NOT NULL, last INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS records (type TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (type, id));
            CREATE TABLE IF NOT EXISTS changes (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
            CREATE TABLE IF NOT EXISTS events (journal TEXT, seq INTEGER, hash TEXT NOT NULL, body TEXT NOT NULL,
                                               PRIMARY KEY (journal, seq));"""
        )
        if self.db.execute("SELECT count(*) FROM list").fetchone()[0] == 0:
            self.db.execute("INSERT INTO list VALUES (?, 0)", (int(time.time()),))

    def position(self):
        return self.db.execute("SELECT epoch, last FROM list").fetchone()

    def change(self, change):
        """Applies a change and gives it the next number."""
        (verb, record), = change.items()
        self.db.execute("BEGIN")
        if verb == "put":
            self.db.execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (record["type"], record["id"], json.dumps(record))
            )
        else:
            self.db.execute("DELETE FROM records WHERE type = ? AND id = ?", (record["type"], record["id"]))
        self.db.execute("UPDATE list SET last = last + 1")
        self.db.execute("INSERT INTO changes SELECT last, ? FROM list", (json.dumps(change),))
        self.db.execute("COMMIT")

    def changes_after(self, number):
        rows = self.db.execute("SELECT body FROM changes WHERE number > ? ORDER BY number", (number,))
        return [json.loads(body) for (body,) in rows]

    def records(self):
        rows = self.db.execute("SELECT body FROM records ORDER BY type, id")
        return [json.loads(body) for (body,) in rows]

    def new_epoch(self, above):
        """Another list, with the same records."""
        self.db.execute("BEGIN")
        self.db.execute("UPDATE list SET epoch = max(epoch, ?) + 1, last = 0", (above,))
        self.db.execute("DELETE FROM changes")
        self.db.execute("COMMIT")

    def last_event(self, journal):
        row = self.db.execute(
            "SELECT seq, hash FROM events WHERE journal = ? ORDER BY seq DESC LIMIT 1", (journal,)
        ).fetchone()
        return row or (0, "0" * 64)

    def keep_events(self, journal, events):
        self.db.execute("BEGIN")
        self.db.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            [(journal, event["seq"], event["hash"], json.dumps(event)) for event in events],
        )
        self.db.execute("COMMIT")


def chain(event, seq, before):
    """Why this event does not follow the one with number `seq` and hash `before`, if it does not."""
    if event["seq"] != seq + 1:
        return f"event {seq + 1} is missing"
    if event["prev"] != before:
        return f"event {event['seq']} does not follow the one before it"
    unhashed = {name: value for name, value in event.items() if name != "hash"}
    if hashlib.sha256(canonical(unhashed)).hexdigest() != event["hash"]:
        return f"event {event['seq']} was altered"
    return None


class Central:
    def __init__(self, controller, key, store, client):
        self.controller, self.key, self.store, self.client = controller, key, store, client
        self.topics = f"latch/v1/{controller}/"
        self.snapshot_at = None
        # The controller has said that it follows this list: changes can be sent as they come.
        self.in_step = False

    def say(self, topic, message):
        self.client.publish(self.topics + topic, self.key.sign({"controller": self.controller, **message}), qos=1)

    def tell(self, kind, value):
        print(json.dumps({kind: value}), flush=True)

    # What the controller says

    def on_message(self, topic, payload):
        message = json.loads(payload)
        handler = {"status": self.on_status, "sync": self.on_sync, "events": self.on_events, "result": self.on_result}
        handler[topic.removeprefix(self.topics)](message)

    def on_status(self, status):
        """Retained: a central that starts learns where a controller stands that has nothing to say. It may be older than
        the truth, and need not be more: what is sent twice does nothing."""
        if status["online"] and not self.in_step:
            self.bring_up(status["epoch"], status["applied"])

    def on_sync(self, sync):
        if sync["want"] == "snapshot":
            return self.send_snapshot(sync["epoch"])
        if not self.bring_up(sync["epoch"], sync["applied"]):
            return
        if sync["digest"] != digest(self.store.records()) and not sync["rejected"]:
            # Same numbers, other records: nothing helps but a new list.
            return self.send_snapshot(sync["epoch"])
        self.tell("sync", {name: sync[name] for name in ("epoch", "applied", "records", "rejected")})

    def bring_up(self, epoch, applied):
        """Sends what is missing; true if nothing is."""
        own, last = self.store.position()
        if epoch != own or applied > last:
            self.send_snapshot(epoch)
            return False
        self.in_step, self.snapshot_at = True, None
        if applied < last:
            self.send_changes(applied)
        return applied == last

    def on_events(self, message):
        journal = message["journal"]
        seq, before = self.store.last_event(journal)
        new = [event for event in message["events"] if event["seq"] > seq]
        if seq == 0 and new:
            # A new journal; or an old one, and this store was lost: it goes on where the controller still has events.
            seq, before = new[0]["seq"] - 1, new[0]["prev"]
        for event in new:
            wrong = chain(event, seq, before)
            if wrong:
                return self.tell("alarm", wrong)
            seq, before = event["seq"], event["hash"]
        self.store.keep_events(journal, new)
        for event in new:
            self.tell("event", event)
        self.say("ack", {"journal": journal, "through": seq})

    def on_result(self, result):
        self.tell("result", result)

    # What central says

    def on_line(self, line):
        """A line of standard input."""
        asked = json.loads(line)
        if "command" in asked:
            now = datetime.now(timezone.utc)
            times = {"issued_at": instant(now), "expires_at": instant(now + timedelta(seconds=COMMAND_S))}
            return self.say("command", {"id": str(uuid.uuid4()), **times, **asked["command"]})
        self.store.change(asked)
        _, last = self.store.position()
        if self.in_step and self.snapshot_at is None:
            self.send_changes(last - 1)

    def send_changes(self, after):
        epoch, _ = self.store.position()
        changes = self.store.changes_after(after)
        for start in range(0, len(changes), PART):
            some = changes[start : start + PART]
            first = after + start + 1
            self.say("feed", {"epoch": epoch, "first": first, "last": first + len(some) - 1, "changes": some})

    def send_snapshot(self, theirs):
        """Everything, as the beginning of a list that is newer than `theirs`."""
        if self.snapshot_at is not None and time.monotonic() - self.snapshot_at < AGAIN_S:
            return
        self.in_step, self.snapshot_at = False, time.monotonic()
        if theirs >= self.store.position()[0]:
            # Either it has lost what it had, or this store is an old copy: its numbers mean something else there.
            self.store.new_epoch(above=theirs)
        epoch, last = self.store.position()
        records = self.store.records()
        parts = [records[start : start + PART] for start in range(0, len(records), PART)] or [[]]
        name = str(uuid.uuid4())
        for number, part in enumerate(parts, 1):
            snapshot = {"id": name, "part": number, "parts": len(parts)}
            self.say("feed", {"epoch": epoch, "last": last, "snapshot": snapshot, "records": part})


def connect(arguments, work):
    """A client with a session of its own at the broker, which keeps what comes while central is away."""
    controller = arguments.controller
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=f"central-{controller}", protocol=mqtt.MQTTv5
    )
    if arguments.ca:
        client.tls_set(ca_certs=arguments.ca, certfile=arguments.cert, keyfile=arguments.cert_key)
    # Acknowledged to the broker only when it was dealt with: after a crash it comes again.
    client.manual_ack_set(True)
    client.reconnect_delay_set(min_delay=1, max_delay=60)

    def on_connect(client, _data, _flags, reason, _properties):
        if reason.is_failure:
            print(f"central: the broker refused: {reason}", file=sys.stderr)
            return
        client.subscribe([(f"latch/v1/{controller}/{topic}", 1) for topic in ("status", "sync", "events", "result")])

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: work.put(("listening", controller))
    client.on_message = lambda _client, _data, message: work.put(("message", message))
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 7 * 86_400
    host, port = arguments.broker.rsplit(":", 1)
    client.connect(host, int(port), keepalive=30, clean_start=False, properties=session)
    return client


def run(arguments):
    # One queue, one thread that works it off: nothing is done to the store from two sides, and no two lines are written
    # into each other.
    work = queue.Queue(maxsize=10_000)
    client = connect(arguments, work)

    def read_lines():
        for line in sys.stdin:
            work.put(("line", line))
        work.put(("end", None))

    threading.Thread(target=read_lines, daemon=True).start()
    central = Central(arguments.controller, Key(arguments.key), Store(arguments.store), client)
    client.loop_start()
    while True:
        kind, item = work.get()
        if kind == "end":
            break
        try:
            if kind == "listening":
                central.tell(kind, item)
            elif kind == "line":
                central.on_line(item)
            else:
                central.on_message(item.topic, item.payload)
        except (ValueError, KeyError, TypeError) as error:
            print(f"central: {kind} not understood: {error!r}", file=sys.stderr)
        if kind == "message":
            client.ack(item.mid, item.qos)
    client.disconnect()
    client.loop_stop()


def keygen(arguments):
    Key.make(arguments.key)
    key = Key(arguments.key)
    print(f'[[mqtt.trusted_keys]]\nkid = "{key.kid}"\npublic_key = "{key.public()}"')


def main():
    parser = argparse.ArgumentParser(description="central's side of the wire: a worked example")
    verbs = parser.add_subparsers(required=True)
    make = verbs.add_parser("keygen", help="makes a signing key, and prints what goes into latchd.toml")
    make.add_argument("key")
    make.set_defaults(do=keygen)
    start = verbs.add_parser("run", help="keeps one controller in step")
    start.add_argument("--broker", required=True, metavar="HOST:PORT")
    start.add_argument("--controller", required=True)
    start.add_argument("--key", required=True)
    start.add_argument("--store", required=True)
    start.add_argument("--ca", help="the broker's authority (PEM): speaks TLS")
    start.add_argument("--cert", help="central's certificate (PEM), if the broker asks for one")
    start.add_argument("--cert-key", help="and its key")
    start.set_defaults(do=run)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
