"""Writes control.json: what participants say to each other about the call, from the protocol document alone.

    python3 control.py        (needs the package `cryptography`; also writes what make.py writes)
"""
import json, re
from make import *

HERE = __import__("os").path.dirname(__import__("os").path.abspath(__file__))
words = json.load(open(HERE + "/words.json"))
room, instance, leaf_index = bytes([5]) * 16, u32(2), u16(4)
author = room + instance + leaf_index
ann, ben = bytes([1]) * 32, bytes([2]) * 32
authenticator = bytes([0xaa]) * 32


def four(digest): return " ".join(words[byte] for byte in digest[:4])


def word(kind, body, label="control"):
    said = bytes([kind]) + body
    return (said + sig(ann, label, author + said)).hex()


def walk(value, steps):
    for _ in range(steps):
        value = sha(b"conclave/1 nonce", value)
    return value


def nonce(seed, index): return walk(seed, 32 - index)


chain_ann, chain_ben = bytes([7]) * 32, bytes([8]) * 32
nonce_ann, nonce_ben = nonce(chain_ann, 3), nonce(chain_ben, 5)
secret_ann, secret_ben = bytes([0x21]) * 32, bytes([0x22]) * 32
public_ann, public_ben = x_pub(secret_ann), x_pub(secret_ben)
sides = sorted([(ed_pub(ann), nonce_ann, public_ann), (ed_pub(ben), nonce_ben, public_ben)])
shared = X25519PrivateKey.from_private_bytes(secret_ann).exchange(X25519PublicKey.from_public_bytes(public_ben))
pairwise = kdf(shared, "acquaintance", authenticator + b"".join(key + public for key, _, public in sides))
tag = kdf(pairwise, "recognise", authenticator + ed_pub(ann), 16)

echoes = u16(1) + u16(1) + u32(2)
beat = u64(3) + u64(4) + bytes(32) + u32(9) + b"\0" + echoes
track = u64(0x1122334455667788) + bytes([1, 2, 2]) + u16(4) + b"desk" + u16(640) + u16(360) + bytes([2, 1])
catalog = bytes([3]) + u32(3) + b"\1" + b"\1" + u64(258) + u16(2) + b"Jo" + u16(1) + bytes([len(track)]) + track + b"\0"

hub = bytes([9]) * 32


def header(seq, prev, flavour):
    return (b"\1" + room + instance + u64(seq) + prev + b"\2\0" + u32(0) + u16(0) + b"\0" + bytes([flavour]) * 32 + bytes(32) + u16(0))


def head(seq, prev, flavour, time):
    body = room + instance + u64(seq) + sha(b"conclave/1 log", prev, header(seq, prev, flavour)) + u16(0) + b"\0" + u64(time)
    return body + sig(hub, "head", body)


def head_of(seq, prev, flavour): return sha(b"conclave/1 log", prev, header(seq, prev, flavour))


start = bytes(32)
one, other = head(4, start, 1, 1000), head(4, start, 2, 1000)
following = header(5, head_of(4, start, 2), 3)
after = head(5, head_of(4, start, 2), 3, 2000)
access = bytes([4]) * 32
beacon_key = kdf(access, "beacon", room + instance)

answers = {
    "author": {"room": room.hex(), "instance": 2, "leaf": 4, "seed": ann.hex()},
    "heartbeat": word(1, beat, "hb"),
    "chain": {"seed": chain_ann.hex(), "commitment": walk(chain_ann, 32).hex(),
              "nonces": {str(index): nonce(chain_ann, index).hex() for index in (1, 2, 3, 32)}},
    "ask": word(6, ed_pub(ben) + u64(7) + bytes([3])),
    "reveal": word(7, ed_pub(ben) + u64(7) + bytes([5]) + bytes([3]) + nonce_ann + public_ann),
    "compare": {"authenticator": authenticator.hex(), "keys": [ed_pub(ann).hex(), ed_pub(ben).hex()],
                "nonces": [nonce_ann.hex(), nonce_ben.hex()], "secrets": [secret_ann.hex(), secret_ben.hex()],
                "words": four(sha(b"conclave/1 short code", authenticator, *[part for side in sides for part in side[:2]])),
                "pairwise": pairwise.hex()},
    "recognise": {"tag": tag.hex(), "word": word(8, u64(7) + u16(1) + tag)},
    "reaction": word(9, u32(2) + u16(2) + b"hm"),
    "mute_request": word(10, u32(2) + ed_pub(ben) + bytes([1])),
    "leaf_key": word(12, ann),
    "catalog": (catalog + sig(ann, "catalog", author + catalog)).hex(),
    "knock": four(sha(b"conclave/1 knock code", ed_pub(ann))),
    "beacon": {"access": access.hex(), "key": beacon_key.hex(),
               "object": (b"\1" + seal(beacon_key, bytes([6]) * 16, room + instance, one)).hex(), "head": one.hex()},
    "equivocation": {"relay": ed_pub(hub).hex(), "heads": (b"\1" + ed_pub(hub) + b"\1" + one + other).hex(),
                     "chain": (b"\1" + ed_pub(hub) + b"\2" + one + following + after).hex()},
}
with open(HERE + "/control.json", "w") as file:
    json.dump(answers, file, indent=1)
    file.write("\n")
