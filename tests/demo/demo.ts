/**
 * The demonstration, with nothing from outside: a DNS-over-TLS server, the proxy in front of it, and some questions to
 * the proxy over UDP and TCP. It checks each answer, and exits with 1 if one is wrong.
 */
import { parseConfig } from "../../lib/config/config.ts";
import { Proxy } from "../../lib/proxy.ts";
import { printAnswer, rcodeName } from "./print.ts";
import { CLIENTS, LARGE, ZONE, zone } from "./zone.ts";
import { Authority } from "../support/servers/certificates.ts";
import { type Address, askTcp, askUdp } from "../support/clients/plain_client.ts";
import { answering, DotServer } from "../support/servers/dot_server.ts";
import { type Decoded, query, read, type Type } from "../support/packets/packets.ts";

/** The name in the server's certificate, which the proxy requires. */
const AUTH_NAME = "dns.demo.example";
const STOP_LIMIT = 2000;

type Ask = typeof askUdp;

async function demonstrate(keep: boolean): Promise<void> {
  const authority = await Authority.create({ name: "A root made for this demonstration" });
  const certificate = await authority.issue({ names: [AUTH_NAME] });
  await using server = await DotServer.start({ certificate, behavior: answering(zone) });
  const label = `127.0.0.1:${server.port}#${AUTH_NAME}`;
  const config = parseConfig(["--listen", "127.0.0.1:0", "--upstream", label], {});
  if (typeof config === "string") throw new Error(`No configuration but ${config}`);
  using proxy = new Proxy({ config, caCerts: [authority.pem], observe: () => {} });
  const [address] = proxy.addresses;
  if (!address) throw new Error("The proxy listens nowhere");

  console.log(
    `A DNS-over-TLS server for ${ZONE}, with a certificate made just now: 127.0.0.1:${server.port}`,
  );
  console.log(
    `dot-proxy in front of it, for plain DNS over UDP and TCP:          127.0.0.1:${address.port}\n`,
  );
  await askAround(address);
  await askAtOnce(address);
  console.log(overTls(server));
  if (keep) await stayUntilInterrupted(address);
  await proxy.stop(STOP_LIMIT);
}

async function askAround(proxy: Address): Promise<void> {
  console.log("; The first question waits for TCP and TLS to be set up, the others find a connection:");
  await ask(proxy, askUdp, ZONE, "A", "192.0.2.1");
  await ask(proxy, askUdp, ZONE, "AAAA", "2001:db8::1");
  await ask(proxy, askUdp, ZONE, "MX", "10 mail.demo.example");
  await ask(proxy, askTcp, ZONE, "TXT", '"hello from the other end of a TLS connection"');
  await ask(proxy, askTcp, `www.${ZONE}`, "A", "demo.example", "192.0.2.1");
  await ask(proxy, askUdp, `missing.${ZONE}`, "A");
  const truncated = await ask(proxy, askUdp, LARGE, "TXT");
  expect(truncated.flags.tc, "a large answer is truncated over UDP");
  console.log("; Truncated, so the same again over TCP, as stub resolvers do:");
  const whole = await ask(proxy, askTcp, LARGE, "TXT");
  expect(!whole.flags.tc && whole.answers.length === 1, "a large answer is whole over TCP");
}

/** Asks, prints the answer and its time, and compares it with the zone. */
async function ask(
  proxy: Address,
  over: Ask,
  name: string,
  type: Type,
  ...expected: string[]
): Promise<Decoded> {
  const start = performance.now();
  const bytes = await over(proxy, query(name, type, { id: randomId(), edns: { size: 1232 } }));
  const milliseconds = performance.now() - start;
  const reply = read(bytes);
  printAnswer(reply, over === askUdp ? "UDP" : "TCP", bytes.length, milliseconds);
  const rcode = name.startsWith("missing.") ? "NXDOMAIN" : "NOERROR";
  expect(rcodeName(reply) === rcode, `${name} ${type} is ${rcode}`);
  const texts = reply.answers.map(({ text }) => text);
  if (expected.length > 0) {
    expect(`${texts}` === `${expected}`, `${name} ${type} is ${expected}, not ${texts}`);
  }
  return reply;
}

/** Many clients at the same time, to see that they share the connection. */
async function askAtOnce(proxy: Address): Promise<void> {
  const start = performance.now();
  const replies = await Promise.all(
    CLIENTS.map((name) => askUdp(proxy, query(name, "A", { id: randomId() }))),
  );
  const milliseconds = performance.now() - start;
  expect(
    replies.every((reply, i) => read(reply).answers[0]?.text === `192.0.2.${i + 101}`),
    "all of many answers are right",
  );
  console.log(`${CLIENTS.length} clients at once, over UDP: all answered in ${milliseconds.toFixed(1)} ms`);
}

function randomId(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0]!;
}

/** The server's counts in one line. */
function overTls({ connections, queries, accepted }: DotServer): string {
  const [connection] = connections;
  const sizes = [...new Set(queries.map(({ length }) => length))];
  expect(accepted === 1 && connection?.alpn === "dot", "one connection, on which DNS over TLS was agreed");
  expect(
    sizes.every((size) => size % 128 === 0),
    `every query is padded to a multiple of 128 octets, not ${sizes}`,
  );
  const { version, alpn, serverName } = connection!;
  return `Over TLS: ${queries.length} queries on ${accepted} connection (${version}, ALPN ${alpn}), ` +
    `each padded to ${sizes.join(" or ")} octets, to a server certified as ${serverName}`;
}

function expect(isSo: boolean | undefined, what: string): void {
  if (!isSo) throw new Error(`Expected: ${what}`);
}

async function stayUntilInterrupted({ port }: Address): Promise<void> {
  const interrupted = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => interrupted.resolve());
  }
  console.log(`\nBoth go on until Ctrl-C. Try:
  dig @127.0.0.1 -p ${port} ${ZONE} MX
  dig @127.0.0.1 -p ${port} ${LARGE} TXT +tcp`);
  await interrupted.promise;
}

async function main(args: string[]): Promise<number> {
  if (args.some((arg) => arg !== "--keep")) {
    console.error("Usage: deno task demo [--keep]");
    return 2;
  }
  try {
    await demonstrate(args.includes("--keep"));
    return 0;
  } catch (error) {
    console.error(`The demonstration failed. ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
