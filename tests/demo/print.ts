/** Answers as dig prints them, and no longer than they need be. */
import { type Decoded, TYPE } from "../support/packets/packets.ts";

const WIDTH = 100;
const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const names = new Map<number, string>(Object.entries(TYPE).map(([name, number]) => [number, name]));

/** Prints the response, its transport and time, then the records. */
export function printAnswer(reply: Decoded, transport: string, octets: number, milliseconds: number): void {
  const { question, flags, answers, authority } = reply;
  const size = `${octets.toLocaleString("en")} octets`;
  const truncated = flags.tc ? ", truncated" : "";
  const time = `${milliseconds.toFixed(1)} ms`;
  console.log(
    `; ${question!.name}. ${names.get(question!.type)} over ${transport}: ${
      rcodeName(reply)
    }${truncated}, ${size}, ${time}`,
  );
  for (const { name, ttl, type, text } of [...answers, ...authority]) {
    console.log(
      shortened(`${`${name}.`.padEnd(20)} ${ttl}  IN  ${(names.get(type) ?? "").padEnd(5)}  ${text}`),
    );
  }
  console.log();
}

export function rcodeName({ rcode }: Decoded): string {
  return RCODES[rcode] ?? `RCODE${rcode}`;
}

function shortened(line: string): string {
  return line.length <= WIDTH
    ? line
    : `${line.slice(0, WIDTH)}… (${line.length.toLocaleString("en")} characters)`;
}
