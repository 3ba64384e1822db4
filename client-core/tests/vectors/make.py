"""Writes the known answers in this folder, from the protocol document alone and with another library than the code's.

    python3 make.py        (needs the package `cryptography`)

`hpke.json` and `rfc9605.json` are not made here: they are appendix A.1.1 of RFC 9180 and appendix C.3 of RFC 9605.
"""
import base64, hashlib, hmac, json, struct
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def mac(key, data): return hmac.new(key, data, hashlib.sha256).digest()
def extract(salt, ikm): return mac(salt or bytes(32), ikm)


def expand(prk, info, length):
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = mac(prk, block + info + bytes([n]))
        out, n = out + block, n + 1
    return out[:length]


def kdf(secret, label, context, length=32):
    return expand(extract(b"", secret), b"conclave/1 " + label.encode() + b"\0" + context, length)


def ed(seed): return Ed25519PrivateKey.from_private_bytes(seed)
def ed_pub(seed): return ed(seed).public_key().public_bytes_raw()
def sig(seed, label, body): return ed(seed).sign(b"conclave/1 " + label.encode() + b"\0" + body)
def u16(n): return struct.pack(">H", n)
def u32(n): return struct.pack(">I", n)
def u64(n): return struct.pack(">Q", n)
def blob(b): return u32(len(b)) + b


KEM, SUITE = b"KEM" + u16(0x20), b"HPKE" + u16(0x20) + u16(1) + u16(1)
def l_extract(suite, salt, label, ikm): return extract(salt, b"HPKE-v1" + suite + label + ikm)
def l_expand(prk, suite, label, info, n): return expand(prk, u16(n) + b"HPKE-v1" + suite + label + info, n)
def derive(ikm): return l_expand(l_extract(KEM, b"", b"dkp_prk", ikm), KEM, b"sk", b"", 32)
def x_pub(sk): return X25519PrivateKey.from_private_bytes(sk).public_key().public_bytes_raw()


def hpke_seal(ephemeral, public, info, aad, plain):
    sk = derive(ephemeral)
    enc = x_pub(sk)
    dh = X25519PrivateKey.from_private_bytes(sk).exchange(X25519PublicKey.from_public_bytes(public))
    shared = l_expand(l_extract(KEM, b"", b"eae_prk", dh), KEM, b"shared_secret", enc + public, 32)
    context = b"\0" + l_extract(SUITE, b"", b"psk_id_hash", b"") + l_extract(SUITE, b"", b"info_hash", info)
    secret = l_extract(SUITE, shared, b"secret", b"")
    key = l_expand(secret, SUITE, b"key", context, 16)
    nonce = l_expand(secret, SUITE, b"base_nonce", context, 12)
    return enc + AESGCM(key).encrypt(nonce, plain, aad)


def seal(key, salt, aad, plain):
    padded = u32(len(plain)) + plain
    bucket = 256
    while bucket < len(padded): bucket *= 2
    padded += bytes(bucket - len(padded))
    derived = kdf(key, "seal", salt, 44)
    return salt + AESGCM(derived[:32]).encrypt(derived[32:], padded, aad)


def write(name, value):
    with open(name + ".json", "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def fill(n, length=32): return bytes([n]) * length


founder, link, access = fill(1), fill(2), fill(3)
room = sha(b"conclave/1 room id", ed_pub(founder))[:16]
keys = []
for generation in (0, 1, 7):
    context = room + u32(generation)
    lobby = derive(kdf(access, "lobby", context))
    keys.append({
        "generation": generation,
        "join_seal": kdf(link, "join seal", context).hex(),
        "join_sign_seed": kdf(link, "join sign", context).hex(),
        "join_sign_public": ed_pub(kdf(link, "join sign", context)).hex(),
        "access_sign_seed": kdf(access, "access sign", context).hex(),
        "access_sign_public": ed_pub(kdf(access, "access sign", context)).hex(),
        "lobby_secret": lobby.hex(),
        "lobby_public": x_pub(lobby).hex(),
    })
write("room", {"founder_seed": founder.hex(), "link": link.hex(), "access": access.hex(), "room": room.hex(), "keys": keys})

write("kdf", [
    {"secret": s.hex(), "label": l, "context": c.hex(), "out": kdf(s, l, c, n).hex()}
    for s, l, c, n in [(fill(4), "seal", fill(5, 16), 44), (fill(4), "lobby", b"", 32), (b"", "x", b"y", 16), (fill(6), "long", b"", 100)]
])

seals = []
for length in (0, 1, 252, 253, 508, 509, 5000):
    plain = bytes(n % 251 for n in range(length))
    sealed = seal(fill(7), fill(8, 16), b"place", plain)
    seals.append({"key": fill(7).hex(), "salt": fill(8, 16).hex(), "associated": b"place".hex(), "plain": plain.hex(),
                  "length": len(sealed), "sha256": sha(sealed).hex(), "sealed": sealed.hex() if len(sealed) < 600 else None})
write("seal", seals)

hubs = [(fill(9), "alder.example:4433"), (fill(10), "[2001:db8::1]:443")]
body = b"\x01" + room + link + bytes([len(hubs)]) + b"".join(r[:16] + bytes([len(a)]) + a.encode() for r, a in hubs)
write("link", {"host": "relay.example", "room": room.hex(), "secret": link.hex(),
               "hubs": [{"relay": r[:16].hex(), "address": a} for r, a in hubs],
               "text": "https://relay.example/r#" + base64.urlsafe_b64encode(body).decode().rstrip("=")})

codes = []
for n in (0, 1, 255):
    digest = sha(b"conclave/1 code", fill(n))
    groups = [int.from_bytes(digest[5 * at:5 * at + 5], "big") % 100000 for at in range(6)]
    codes.append({"authenticator": fill(n).hex(), "code": " ".join("%05d" % group for group in groups)})
write("code", codes)

group_id = room + u32(3) + fill(11, 8)
genesis = sha(b"conclave/1 genesis", group_id)
leaf = fill(12)
claim = room + u32(3) + u32(5) + genesis
members = [ed_pub(fill(n)) for n in (20, 21, 22)]
step = ed_pub(leaf) + u64(1000)
delegation = step + sig(founder, "delegate", room + step)


def vote(kind, label):
    about = u32(5) + ed_pub(founder) + bytes([kind]) + u64(8)
    return u32(5) + ed_pub(leaf) + about[4:] + sig(leaf, label, room + u32(3) + genesis + about)


def head(seq, time): return room + u32(3) + u64(seq) + fill(25) + u16(0) + b"\0" + u64(time) + fill(26, 64)


knock_code = " ".join(json.load(open("words.json"))[byte] for byte in sha(b"conclave/1 knock code", ed_pub(leaf))[:4])
write("call", {
    "group_id": group_id.hex(), "genesis": genesis.hex(), "instance": 3,
    "leave": {"seed": leaf.hex(), "leaf": 5, "note": (u32(5) + ed_pub(leaf) + sig(leaf, "leave", claim)).hex()},
    "host": {"signature": sig(founder, "host", room + u32(3) + ed_pub(leaf)).hex()},
    "roster": {"keys": [key.hex() for key in members],
               "hash": sha(b"conclave/1 roster", u32(3), *sorted(members)).hex()},
    "profile": (u16(4) + b"name" + u16(0) + b"\0").hex(),
    "bind": (room + u32(3) + genesis + u64(7) + fill(24)).hex(),
    "knock_code": knock_code,
    "vote": {"unseen": vote(0, "unseen").hex(), "remove": vote(1, "remove").hex()},
    "state": (b"\x02" + b"\x00" + u32(0) + fill(13) + u16(1) + ed_pub(leaf) + u16(1) + delegation + b"\0" + u16(0) + u16(50) + b"\x0b"
              + u16(20) + u16(30) + u16(5) + b"title").hex(),
    "aad": (b"\x01" + fill(14) + b"\x0a" + u16(0) + u16(1) + fill(15, 16) + u16(1) + vote(0, "unseen")
            + b"\x01" + head(2, 1) + head(3, 2) + head(4, 300001)).hex(),
    "box": (u32(0) + access + link + fill(16) + fill(17) + u64(9) + u16(1) + u32(0) + fill(27)).hex(),
})

here = room + u32(3) + genesis
note = u32(5) + ed_pub(leaf) + u64(8) + fill(28) + sig(leaf, "fault", here + u32(5) + u64(8) + fill(28))
against = u64(8) + fill(28) + u16(3) + u16(1) + note + ed_pub(leaf)
host_proof = ed_pub(founder) + u16(0) + sig(founder, "void", here + fill(29) + against)
word = against + b"\x01" + host_proof + sig(leaf, "void", here + fill(29) + against)
write("fault", {"room": room.hex(), "instance": 3, "genesis": genesis.hex(), "leaf_seed": leaf.hex(), "leaf": 5, "seq": 8,
                "head": fill(28).hex(), "note": note.hex(), "leaves": 3, "follows": fill(29).hex(), "founder": ed_pub(founder).hex(),
                "word": word.hex(), "access": access.hex(), "void_key": kdf(access, "void", room + u32(0)).hex()})

request_id, key_package, reply = fill(15, 16), b"not a key package", fill(18)
unsigned = request_id + u32(3) + b"\x01" + b"\x02" + blob(key_package) + b"\0\0" + reply + ed_pub(leaf)
request = unsigned + sig(leaf, "request", unsigned)
context = b"request\0" + room + u32(3) + request_id
lobby_public = x_pub(derive(kdf(access, "lobby", room + u32(0))))
inner = hpke_seal(fill(19), lobby_public, b"conclave/1 request", context, request)
sealed = seal(kdf(link, "join seal", room + u32(0)), fill(23, 16), context, inner)
write("request", {"ephemeral": fill(19).hex(), "salt": fill(23, 16).hex(), "leaf_seed": leaf.hex(), "id": request_id.hex(),
                  "instance": 3, "kind": 1, "attempt": 2, "key_package": key_package.hex(), "reply": reply.hex(),
                  "plain": request.hex(), "sealed": sealed.hex()})

# Who really sent what (section 10.1), and padded sound (section 10.2).
attest = fill(30)
author = room + u32(3) + u16(5)
place = room + u32(3) + u64(0x0102030405060708) + u64(9) + u64(11) + b"\1\0"
objects = [b"one object", b"another one"]
digests = [sha(u64(0x01000502), u64(17 + n), place, one)[:8] for n, one in enumerate(objects)]
word = u64(2) + b"\1" + u64(17) + u16(2) + b"".join(digests)
key = u64(2) + u32(7) + u16(290) + ed_pub(attest)
head = u64(0x0102030405060708) + u32(9)
write("media", {"attest_seed": attest.hex(), "leaf_seed": leaf.hex(), "leaf": 5, "instance": 3, "room": room.hex(),
                "kid": 0x01000502, "counter": 17, "track": 0x0102030405060708, "group": 9, "object": 11, "layer": 1,
                "objects": [one.hex() for one in objects], "digests": [one.hex() for one in digests],
                "word": (word + sig(attest, "media", author + b"\2" + word)).hex(),
                "key": (key + sig(leaf, "attest key", author + b"\3" + key)).hex(), "serial": 7, "age": 290, "epoch": 2,
                "revealed": (u32(7) + attest).hex(),
                "captured_us": 0x0102030405060708, "number": 9, "frame": b"opus".hex(), "size": 6,
                "padded": (b"\3" + head + b"\0" + u16(4) + b"opus" + bytes(2)).hex(),
                "cover": (b"\7" + bytes(13) + u16(0) + bytes(6)).hex()})
