/** Other clients than dig, and many questions on one connection. */
import { assertEquals } from "../support/assert.ts";
import { dig } from "./dig.ts";
import { IMPLEMENTATIONS, startRig } from "./rig.ts";
import { succeed } from "./tools.ts";
import { MANY_NAMES } from "./zones.ts";

for (const implementation of IMPLEMENTATIONS) {
  Deno.test(`kdig and nslookup get right answers through the proxy from ${implementation}`, async (t) => {
    await using rig = await startRig(implementation);
    const { bind, proxy } = rig;

    await rig.step(t, "kdig +keepopen asks 150 names on one TCP connection (7766-1)", async () => {
      const names = Array.from({ length: MANY_NAMES }, (_, index) => `n${index}.example.test`);
      const output = await succeed("kdig", [
        ...["@127.0.0.1", "-p", `${proxy.port}`, "+tcp", "+keepopen", "+retry=0", "+short", "+stats"],
        ...names,
      ]);
      const addresses = output.split("\n").filter((line) => /^[\d.]+$/.test(line));
      assertEquals(addresses, names.map((_, index) => `203.0.113.${index + 1}`));
    });

    await rig.step(t, "dig +keepopen does too", async () => {
      const names = Array.from({ length: MANY_NAMES }, (_, index) => `n${index}.example.test`);
      const output = await succeed("dig", [
        ...["-r", "@127.0.0.1", "-p", `${proxy.port}`, "+tries=1"],
        ...names.flatMap((name) => [name, "+tcp", "+keepopen", "+short"]),
      ]);
      assertEquals(output.trim().split("\n"), names.map((_, index) => `203.0.113.${index + 1}`));
    });

    await rig.step(
      t,
      "nslookup shows addresses, an alias, mail exchangers and what is not there",
      async () => {
        const ask = (...args: string[]) =>
          succeed("nslookup", [`-port=${proxy.port}`, "-timeout=8", "-retry=0", ...args, "127.0.0.1"]);
        const { answer } = await dig(bind.inClear, "www.example.test", "A");
        const expected = [...answer.map(({ rdata }) => rdata), "2001:db8::1"].sort();
        assertEquals(addressesOf(await ask("www.example.test")), expected);
        assertEquals(addressesOf(await ask("alias1.example.test")), expected);
        const exchangers = (await ask("-type=MX", "example.test")).match(/mail exchanger = .*/g)?.sort();
        assertEquals(exchangers, [
          "mail exchanger = 10 mail.example.test.",
          "mail exchanger = 20 www.example.test.",
        ]);
      },
    );
  });
}

/** The addresses in nslookup's answer: those behind the first empty line, before which it names the server. */
function addressesOf(output: string): string[] {
  const answer = output.slice(output.indexOf("\n\n"));
  return [...answer.matchAll(/^Address: (.*)$/gm)].map(([, address]) => address ?? "").sort();
}
