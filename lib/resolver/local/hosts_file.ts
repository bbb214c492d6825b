/** The format of hosts(5), read as records. */

import { isIP } from "node:net";
import { IpAddress } from "../../net/ip_address.ts";
import { Type } from "../../dns/codes.ts";
import { parseName } from "../../dns/name.ts";
import { LOCAL_TTL } from "./local_data.ts";
import type { LocalRecord } from "./zone_data.ts";
import { addressBytes, reverseName } from "./reverse_name.ts";

/** The content of a hosts file. */
export interface Hosts {
  readonly records: LocalRecord[];
  /** Number of lines that are not understood. */
  readonly ignored: number;
}

/**
 * Reads lines of an address and its names, with comments after "#". The first name of an address is its canonical name,
 * the answer to PTR queries. No line is an error.
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
  const data = addressBytes(words);
  const names = texts.flatMap(parseHostName);
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

/** The name, or nothing for malformed names, the root and wildcards, which hosts files do not support. */
function parseHostName(text: string): Uint8Array[] {
  try {
    return text.startsWith("*") || text === "." ? [] : [parseName(text)];
  } catch {
    return [];
  }
}
