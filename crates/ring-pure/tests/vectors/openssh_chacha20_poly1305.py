#!/usr/bin/env python3
"""Derives test vectors for chacha20-poly1305@openssh.com from its specification, in plain integer arithmetic.

Written from OpenSSH's PROTOCOL.chacha20poly1305 (which draft-ietf-sshm-chacha20-poly1305 restates), D. J. Bernstein's
ChaCha (the 64-bit nonce and 64-bit counter), and RFC 8439 section 2.5 for Poly1305. It shares no code with the crate
it tests. Run it to write openssh_chacha20_poly1305.txt anew:

    python3 openssh_chacha20_poly1305.py > openssh_chacha20_poly1305.txt
"""

import hashlib
import struct

MASK = 0xFFFFFFFF


def quarter_round(s, a, b, c, d):
    for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & MASK
        s[z] ^= s[x]
        s[z] = ((s[z] << bits) | (s[z] >> (32 - bits))) & MASK


def chacha20_block(key, counter, nonce):
    """One 64-byte block: constants, key, 64-bit little-endian counter, 64-bit nonce."""
    start = struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<Q", counter) + nonce)
    s = list(start)
    for _ in range(10):
        quarter_round(s, 0, 4, 8, 12)
        quarter_round(s, 1, 5, 9, 13)
        quarter_round(s, 2, 6, 10, 14)
        quarter_round(s, 3, 7, 11, 15)
        quarter_round(s, 0, 5, 10, 15)
        quarter_round(s, 1, 6, 11, 12)
        quarter_round(s, 2, 7, 8, 13)
        quarter_round(s, 3, 4, 9, 14)
    return struct.pack("<16I", *((x + y) & MASK for x, y in zip(s, start)))


def chacha20(key, counter, nonce, text):
    out = bytearray()
    for i in range(0, len(text), 64):
        block = chacha20_block(key, counter + i // 64, nonce)
        out += bytes(x ^ y for x, y in zip(text[i : i + 64], block))
    return bytes(out)


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(key[16:], "little")
    accumulator = 0
    for i in range(0, len(message), 16):
        block = int.from_bytes(message[i : i + 16] + b"\1", "little")
        accumulator = (accumulator + block) * r % ((1 << 130) - 5)
    return ((accumulator + s) & ((1 << 128) - 1)).to_bytes(16, "little")


def seal(key, sequence_number, payload):
    """The packet on the wire (its length is put in front here) and its tag."""
    k_2, k_1 = key[:32], key[32:]
    nonce = struct.pack(">Q", sequence_number)
    length = chacha20(k_1, 0, nonce, struct.pack(">I", len(payload)))
    sealed = length + chacha20(k_2, 1, nonce, payload)
    return sealed, poly1305(chacha20_block(k_2, 0, nonce)[:32], sealed)


def check_the_parts():
    """RFC 8439 section 2.5.2, and appendix A.1 vector 1 (all zeros, where the two nonce layouts agree)."""
    key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    tag = poly1305(key, b"Cryptographic Forum Research Group")
    assert tag.hex() == "a8061dc1305136c6c22b8baf0c0127a9"
    assert chacha20_block(bytes(32), 0, bytes(8)).hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )


def pattern(length, seed):
    return bytes((7 * i + seed) % 256 for i in range(length))


def main():
    check_the_parts()
    print("# Written by openssh_chacha20_poly1305.py. One packet a line, numbers in decimal, bytes in hexadecimal:")
    print("# sequence number, key (K_2 then K_1), payload, sealed length and payload, tag.")
    for number, length in enumerate([0, 1, 8, 15, 16, 24, 59, 60, 61, 63, 64, 65, 127, 128, 129, 255, 256, 257]):
        sequence_number = [0, 1, 2, 255, 256, 65537, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF][number % 9]
        key = hashlib.sha512(b"key %d" % number).digest()
        payload = pattern(length, number)
        sealed, tag = seal(key, sequence_number, payload)
        print(sequence_number, key.hex(), payload.hex() or "-", sealed.hex(), tag.hex())
    print("# Longer ones: sequence number, key, payload's length, its seed (byte i is 7 i + seed), tag.")
    for number, length in enumerate([511, 1024, 4099, 32768, 65521, 262144]):
        sequence_number = 1000 * number
        key = hashlib.sha512(b"long key %d" % number).digest()
        sealed, tag = seal(key, sequence_number, pattern(length, number))
        print("long", sequence_number, key.hex(), length, number, tag.hex())


if __name__ == "__main__":
    main()
