/** Options about what the operator sees: rows of the table in options.ts. */
import { oneOf, size } from "./option_kinds.ts";
import { parseAdmin } from "../own_address.ts";

function parseHostName(text: string): string[] {
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)*$/i.test(text)) return [text.toLowerCase()];
  throw new TypeError(
    `"${text}" is not a host name; write it as in dns.example.net, without scheme, port or path`,
  );
}

export const OPERATION_OPTIONS = {
  "log-level": {
    placeholder: "LEVEL",
    ...oneOf("debug", "info", "warning", "error"),
    fallback: "info",
    meaning: "The least severe messages to log.",
  },
  "log-format": {
    placeholder: "FORMAT",
    ...oneOf("text", "json"),
    fallback: "text",
    restart: true,
    meaning: "Lines for people, or one JSON object a line.",
  },
  admin: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address or localhost; port 9153 unless given",
    parse: parseAdmin,
    fallback: undefined,
    restart: true,
    meaning: "Where to serve metrics, health, status and the dashboard, over HTTP.",
  },
  "admin-token-file": {
    placeholder: "FILE",
    accepts: "a file",
    parse: (text: string) => [text],
    fallback: undefined,
    restart: true,
    meaning: "Holds the token that --admin asks for: needed where other hosts can reach it.",
  },
  "admin-host": {
    placeholder: "NAME",
    accepts: "a host name without a port",
    parse: parseHostName,
    fallback: undefined,
    repeatable: true,
    restart: true,
    meaning: "Name under which a reverse proxy shows --admin to its users; else it is found by address only.",
  },
  "query-log": {
    placeholder: "FILE",
    accepts: "a file, or - for standard output",
    parse: (text: string) => [text],
    fallback: undefined,
    restart: true,
    meaning: "Where to write a line for each answer, in the form of --log-format.",
  },
  "query-log-size": {
    placeholder: "SIZE",
    ...size("1MB", "10GB"),
    fallback: "100MB",
    restart: true,
    meaning: "When to put the query log's file aside and begin another; four old ones are kept.",
  },
  "query-detail": {
    placeholder: "DETAIL",
    ...oneOf("full", "masked", "none"),
    fallback: "full",
    restart: true,
    meaning:
      "What query log and dashboard tell of clients and names: all; clients cut to /24 and /56; neither.",
  },
} as const;
