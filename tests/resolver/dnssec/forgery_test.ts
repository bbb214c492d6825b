/** Valid answers with one change: any that pass as secure equal the zone. */
import { Message } from "../../../lib/dns/message.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { query, read, type ResourceRecord, response } from "../../support/packets/packets.ts";
import { PipelinedClient } from "./pipelined_client.ts";
import { startSignedTree } from "./signed_tree.ts";
import { resultOf, Validating } from "./validating.ts";

const [A, MX, TXT, AAAA, RRSIG, NSEC, NSEC3] = [1, 15, 16, 28, 46, 47, 50];
const [NOERROR, NXDOMAIN] = [0, 3];
/** Each octet and many proofs: DOT_PROXY_DNSSEC_QUESTIONS=all. */
const isFull = Deno.env.get("DOT_PROXY_DNSSEC_QUESTIONS") === "all";
const SIGNED = { do: true };

/** Mulberry32: the same numbers in each run. */
function random(seed: number): (below: number) => number {
  return (below) => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) % below;
  };
}

/** Owner, type and data of the records that answer, in any order. */
function dataOf(bytes: Uint8Array): string {
  const { rcode, answers } = read(bytes);
  const data = answers.filter(({ type }) => type !== RRSIG).map(({ name, type, text }) =>
    `${name} ${type} ${text}`.toLowerCase()
  );
  return [rcode, ...data.sort()].join("\n");
}

Deno.test("forged answers of signed zones", async (t) => {
  await using tree = await startSignedTree("ed25519", "ed448", "p256", "nsec", "nsec3", "optout");
  using upstream = await PipelinedClient.connect(tree.resolverPort);
  /** The answer in place of the tree's; undefined for the tree's. */
  let forged: Uint8Array | undefined;
  const next = {
    async resolve({ message }: { message: Message }): Promise<Message> {
      const isAnswer = message.type !== 43 && message.type !== 48;
      const bytes = forged && isAnswer ? forged.slice() : await upstream.ask(message.bytes);
      return Message.parse(bytes);
    },
  };
  using validating = new Validating({ next, anchor: tree.anchor });
  const genuine = (name: string, type: number) => upstream.ask(query(name, type, { cd: true, edns: SIGNED }));
  const judge = async (name: string, type: number) => {
    const message = query(name, type, { edns: SIGNED });
    try {
      return (await validating.resolve(message)).bytes;
    } catch (error) {
      // The message is malformed, and its upstream's answers are refused before they get here.
      assert(error instanceof Error && /UpstreamError|FormatError/.test(error.name), String(error));
      return undefined;
    }
  };

  await t.step("a valid answer with any octet changed is never taken for another answer", async () => {
    const pick = random(1);
    let secure = 0;
    for (
      const [name, type] of [
        ...[["www.ed25519", A], ["many.ed25519", A], ["x.wild.ed25519", MX], ["alias2.ed25519", AAAA]],
        ...[["nothing.ed25519", A], ["ent.ed25519", A], ["x.sub.ed25519", A], ["x.wild.ed25519", TXT]],
        ...[["nothing.ed448", A], ["x.wild.ed448", TXT], ["naptr.ed25519", 35], ["srv.ed25519", 33]],
      ] as [string, number][]
    ) {
      forged = undefined;
      const own = await genuine(name, type);
      const before = (await judge(name, type))!;
      assert(resultOf(before).ad, name);
      const start = Message.parse(own).questionEnd;
      // Counts and RCODE, and every octet behind the question except those of the OPT record, which is not signed.
      const places = [3, 7, 9, ...Array.from({ length: own.length - 11 - start }, (_, i) => start + i)];
      for (const at of places) {
        // A part of them, so that the run takes seconds; Ed448 is slow.
        if (!isFull && pick(name.endsWith("ed448") ? 16 : 4) > 0) continue;
        forged = own.slice();
        forged[at] = at === 3 ? own[at]! ^ 1 << pick(4) : own[at]! ^ 1 + pick(255);
        const after = await judge(name, type);
        if (!after) continue;
        const { rcode, ad, text } = resultOf(after);
        if (rcode !== NOERROR && rcode !== NXDOMAIN) continue;
        assert(ad, `${name} ${type}, octet ${at}: insecure, ${text}`);
        assertEquals(dataOf(after), dataOf(before), `${name} ${type}, octet ${at}`);
        secure++;
      }
    }
    assert(secure > 0); // TTLs may be lower than they were signed
  });

  await t.step("genuine proofs never deny what exists, whichever of them are put together", async () => {
    const pick = random(2);
    for (const zone of ["ed25519", "p256", "nsec", "nsec3", "optout"]) {
      forged = undefined;
      const proofs: ResourceRecord[] = [];
      for (
        const name of ["nothing", "zzzz", "0", "ent", "x.www", "x.own.wild", "x.wild", "a.b", "*.wild", ""]
      ) {
        for (const type of [TXT, AAAA, 33]) {
          const { authority } = read(await genuine(name === "" ? zone : `${name}.${zone}`, type));
          const isProof = ({ type, rdata }: ResourceRecord) =>
            type === NSEC || type === NSEC3 || type === RRSIG && [NSEC, NSEC3].includes(rdata[1]!);
          proofs.push(...authority.filter(isProof));
        }
      }
      const owners = [...new Set(proofs.map(({ name }) => name))];
      for (let i = 0; i < (isFull ? 2000 : 60); i++) {
        const chosen = new Set(Array.from({ length: 1 + pick(5) }, () => owners[pick(owners.length)]!));
        const authority = distinct(proofs.filter(({ name }) => chosen.has(name)));
        const [name, type] = ([
          ...[["www", A], ["ent", A], ["a.b.ent", A], ["x.wild", A], ["own.wild", TXT], ["alias", A], [
            "",
            MX,
          ]],
          ...[["many", A], ["sub", 39], ["x.wildalias", A]],
        ] as [string, number][])[pick(10)]!;
        const full = name === "" ? zone : `${name}.${zone}`;
        // An empty non-terminal has no records, but it exists.
        const rcode = name === "ent" || pick(2) === 0 ? NXDOMAIN : NOERROR;
        forged = response(query(full, type, { edns: SIGNED }), { rcode, authority });
        const result = resultOf((await judge(full, type))!);
        const denied = `${full} ${type}: ${rcode} by ${[...chosen].join(", ")}`;
        assert(!result.ad, denied);
        // Opt-out leaves only those names open that may be unsigned delegations.
        if (zone !== "optout") assertEquals(result.rcode, 2, denied);
      }
    }
  });

  await t.step("a wildcard answers for no name that exists", async () => {
    for (const zone of ["ed25519", "p256"]) {
      forged = undefined;
      const { answers, authority } = read(await genuine(`x.wild.${zone}`, A));
      for (const name of [`own.wild.${zone}`, `x.own.wild.${zone}`]) {
        const renamed = answers.map((each) => ({ ...each, name: `${name}.` }));
        const denial = read(await genuine(`nothing.${zone}`, A)).authority.filter(({ type }) => type !== 6);
        for (const proofs of [authority, denial, [...authority, ...denial], []]) {
          const usable = proofs.filter(({ type }) => type === NSEC || type === NSEC3 || type === RRSIG);
          forged = response(query(name, A, { edns: SIGNED }), { answers: renamed, authority: usable });
          assertEquals(resultOf((await judge(name, A))!).rcode, 2, name);
        }
      }
    }
  });

  await t.step(
    "the NSEC record of a wildcard denies nothing under another name (CVE-2017-15105)",
    async () => {
      forged = undefined;
      const { authority } = read(await genuine("*.wild.ed25519", TXT));
      const owned = authority.filter(({ name, type }) => name.startsWith("*.wild.") && type !== 6);
      assertEquals(owned.map(({ type }) => type).sort(), [RRSIG, NSEC]);
      const renamed = owned.map((each) => ({ ...each, name: "own.wild.ed25519." }));
      forged = response(query("own.wild.ed25519", TXT, { edns: SIGNED }), { authority: renamed });
      assertEquals(resultOf((await judge("own.wild.ed25519", TXT))!).rcode, 2);
    },
  );

  await t.step("the parent's proof of a zone cut denies nothing in the zone", async () => {
    forged = undefined;
    for (const zone of ["ed25519", "nsec"]) {
      const { authority } = read(await genuine(`${zone}`, 44)); // the zone's own
      const proofs = [...authority, ...read(await genuine(`${zone.slice(0, -1)}0`, 44)).authority];
      const usable = proofs.filter(({ type, rdata }) => type === NSEC || type === RRSIG && rdata[1] === NSEC);
      forged = response(query(`www.${zone}`, A, { edns: SIGNED }), { rcode: NXDOMAIN, authority: usable });
      assertEquals(resultOf((await judge(`www.${zone}`, A))!).rcode, 2);
      forged = undefined;
    }
  });
});

function distinct(records: readonly ResourceRecord[]): ResourceRecord[] {
  return [
    ...new Map(records.map((each) => [`${each.name}/${each.type}/${each.rdata.toHex()}`, each])).values(),
  ];
}
