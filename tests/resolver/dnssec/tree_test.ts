import { NAMES, startSignedTree, TYPES, zoneNames } from "./signed_tree.ts";
import { PipelinedClient } from "./pipelined_client.ts";
import { resultOf, Validating } from "./validating.ts";
import { Message } from "../../../lib/dns/message.ts";
import { query } from "../../support/packets/packets.ts";
Deno.test("x", async () => {
  let t = performance.now();
  await using tree = await startSignedTree();
  console.log("tree", performance.now() - t);
  t = performance.now();
  using up = await PipelinedClient.connect(tree.resolverPort);
  using oracle = await PipelinedClient.connect(tree.validatorPort);
  let asked = 0;
  const next = {
    resolve: async ({ message }: any) => {
      asked++;
      const b = query(message.name.replace(/\.$/, "") || ".", message.type, { cd: true, edns: { do: true } });
      return Message.parse(await up.ask(b));
    },
  };
  using v = new Validating({ next, anchor: tree.anchor });
  const qs: [string, number][] = [];
  const filter = Deno.env.get("ZONES");
  for (const z of ["", ...zoneNames()]) {
    if (filter && !new RegExp(filter).test(z)) continue;
    for (const n of NAMES) {
      for (const ty of TYPES) qs.push([n === "" ? (z || ".") : z === "" ? n : `${n}.${z}`, ty]);
    }
  }
  let same = 0;
  const codes = new Map<string, any>();
  const diff = new Map<string, string[]>();
  let secure = 0;
  let i = 0;
  let tv = 0;
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (i < qs.length) {
      const [n, ty] = qs[i++]!;
      const want = resultOf(await oracle.ask(query(n, ty, { edns: { do: true } })));
      const a = performance.now();
      let got;
      try {
        got = await v.ask(n, ty);
      } catch (e) {
        console.log(n, ty, String(e));
        continue;
      }
      tv += performance.now() - a;
      if (want.ad) secure++;
      {
        const z = n.split(".").slice(-1)[0]!;
        const m = codes.get(z) ?? {};
        const c = `${got.rcode}/${got.code} (${want.code})`;
        m[c] = (m[c] ?? 0) + 1;
        codes.set(z, m);
      }
      if (got.rcode === want.rcode && got.ad === want.ad) same++;
      else {
        const zone = n.split(".").slice(-2).join(".");
        const k = `${n.split(".").at(-1)} want ${want.rcode} ${want.ad} got ${got.rcode} ${got.ad}`;
        const l = diff.get(k) ?? [];
        l.push(`${n} ${ty}: ${got.text} | ${want.text}`);
        diff.set(k, l);
      }
    }
  }));
  console.log(
    "same",
    same,
    "of",
    qs.length,
    "secure",
    secure,
    "upstream asked",
    asked,
    "signatures",
    v.queue.verified,
    performance.now() - t,
  );
  for (const z of zoneNames().filter((z) => !z.includes("."))) console.log(z, JSON.stringify(codes.get(z)));
  for (const [k, l] of diff) console.log(k, l.length, l.slice(0, 3));
});
