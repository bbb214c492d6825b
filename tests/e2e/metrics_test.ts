/** The metrics as Prometheus scrapes them, compared with the clients' counts. */
import { assert, assertEquals } from "../support/assert.ts";
import { dnsperf } from "./dnsperf.ts";
import { type OperatedProxy, startOperatedProxy } from "./operated_proxy.ts";
import { pathOf } from "./tools.ts";

const SECONDS = 3;
const RATE = 2000;

async function scrape({ url }: OperatedProxy): Promise<string> {
  const response = await fetch(`${url}metrics`);
  assertEquals([response.status, response.headers.get("content-type")], [
    200,
    "text/plain; version=0.0.4; charset=utf-8",
  ]);
  return await response.text();
}

/** The sum of the samples whose name and labels match. */
function sum(text: string, pattern: RegExp): number {
  return text.split("\n").filter((line) => pattern.test(line))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** Complaints of promtool. */
async function lint(text: string): Promise<string> {
  const args = ["check", "metrics"];
  const child = new Deno.Command(pathOf("promtool"), {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { stdout, stderr } = await child.output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

Deno.test("the metrics pass promtool's checks, and agree with dnsperf to the query", async () => {
  await using proxy = await startOperatedProxy(2);
  assertEquals(await lint(await scrape(proxy)), "");
  await using stack = new AsyncDisposableStack();
  const questions = await Deno.makeTempFile();
  stack.defer(() => Deno.remove(questions));
  const lines = Array.from({ length: 500 }, (_, i) => `n${i}.example.test ${i % 2 ? "A" : "AAAA"}`);
  await Deno.writeTextFile(questions, lines.join("\n") + "\n");
  let completed = 0;
  for (const mode of ["udp", "tcp"] as const) {
    const before = await scrape(proxy);
    const { address: { port } } = proxy;
    const load = await dnsperf({ port, mode, questions, seconds: SECONDS, rate: RATE });
    const after = await scrape(proxy);
    const answers = new RegExp(`^dot_proxy_queries_total\\{transport="${mode}"`);
    assertEquals(load.lost, 0, load.text);
    assertEquals(sum(after, answers) - sum(before, answers), load.completed);
    const noError = /^dot_proxy_queries_total\{.*rcode="NOERROR"/;
    assertEquals(sum(after, noError) - sum(before, noError), load.statuses.NOERROR);
    completed += load.completed;
  }
  const text = await scrape(proxy);
  assertEquals(await lint(text), "");
  assertEquals(sum(text, /^dot_proxy_query_duration_seconds_count/), completed);
  const exchanges = sum(text, /^dot_proxy_upstream_exchange_duration_seconds_count/);
  assertEquals(exchanges, proxy.servers.reduce((sum, { received }) => sum + received, 0));
  assert(sum(text, /^process_resident_memory_bytes/) > 1e7);
  assert(sum(text, /^process_cpu_seconds_total/) > 0);
});
