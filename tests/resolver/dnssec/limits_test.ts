/** Zones that are made to cause work: KeyTrap (CVE-2023-50387), NSEC3 (CVE-2023-50868) and their like. Work is counted, not timed. */
import { createHash } from "node:crypto";
import { Message } from "../../../lib/dns/message.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../../support/assert.ts";
import {
  a,
  cname,
  hex,
  query,
  record,
  type ResourceRecord,
  response,
} from "../../support/packets/packets.ts";
import { concat } from "../../support/packets/frames.ts";
import { Validating } from "./validating.ts";
import { sha1 } from "../../../lib/resolver/dnssec/denial/sha1.ts";
import { FormatError } from "../../../lib/dns/format_error.ts";
import { recordSetsOf } from "../../../lib/resolver/dnssec/rrsets.ts";
import { parseZoneKey } from "../../../lib/resolver/dnssec/keys.ts";
import { VerificationQueue } from "../../../lib/resolver/dnssec/verification_queue.ts";
import { collidingKey, TestZone } from "./test_zone.ts";

const [A, DS, DNSKEY, NSEC3] = [1, 43, 48, 50];
const SERVFAIL = 2;

/** Answers by name and type; records of type RRSIG, NSEC3 and SOA go into the authority section where there is no answer. */
class World {
  readonly root = new TestZone(".");
  asked = 0;
  readonly #answers = new Map<
    string,
    { answers?: ResourceRecord[]; authority?: ResourceRecord[]; rcode?: number }
  >();

  constructor() {
    this.set(".", DNSKEY, { answers: this.root.keys() });
  }

  set(
    name: string,
    type: number,
    answer: { answers?: ResourceRecord[]; authority?: ResourceRecord[]; rcode?: number },
  ): void {
    this.#answers.set(`${name}/${type}`, answer);
  }

  /** A zone with one key below the root, and the chain to it. */
  zone(name: string): TestZone {
    const zone = new TestZone(name);
    this.set(name, DS, { answers: this.root.signed([zone.ds]) });
    this.set(name, DNSKEY, { answers: zone.keys() });
    return zone;
  }

  /** Answers in place of the records, where it returns something. */
  override: (query: Query) => Message | undefined = () => undefined;

  readonly resolve = (query: Query): Message => {
    this.asked++;
    const other = this.override(query);
    if (other) return other;
    const { message } = query;
    const name = message.name === "." ? "." : message.name.replace(/\.$/, "");
    const answer = this.#answers.get(`${name}/${message.type}`) ?? { rcode: SERVFAIL };
    return Message.parse(response(message.bytes, answer));
  };

  validating(): Validating {
    return new Validating({ next: this, anchor: this.root.anchor });
  }
}

const garbage = () => crypto.getRandomValues(new Uint8Array(64));

Deno.test("a zone of the test's own signatures is secure", async () => {
  const world = new World();
  const zone = world.zone("good");
  world.set("www.good", A, {
    answers: zone.signed([a("www.good", "192.0.2.1"), a("www.good", "192.0.2.2")]),
  });
  using validating = world.validating();
  assertEquals(await validating.ask("www.good", A), { rcode: 0, ad: true, code: undefined, text: "" });
  assertEquals(validating.queue.verified, 4); // DNSKEY, DS, DNSKEY, A
});

Deno.test("a malformed record in any section is a failure of the upstream", async () => {
  const world = new World();
  const zone = world.zone("odd");
  const answers = zone.signed([a("www.odd", "192.0.2.1")]);
  const short = record("odd", 15, new Uint8Array(1)); // an MX record without a name
  using validating = world.validating();
  for (
    const parts of [{ answers: [...answers, short] }, { answers, authority: [short] }, {
      answers,
      additional: [short],
    }]
  ) {
    const next = (message: Message) => Message.parse(response(message.bytes, parts));
    world.override = ({ message }) => message.type === A ? next(message) : undefined;
    const error = await assertRejects(() => validating.ask("www.odd", A), UpstreamError);
    assertEquals(error.failure, "malformed");
  }
});

Deno.test("a response that names make large without compression is refused", () => {
  const long = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(60)}`;
  const message = (records: number) => {
    // SRV records whose owner and target are pointers to the question.
    const each = (i: number) =>
      concat(hex("c00c 0021 0001 0000012c 0008"), Uint8Array.of(0, i >> 8, 0, i, 0, 1), hex("c00c"));
    const asked = query(long, 33);
    const bytes = concat(asked, ...Array.from({ length: records }, (_, i) => each(i)));
    bytes.set([0x81, 0x80, 0, 1, records >> 8, records], 2);
    return Message.parse(bytes);
  };
  assertEquals(recordSetsOf(message(300))[0]!.data.length, 300);
  assertThrows(() => recordSetsOf(message(1900)), FormatError, "too much data to validate");
});

Deno.test("signatures are checked one in a turn of the event loop", async () => {
  const key = parseZoneKey(new TestZone("turns").key)!;
  using queue = new VerificationQueue(() => 0);
  const all = [1, 2, 3].map((i) => queue.verify(key, Uint8Array.of(i), garbage(), 1000));
  for (let i = 0; i < 100; i++) await Promise.resolve(); // microtasks only
  assertEquals(queue.verified, 1);
  assertEquals(await Promise.all(all), [false, false, false]);
});

Deno.test("KeyTrap: many keys with one tag and many signatures cause a few checks", async () => {
  const world = new World();
  const zone = world.zone("trap");
  const set = [a("www.trap", "192.0.2.1")];
  world.set("trap", DNSKEY, {
    answers: zone.keys(...Array.from({ length: 30 }, () => collidingKey(zone.tag))),
  });
  const signatures = Array.from({ length: 100 }, () => zone.signature(set, { signature: garbage() }));
  world.set("www.trap", A, { answers: [...set, ...signatures] });
  using validating = world.validating();
  const { rcode } = await validating.ask("www.trap", A);
  assertEquals(rcode, SERVFAIL);
  assert(validating.queue.verified <= 8, `${validating.queue.verified} signatures were checked`);
});

Deno.test("KeyTrap: a DNSKEY set with colliding keys and many wrong signatures causes a few checks", async () => {
  const world = new World();
  const zone = world.zone("trap");
  const others = Array.from({ length: 30 }, () => collidingKey(zone.tag));
  const keys = zone.keys(...others).slice(0, -1);
  const ds = [zone.key, ...others].slice(0, 16).map((key) => record("trap", DS, zone.dsData(key)));
  world.set("trap", DS, { answers: world.root.signed(ds) });
  const signatures = Array.from({ length: 100 }, () => zone.signature(keys, { signature: garbage() }));
  world.set("trap", DNSKEY, { answers: [...keys, ...signatures] });
  world.set("www.trap", A, { answers: zone.signed([a("www.trap", "192.0.2.1")]) });
  using validating = world.validating();
  assertEquals((await validating.ask("www.trap", A)).rcode, SERVFAIL);
  assert(validating.queue.verified <= 8, `${validating.queue.verified} signatures were checked`);
});

Deno.test("two keys may have the same tag, as they do by chance", async () => {
  const world = new World();
  const zone = world.zone("chance");
  world.set("chance", DNSKEY, { answers: zone.keys(collidingKey(zone.tag)) });
  world.set("www.chance", A, { answers: zone.signed([a("www.chance", "192.0.2.1")]) });
  using validating = world.validating();
  assertEquals((await validating.ask("www.chance", A)).ad, true);
});

Deno.test("a query that has used up its signatures within another zone's chain does not make that zone bogus", async () => {
  const world = new World();
  const victim = world.zone("victim");
  const data = victim.signed([a("www.victim", "192.0.2.1")]);
  world.set("www.victim", A, { answers: data });
  // 1 for the root, 1 wrong, 3 for each of 15 zones: one is left for the victim's DS record, none for its keys.
  const aliases = Array.from({ length: 15 }, (_, i) => {
    const zone = world.zone(`z${i}`);
    const set = [cname(`a.z${i}`, i === 14 ? "www.victim" : `a.z${i + 1}`)];
    const wrong = i === 0 ? [zone.signature(set, { signature: garbage() })] : [];
    return [...set, ...wrong, zone.signature(set)];
  });
  world.set("a.z0", A, { answers: [...aliases.flat(), ...data] });
  using validating = world.validating();
  const { rcode, text } = await validating.ask("a.z0", A);
  assertEquals(rcode, SERVFAIL);
  assert(/^victim\. (DS|DNSKEY): too many signatures to check$/.test(text), text);
  assertEquals(validating.queue.verified, 48);
  assertEquals((await validating.ask("www.victim", A)).ad, true);
});

Deno.test("more aliases than any name has are bogus", async () => {
  const world = new World();
  const zone = world.zone("long");
  const chain = (length: number) => [
    ...Array.from({ length }, (_, i) => zone.signed([cname(`a${i}.long`, `a${i + 1}.long`)])).flat(),
    ...zone.signed([a(`a${length}.long`, "192.0.2.1")]),
  ];
  using validating = world.validating();
  world.set("a0.long", A, { answers: chain(12) });
  assertEquals((await validating.ask("a0.long", A)).ad, true);
  world.set("a0.long", A, { answers: chain(40) });
  assertEquals((await validating.ask("a0.long", A)).rcode, SERVFAIL);
  const { verified } = validating.queue;
  assert(verified < 40, `${verified} signatures were checked`);
});

Deno.test("NSEC3: a long name with many iterations causes a limited count of hashes", async (t) => {
  const nsec3 = (zone: TestZone, iterations: number, salt: Uint8Array) => {
    const next = new Uint8Array(20).fill(0xff);
    const data = concat(
      ...[Uint8Array.of(1, 0, iterations >> 8, iterations, salt.length), salt, Uint8Array.of(20), next],
      Uint8Array.of(0, 1, 0x20),
    );
    return zone.signed([record(`${"0".repeat(32)}.${zone.name}`, NSEC3, data)]);
  };
  const name = `${"a.".repeat(110)}hashes`;

  await t.step("with the most that are allowed", async () => {
    const world = new World();
    const zone = world.zone("hashes");
    world.set(name, A, { rcode: 3, authority: nsec3(zone, 50, new Uint8Array(8)) });
    using validating = world.validating();
    const { rcode, text } = await validating.ask(name, A);
    assertEquals(rcode, SERVFAIL, text);
    assert(validating.queue.verified <= 6);
  });

  await t.step("with one more the zone is insecure, without a hash", async () => {
    const world = new World();
    const zone = world.zone("hashes");
    world.set(name, A, { rcode: 3, authority: nsec3(zone, 51, new Uint8Array(8)) });
    using validating = world.validating();
    const { rcode, ad, code } = await validating.ask(name, A);
    assertEquals([rcode, ad, code], [3, false, 27]);
  });
});

Deno.test("an unsigned answer for a name with many labels causes a limited count of queries", async () => {
  const world = new World();
  const zone = world.zone("deep");
  const name = `${"a.".repeat(110)}deep`;
  world.set(name, A, { answers: [a(name, "192.0.2.1")] });
  // Every name on the way is an alias of the zone, and so no zone cut.
  for (let at = name; at !== "deep"; at = at.slice(2)) {
    world.set(at, DS, { answers: zone.signed([cname(at, "x.deep")]) });
  }
  using validating = world.validating();
  assertEquals((await validating.ask(name, A)).rcode, SERVFAIL);
  assert(world.asked <= 70, `${world.asked} queries`);
});

Deno.test("signatures beyond the limit of a second wait, and those that wait too long are refused", async () => {
  const key = parseZoneKey(new TestZone("queue").key)!;
  let now = 0;
  using queue = new VerificationQueue(() => now, 2);
  const ask = () => queue.verify(key, new Uint8Array(1), garbage(), 500);
  const outcomes = Promise.allSettled([ask(), ask(), ask()]);
  await until(() => queue.verified === 2);
  now = 1000; // a second later the third one is too late
  assertEquals((await outcomes).map(({ status }) => status), ["fulfilled", "fulfilled", "rejected"]);
});

Deno.test("the hash of NSEC3 is that of the platform", () => {
  for (let length = 0; length < 300; length++) {
    const data = crypto.getRandomValues(new Uint8Array(length));
    assertEquals(sha1(data).toHex(), createHash("sha1").update(data).digest("hex"), `${length} bytes`);
  }
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 5000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert(condition());
}
