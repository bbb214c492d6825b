import { isIP } from "node:net";
import { IpAddress } from "../../net/ip_address.ts";
import { Type } from "../../dns/codes.ts";
import { parseName } from "../../dns/name.ts";
import { LOCAL_TTL } from "./local_data.ts";
import type { LocalRecord } from "./zone_data.ts";
import { addressOctets, reverseName } from "./reverse_name.ts";

/** What a hosts file says, as records; and how many of its lines say nothing that can be understood. */
export interface Hosts {
  readonly records: LocalRecord[];
  readonly ignored: number;
}

/**
 * Reads the format of hosts(5): an address and its names, comments after "#". The first name that an address has is the
 * canonical one, which questions for the address are answered with. No line is an error.
 */
export function parseHosts(text: string): Hosts {
  const records: LocalRecord[] = [];
  const seen = new Set<string>();
  let ignored = 0;
  for (const line of text.split(/\r?\n/)) {
    const [address = "", ...names] = line.replace(/#.*/s, "").trim().split(/\s+/);
    if (address === "") continue;
    const found = isIP(address) > 0 && !address.includes("%") ? parseLine(address, names) : [];
    if (found.length === 0) ignored++;
    for (const record of found) {
      const key = `${record.type} ${record.name} ${record.type === Type.PTR ? "" : record.data}`;
      if (!seen.has(key)) records.push(record);
      seen.add(key);
    }
  }
  return { records, ignored };
}

function parseLine(address: string, texts: readonly string[]): LocalRecord[] {
  const words = new IpAddress().read(address);
  const data = addressOctets(words);
  const names = texts.flatMap(plainName);
  const records = names.map((name) => ({
    name,
    type: words.isIpv4 ? Type.A : Type.AAAA,
    ttl: LOCAL_TTL,
    data,
  }));
  const [canonical] = names;
  return canonical
    ? [...records, { name: reverseName(words), type: Type.PTR, ttl: LOCAL_TTL, data: canonical }]
    : [];
}

/** Nothing for what is no name, nor for a wildcard, which hosts files do not have. */
function plainName(text: string): Uint8Array[] {
  try {
    return text.startsWith("*") || text === "." ? [] : [parseName(text)];
  } catch {
    return [];
  }
}
