/** Other clients than dig, and many questions on one connection. */
import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { Relay } from "../support/servers/tcp_relay.ts";
import { dig } from "../support/processes/dig.ts";
import { IMPLEMENTATIONS, startRig } from "./rig.ts";
import { run, succeed } from "./tools.ts";
import { MANY_NAMES } from "./zones.ts";

const NAMES = Array.from({ length: MANY_NAMES }, (_, index) => `n${index}.example.test`);
const ADDRESSES = NAMES.map((_, index) => `203.0.113.${index + 1}`);

for (const implementation of IMPLEMENTATIONS) {
  Deno.test(`kdig and nslookup get right answers through the proxy from ${implementation}`, async (t) => {
    await using rig = await startRig(implementation);
    const { bind, proxy } = rig;
    await using counting = await Relay.start({ hostname: "127.0.0.1", port: proxy.port });
    const server = ["@127.0.0.1", "-p", `${counting.address.port}`];

    await rig.step(t, "kdig +keepopen asks 150 names on one TCP connection (7766-1)", async () => {
      const output = await succeed("kdig", [...server, "+tcp", "+keepopen", "+retry=0", "+short", ...NAMES]);
      assertEquals(output.trim().split("\n"), ADDRESSES);
      assertEquals(counting.links.length, 1);
    });

    await rig.step(t, "dig +keepopen does too (7766-1)", async () => {
      const queries = NAMES.flatMap((name) => [name, "+tcp", "+keepopen", "+short"]);
      const output = await succeed("dig", ["-r", ...server, "+tries=1", ...queries]);
      assertEquals(output.trim().split("\n"), ADDRESSES);
      assertEquals(counting.links.length, 2);
    });

    await rig.step(
      t,
      "nslookup shows addresses, aliases, mail exchangers, and what is not there",
      async () => {
        const options = [`-port=${proxy.port}`, "-timeout=8", "-retry=0"];
        const ask = (...args: string[]) => succeed("nslookup", [...options, ...args, "127.0.0.1"]);
        const { answer } = await dig(bind.inClear, "www.example.test", "A");
        const addresses = [...answer.map(({ rdata }) => rdata), "2001:db8::1"].sort();
        assertEquals(addressesOf(await ask("www.example.test")), addresses);
        assertEquals(addressesOf(await ask("alias1.example.test")), addresses);
        const exchangers = (await ask("-type=MX", "example.test")).match(/mail exchanger = .*/g)?.sort();
        const [mail, www] = ["10 mail.example.test.", "20 www.example.test."];
        assertEquals(exchangers, [`mail exchanger = ${mail}`, `mail exchanger = ${www}`]);
        const { code, stdout } = await run("nslookup", [...options, "nope.example.test", "127.0.0.1"]);
        assertEquals(code, 1);
        assertStringIncludes(stdout, "can't find nope.example.test: NXDOMAIN");
      },
    );
  });
}

/** The addresses in nslookup's answer: those behind the first empty line, before which it names the server. */
function addressesOf(output: string): string[] {
  const answer = output.slice(output.indexOf("\n\n"));
  return [...answer.matchAll(/^Address: (.*)$/gm)].map(([, address]) => address ?? "").sort();
}
