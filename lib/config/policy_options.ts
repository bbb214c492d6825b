/** Options about who may ask, and about what is answered here: rows of the table in options.ts. */
import type { Rate } from "../frontend/token_buckets.ts";
import { typeCode } from "../dns/type_names.ts";
import { parseName } from "../dns/name_text.ts";
import { type Network, parseNetwork } from "../networks.ts";
import { boolean, oneOf } from "./option_kinds.ts";
import { parseRecord } from "../resolver/record_text.ts";

const NETWORK = "NETWORK";
const networks = {
  accepts:
    "a network (192.0.2.0/24, 2001:db8::/32) or address; private for loopback, private and link-local networks; any",
  parse: parseNetworks,
};
const file = { accepts: "a file", parse: (text: string) => [text] };

export const POLICY_OPTIONS = {
  allow: {
    placeholder: NETWORK,
    ...networks,
    fallback: "private",
    repeatable: true,
    meaning:
      "Clients that may ask. Of the networks of --allow and --deny that a client is in, the longest decides.",
  },
  deny: {
    placeholder: NETWORK,
    ...networks,
    fallback: undefined,
    repeatable: true,
    meaning: "Clients that may not ask.",
  },
  "deny-answer": {
    placeholder: "ANSWER",
    ...oneOf("refused", "silence"),
    fallback: "refused",
    meaning: "What clients get that may not ask.",
  },
  "rate-limit": {
    placeholder: "RATE/s[:BURST]",
    accepts: "queries per second, and how many more at once (as many unless given), as in 500/s:1000",
    parse: parseRate,
    fallback: undefined,
    meaning:
      "The most that one client (IPv4 address or IPv6 /56) may ask; beyond it, it is told to come by TCP, then nothing.",
  },
  "rate-limit-exempt": {
    placeholder: NETWORK,
    ...networks,
    fallback: undefined,
    repeatable: true,
    meaning: "Clients that --rate-limit does not concern.",
  },
  hosts: {
    placeholder: "FILE",
    ...file,
    fallback: undefined,
    repeatable: true,
    meaning:
      "Names and addresses to answer here, both ways, in the format of /etc/hosts; read again when it changes.",
  },
  record: {
    placeholder: "RECORD",
    accepts: "'NAME [TTL] TYPE DATA' with A, AAAA, CNAME, PTR, MX, SRV or TXT; *.NAME for all names below",
    parse: (text: string) => [parseRecord(text)],
    fallback: undefined,
    repeatable: true,
    meaning: "A record to answer here.",
  },
  "special-names": {
    placeholder: "WHERE",
    ...oneOf("local", "forward"),
    fallback: "local",
    meaning:
      "Where names without a place in the public DNS are answered, unless a --route has them: localhost, test, private addresses.",
  },
  "canary-names": {
    placeholder: "ANSWER",
    ...oneOf("nxdomain", "forward"),
    fallback: "nxdomain",
    meaning:
      "Answer for names by which browsers and systems ask whether to keep to this resolver: nxdomain for yes, unless a --record or --route has them.",
  },
  block: {
    placeholder: "[LABEL=]FILE",
    accepts: "a list: hosts format, domains, or ||domain^ rules",
    parse: parseList,
    fallback: undefined,
    repeatable: true,
    meaning: "Names not to resolve; read again when it changes. LABEL is what clients are told of it.",
  },
  unblock: {
    placeholder: "[LABEL=]FILE",
    accepts: "a list likewise",
    parse: parseList,
    fallback: undefined,
    repeatable: true,
    meaning: "Names to resolve whatever --block says.",
  },
  "block-answer": {
    placeholder: "ANSWER",
    ...oneOf("nxdomain", "null", "refused"),
    fallback: "nxdomain",
    meaning:
      "What is said of blocked names: that they do not exist, that they are at 0.0.0.0 and ::, or nothing.",
  },
  "rebind-protection": {
    placeholder: "BOOLEAN",
    ...boolean,
    fallback: "false",
    alone: "true",
    meaning: "Empty answers with private addresses, but those of --route and --rebind-allow.",
  },
  "rebind-allow": {
    placeholder: "DOMAIN",
    accepts: "a domain",
    parse: parseDomain,
    fallback: undefined,
    repeatable: true,
    meaning: "A domain whose names may have private addresses.",
  },
  "filter-type": {
    placeholder: "TYPE",
    accepts: "a record type, as in AAAA or TYPE65, or several with commas between",
    parse: parseTypes,
    fallback: undefined,
    repeatable: true,
    meaning:
      "Records to give out of no name but local ones: AAAA where IPv6 does not work. Hints of HTTPS and SVCB records go with their addresses.",
  },
  "filter-signed": {
    placeholder: "BOOLEAN",
    ...boolean,
    fallback: "false",
    alone: "true",
    meaning:
      "Filter signed answers for clients that ask for signatures, too; those that check them get no answer then.",
  },
} as const;

/** Loopback, private and link-local (RFC 1122 §3.2.1.3, RFC 1918, RFC 3927; RFC 4291 §2.5.3, RFC 4193, RFC 4291 §2.5.6). */
const PRIVATE = [
  ...["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"],
  ...["::1", "fc00::/7", "fe80::/10"],
];

export const PRIVATE_NETWORKS: readonly Network[] = PRIVATE.map(parseNetwork);

function parseNetworks(text: string): Network[] {
  if (text === "private") return [...PRIVATE_NETWORKS];
  return (text === "any" ? ["0.0.0.0/0", "::/0"] : [text]).map(parseNetwork);
}

function parseRate(text: string): Rate[] {
  const [, rate, burst = rate] = /^(\d{1,7})\/s(?::(\d{1,7}))?$/.exec(text) ?? [];
  const [perSecond, most] = [Number(rate), Number(burst)];
  if (perSecond >= 1 && most >= 1) return [{ perSecond, burst: most }];
  throw new TypeError(`"${text}" is no rate; write RATE/s or RATE/s:BURST, as in 500/s:1000`);
}

export interface ListOption {
  readonly label: string;
  readonly path: string;
}

function parseList(text: string): ListOption[] {
  const [, label, path = text] = /^([^=/]+)=(.+)$/s.exec(text) ?? [];
  return [{ label: label ?? path.replace(/^.*\//s, ""), path }];
}

function parseDomain(text: string): string[] {
  parseName(text);
  return [text];
}

function parseTypes(text: string): number[] {
  return text.split(",").map((name) => {
    const code = typeCode(name.trim());
    if (code === undefined) {
      throw new TypeError(`"${name}" is no record type; write its name, or TYPE and its number`);
    }
    return code;
  });
}
