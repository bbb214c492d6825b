/**
 * Sources of local data: configured records, hosts files, special-use names and canary names. A configured record hides
 * the records of hosts files with the same name.
 */

import { parse } from "tldts";
import type { Observe } from "../../core/event.ts";
import { nameToString } from "../../dns/name.ts";
import { readInputFileLater, readTextFile, unreadable } from "../../platform/read_file.ts";
import { type Hosts, parseHosts } from "./hosts_file.ts";
import { addCanaryNames, addSpecialNames, isSpecial } from "./special_use_names.ts";
import { type LocalRecord, ZoneData } from "./zone_data.ts";

const OPTION = "--hosts";

/** The configuration of local data. */
export interface LocalSources {
  readonly records: readonly LocalRecord[];
  readonly specialNames: "local" | "forward";
  readonly canaryNames: "nxdomain" | "forward";
}

/** Combines all sources. `routes`: domains in lower case that have upstreams of their own. */
export function composeZoneData(
  { records, specialNames, canaryNames }: LocalSources,
  hosts: readonly Hosts[],
  routes: readonly string[],
): ZoneData {
  const data = new ZoneData();
  const configured = new Set(records.map(({ name }) => String(name)));
  const fromFiles = hosts.flatMap(({ records }) => records).filter(({ name }) =>
    !configured.has(String(name))
  );
  for (const record of [...records, ...fromFiles]) data.add(record, isPublic(record));
  if (specialNames === "local") addSpecialNames(data, routes);
  if (canaryNames === "nxdomain") addCanaryNames(data, routes);
  return data;
}

/** Reads hosts files before the proxy answers queries, and blocks until then. Throws `UsageError`. */
export function readHostsFiles(paths: readonly string[], observe: Observe): Hosts[] {
  return paths.map((path) => parseReported(path, readTextFile(OPTION, path), observe));
}

/** Reads hosts files while the proxy answers queries. Rejects with `UsageError`. */
export async function rereadHostsFiles(paths: readonly string[], observe: Observe): Promise<Hosts[]> {
  const hosts: Hosts[] = [];
  for (const path of paths) hosts.push(parseReported(path, await readInputFileLater(OPTION, path), observe));
  return hosts;
}

function parseReported(path: string, text: string, observe: Observe): Hosts {
  const hosts = parseHosts(text);
  if (hosts.records.length === 0 && hosts.ignored > 0) {
    throw unreadable(OPTION, path, new Error("no line of it can be understood"));
  }
  const names = new Set(hosts.records.map(({ name }) => String(name))).size;
  observe({ kind: "list loaded", label: path, names, ignored: hosts.ignored });
  return hosts;
}

/** Whether the public DNS may have another answer: the name is below a suffix under which anyone can register. */
function isPublic({ name }: LocalRecord): boolean {
  const text = nameToString(name, 0).replace(/\.$/, "");
  return parse(text).isIcann === true && !isSpecial(text);
}
