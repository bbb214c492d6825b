/** A zone that a test signs by itself, where no tool would make the records. Written apart from lib/ on purpose. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { concat } from "../../support/packets/frames.ts";
import { composeName } from "../../support/packets/names.ts";
import { record, type ResourceRecord } from "../../support/packets/packets.ts";

const [DS, RRSIG, DNSKEY] = [43, 46, 48];
const ED25519 = 15;
/** From 2020 to 2050. */
const [INCEPTION, EXPIRATION] = [1_577_836_800, 2_524_608_000];

export class TestZone {
  readonly name: string;
  /** RDATA of its key. */
  readonly key: Uint8Array;
  readonly #privateKey: KeyObject;

  constructor(name: string) {
    this.name = name;
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    this.#privateKey = privateKey;
    const { x } = publicKey.export({ format: "jwk" });
    this.key = keyData(Uint8Array.fromBase64(x!, { alphabet: "base64url" }));
  }

  get tag(): number {
    return keyTag(this.key);
  }

  /** The DS record that stands for the key in the parent. */
  get ds(): ResourceRecord {
    return record(this.name, DS, this.dsData(this.key));
  }

  dsData(key: Uint8Array): Uint8Array {
    const digest = createHash("sha256").update(composeName(this.name)).update(key).digest();
    return concat(u16(keyTag(key)), Uint8Array.of(ED25519, 2), digest);
  }

  /** The trust anchor, as a zone file has it. */
  get anchor(): string {
    return `${this.name === "." ? "." : `${this.name}.`} IN DNSKEY 257 3 15 ${
      this.key.subarray(4).toBase64()
    }`;
  }

  keys(...others: Uint8Array[]): ResourceRecord[] {
    return this.signed([this.key, ...others].map((key) => record(this.name, DNSKEY, key)));
  }

  /** The records, which are one RRset, and their signature. */
  signed(set: readonly ResourceRecord[]): ResourceRecord[] {
    return [...set, this.signature(set)];
  }

  signature(set: readonly ResourceRecord[], changes: { signature?: Uint8Array } = {}): ResourceRecord {
    const { name, type, ttl } = set[0]!;
    const labels = name.replace(/\.$/, "").split(".").filter((label) => label !== "" && label !== "*").length;
    const fixed = concat(
      ...[
        u16(type),
        Uint8Array.of(ED25519, labels),
        u32(ttl),
        u32(EXPIRATION),
        u32(INCEPTION),
        u16(this.tag),
      ],
      composeName(this.name),
    );
    const head = (length: number) => concat(composeName(name), u16(type), u16(1), u32(ttl), u16(length));
    const data = set.map(({ rdata }) => rdata).sort((a, b) => a.toHex() < b.toHex() ? -1 : 1);
    const whole = concat(fixed, ...data.flatMap((rdata) => [head(rdata.length), rdata]));
    const signature = changes.signature ?? sign(null, whole, this.#privateKey);
    return record(name, RRSIG, concat(fixed, signature), ttl);
  }
}

/** RDATA of another key with the same tag, which signs nothing. */
export function collidingKey(tag: number): Uint8Array {
  const key = keyData(crypto.getRandomValues(new Uint8Array(32)));
  key.fill(0, -2);
  const missing = tag - keyTag(key);
  // The sum of the tag carries once at most.
  for (const word of [missing, missing - 1]) {
    key.set(u16(word & 0xffff), key.length - 2);
    if (keyTag(key) === tag) return key;
  }
  throw new Error("no key has this tag");
}

function keyData(key: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(1, 1, 3, ED25519), key);
}

/** RFC 4034, appendix B. */
function keyTag(data: Uint8Array): number {
  let sum = 0;
  data.forEach((octet, i) => sum += i % 2 ? octet : octet * 256);
  return sum + Math.floor(sum / 0x1_0000) & 0xffff;
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value);
}

function u32(value: number): Uint8Array {
  return concat(u16(value >>> 16), u16(value & 0xffff));
}
