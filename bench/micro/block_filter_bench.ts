/**
 * What two million names cost: to read, to keep, and per question: `deno bench --allow-read --allow-write bench/micro/block_filter_bench.ts`.
 * Names are asked for in random order, so that look-ups miss the processor's caches: the worst there is.
 */
import { Message } from "../../lib/dns/message.ts";
import { readLists } from "../../lib/resolver/blocklist/list_loader.ts";
import { query } from "../../tests/support/packets/packets.ts";

const NAMES = 2_000_000;
const ASKED = 1 << 16;

function nameOf(number: number): string {
  return `n${number.toString(36)}.ads${number % 1000}.example${number % 7}.com`;
}

/** As block lists are: a line for each. */
function writeList(): string {
  const path = Deno.makeTempFileSync();
  using file = Deno.openSync(path, { write: true });
  const utf8 = new TextEncoder();
  for (let i = 0; i < NAMES;) {
    let text = "";
    for (const end = i + 10_000; i < end; i++) text += `0.0.0.0 ${nameOf(i)}\n`;
    file.writeSync(utf8.encode(text));
  }
  return path;
}

const path = writeList();

async function timed(yields: boolean) {
  const before = Deno.memoryUsage().rss;
  let [last, longest] = [performance.now(), 0];
  const start = last;
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const { names } = await readLists([{ label: "ads", path, allows: false }], { yields, report: () => {} });
  clearInterval(timer);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const resident = Math.round((Deno.memoryUsage().rss - before) / 1e6);
  console.log(
    `${names.size} names ${yields ? "beside traffic" : "at the start"}: ${seconds} s, ` +
      `${Math.round(names.bytes / 1e6)} MB of tables, ${resident} MB resident, longest pause ${
        Math.round(longest)
      } ms`,
  );
  return names;
}

const first = await timed(false);
const names = await timed(true); // with the old ones still there, as in a reload
Deno.removeSync(path);
console.log(`both sets together: ${Math.round((first.bytes + names.bytes) / 1e6)} MB of tables`);

function questions(name: (number: number) => string): Message[] {
  return Array.from({ length: ASKED }, () => Message.parse(query(name(Math.floor(Math.random() * NAMES)))));
}

let next = 0;
for (
  const [what, messages] of [
    ["a blocked name", questions(nameOf)],
    ["another name", questions((i) => `www.site-${i}.example.org`)],
  ] as const
) {
  Deno.bench(`look up ${what}`, () => void names.findQuestion(messages[next = next + 1 & ASKED - 1]!));
}
