import { fileURLToPath } from "node:url";
import { Child, type Command } from "../support/processes/child.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { askUdp } from "../support/clients/plain_client.ts";
import { query, read } from "../support/packets/packets.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The demo task of deno.json, with the permissions it has there. */
async function demo(...args: string[]): Promise<Command> {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const [deno, ...run] = String(tasks.demo).split(" ");
  assertEquals([deno, run[0], run.at(-1)], ["deno", "run", "tests/demo/demo.ts"]);
  return { program: Deno.execPath(), args: [...run, ...args], cwd: ROOT, env: { NO_COLOR: "1" } };
}

async function run({ program, ...options }: Command) {
  const { code, stdout, stderr } = await new Deno.Command(program, { ...options, args: [...options.args] })
    .output();
  const [out = "", complaint = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, complaint };
}

Deno.test("the demonstration shows answers over UDP and TCP, the truncated one twice, and what TLS saw", async () => {
  const { code, out, complaint } = await run(await demo());
  assertEquals([code, complaint], [0, ""]);
  const expected = [
    /^; demo\.example\. A over UDP: NOERROR, \d+ octets, \d+\.\d ms\ndemo\.example\. +300 {2}IN {2}A +192\.0\.2\.1$/m,
    /^demo\.example\. +300 {2}IN {2}AAAA +2001:db8::1$/m,
    /^demo\.example\. +300 {2}IN {2}MX +10 mail\.demo\.example$/m,
    /^; demo\.example\. TXT over TCP: NOERROR.*\n.*TXT +"hello/m,
    /^www\.demo\.example\. +300 {2}IN {2}CNAME +demo\.example\ndemo\.example\. +300 {2}IN {2}A /m,
    /^; missing\.demo\.example\. A over UDP: NXDOMAIN.*\ndemo\.example\. .*SOA/m,
    /^; large\.demo\.example\. TXT over UDP: NOERROR, truncated, \d{2} octets/m,
    /^; large\.demo\.example\. TXT over TCP: NOERROR, 4,\d{3} octets/m,
    /^100 clients at once, over UDP: all answered in \d+\.\d ms$/m,
    /^Over TLS: 107 queries on 1 connection \(TLSv1\.3, ALPN dot\), each padded to 128 octets, .* dns\.demo\.example$/m,
  ];
  for (const pattern of expected) assertMatch(out, pattern);
  const lines = out.trimEnd().split("\n");
  assert(lines.length <= 40, `${lines.length} lines are too many to read`);
  assert(!out.includes("\x1b"), "no colours where nobody asked for them");
});

Deno.test("with --keep it prints a dig command, answers it, and ends with 0 at Ctrl-C", async () => {
  await using child = new Child("demo", await demo("--keep"));
  await child.says(/Ctrl-C[^]*\+tcp\n/);
  const [, port, name] = /^ {2}dig @127\.0\.0\.1 -p (\d+) (\S+) MX$/m.exec(child.log) ?? [];
  const reply = read(await askUdp({ hostname: "127.0.0.1", port: Number(port) }, query(name!, "MX")));
  assertEquals(reply.answers.map(({ text }) => text), ["10 mail.demo.example"]);
  assertEquals(await child.stop("SIGINT"), 0);
});

Deno.test("a failed demonstration exits with 1, a wrong call with 2", async () => {
  const command = await demo();
  // Nothing but port 0 of TCP may be bound, and so the proxy has no UDP.
  const args = command.args.map((arg) => arg === "--allow-net" ? "--allow-net=127.0.0.1:0" : arg);
  const failed = await run({ ...command, args });
  assertEquals(failed.code, 1);
  assertMatch(failed.complaint, /^The demonstration failed\. Cannot listen on 127\.0\.0\.1:0: .*\n$/);
  const wrong = await run(await demo("--kep"));
  assertEquals([wrong.code, wrong.out, wrong.complaint], [2, "", "Usage: deno task demo [--keep]\n"]);
});
