"""Writes `chat.json` and `labels.json`: chat words, reports' stamps, colours and ids, and one signature under every label.

    python3 chat.py        (needs the package `cryptography`)
"""
import hashlib, json, struct
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def ed(seed): return Ed25519PrivateKey.from_private_bytes(seed)
def ed_pub(seed): return ed(seed).public_key().public_bytes_raw()
def sig(seed, label, body): return ed(seed).sign(b"conclave/1 " + label.encode() + b"\0" + body)
def u8(n): return bytes([n])
def u16(n): return struct.pack(">H", n)
def u32(n): return struct.pack(">I", n)
def u64(n): return struct.pack(">Q", n)
def fill(n, length=32): return bytes([n]) * length


def write(name, value):
    with open(name + ".json", "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


leaf, room, instance = fill(12), fill(1, 16), u32(3)
head = fill(7, 16) + u32(4) + u64(2) + u64(5) + u64(3) + fill(8)
words = "grüße".encode()
signed = head + u16(len(words)) + words + sig(leaf, "chat", room + instance + head + sha(words))
digest = fill(9)
write("chat", {
    "leaf_seed": leaf.hex(), "room": room.hex(), "instance": 3, "text": words.decode(), "id": fill(7, 16).hex(), "number": 4, "before": 2,
    "time_ms": 5, "epoch": 3, "transcript": fill(8).hex(), "signed": signed.hex(),
    "said": (u8(0) + signed).hex(),
    "again": (u8(1) + ed_pub(leaf) + u32(9) + u8(2)).hex(),
    "told": (u8(2) + u16(1) + ed_pub(leaf) + u16(5) + u16(4) + b"name" + u32(len(signed)) + signed).hex(),
    "stamp": {"hub_seed": fill(13).hex(), "digest": digest.hex(), "time_ms": 77,
              "signature": sig(fill(13), "report", room + instance + digest + u64(77)).hex()},
    "key": ed_pub(leaf).hex(),
    "colour": int.from_bytes(sha(b"conclave/1 colour", ed_pub(leaf))[:2], "big") % 360,
    "participant": 5 << 16 | int.from_bytes(sha(b"conclave/1 participant", ed_pub(leaf))[:2], "big"),
})

labels = ["attach", "relay", "append", "request", "head", "record", "descriptor", "link", "leave", "hb", "catalog", "chat", "host",
          "well-known", "delegate", "reserve", "decline", "unseen", "remove", "fault", "void", "media", "attest key", "control",
          "report", "call"]
write("labels", {"seed": leaf.hex(), "body": b"body".hex(),
                 "signatures": [{"label": label, "signature": sig(leaf, label, b"body").hex()} for label in labels]})
