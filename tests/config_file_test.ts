import { Ajv } from "ajv";
import { getStaticTOMLValue, parseTOML } from "toml-eslint-parser";
import { composeConfig, type Config, parseConfig, readSources, UsageError } from "../lib/config.ts";
import { jsonSchema } from "../lib/config_schema.ts";
import { configText } from "../lib/config_text.ts";
import { type Key, KEYS } from "../lib/options.ts";
import { parseUpstream } from "../lib/upstream/address.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "./support/assert.ts";

const PIN = "sha256/MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";

/** A configuration file that is gone in the end. */
class File implements Disposable {
  readonly path = Deno.makeTempFileSync({ suffix: ".toml" });

  constructor(text: string) {
    Deno.writeTextFileSync(this.path, text);
  }

  parse(args: string[] = [], environment: Record<string, string> = {}): Config {
    const config = parseConfig(["--config", this.path, ...args], environment);
    assert(typeof config === "object");
    return config;
  }

  /** What is said of it, without its directory. */
  get complaint(): string {
    const error = assertThrows(() => this.parse(), UsageError);
    return error.message.replaceAll(this.path, "FILE");
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path);
  }
}

function parsed(text: string): Config {
  using file = new File(text);
  return file.parse();
}

/** A key as a file may have it, the same on the command line, and as a file must not have it, with what is said then. */
type Example = readonly [accepted: string, args: string[], refused: string, complaint: string];

/** One for each key; the compiler sees to it. */
const EXAMPLES: Readonly<Record<Key, Example>> = {
  upstream: [
    `upstream = ["quad9", { host = "10.0.0.1", port = 8853, auth-name = "a.example", pins = ["${PIN}"], weight = 3 }]`,
    ["--upstream=quad9", `--upstream=10.0.0.1:8853#a.example?pin=${PIN}&weight=3`],
    `upstream = ["1.1.1.1:53"]`,
    `FILE:1: upstream: "1.1.1.1:53" has the port 53, which DNS over TLS cannot use`,
  ],
  strategy: [
    `strategy = "race"`,
    ["--strategy=race"],
    `strategy = "fast"`,
    `FILE:1: strategy: "fast" is not one of fastest, failover, round-robin`,
  ],
  route: [
    `route."corp.example" = ["10.0.0.53#a.corp.example", { host = "10.0.0.54" }]\nroute.lab = "10.1.0.1"`,
    [
      "--route=corp.example=10.0.0.53#a.corp.example",
      ...["--route=corp.example=10.0.0.54", "--route=lab=10.1.0.1"],
    ],
    `route = ["corp.example=10.0.0.53"]`,
    `FILE:1: route: found a list in place of a table: "DOMAIN" = ["UPSTREAM"]`,
  ],
  bootstrap: [
    `bootstrap = "9.9.9.9"`,
    ["--bootstrap=9.9.9.9"],
    `bootstrap = ["dns.google"]`,
    `FILE:1: bootstrap: "dns.google" would have to be looked up itself`,
  ],
  opportunistic: [
    `opportunistic = true`,
    ["--opportunistic"],
    `opportunistic = "true"`,
    `FILE:1: opportunistic: found the text "true" in place of a boolean: true, false`,
  ],
  listen: [
    `listen = ["localhost:5353", "192.0.2.1"]`,
    ["--listen=localhost:5353", "--listen=192.0.2.1"],
    `listen = [53]`,
    `FILE:1: listen: found 53 in place of text in quotes: an IP address or localhost; port 53 unless given`,
  ],
  ca: [`ca = "ca.pem"`, ["--ca=ca.pem"], `ca = ["ca.pem"]`, `FILE:1: ca: found a list in place of text`],
  "log-level": [
    `log-level = 'debug'`,
    ["--log-level=debug"],
    `log-level = 7`,
    `FILE:1: log-level: found 7 in place of text in quotes: debug, info, warning, error`,
  ],
  "log-format": [
    `log-format = "json"`,
    ["--log-format=json"],
    `log-format = "xml"`,
    `FILE:1: log-format: "xml" is not one of text, json`,
  ],
  timeout: [
    `timeout = "2s"`,
    ["--timeout=2s"],
    `timeout = "31s"`,
    `FILE:1: timeout: "31s" is not a duration from 500ms to 30s`,
  ],
  "max-udp-size": [
    `max-udp-size = 1_400`,
    ["--max-udp-size=1400"],
    `max-udp-size = 1400.0`,
    `FILE:1: max-udp-size: found 1400.0 in place of a number: 512 to 4096`,
  ],
  "tcp-idle-timeout": [
    `tcp-idle-timeout = "1m"`,
    ["--tcp-idle-timeout=1m"],
    `tcp-idle-timeout = 00:01:00`,
    `FILE:1: tcp-idle-timeout: found 00:01:00 in place of text in quotes: 1s to 10m`,
  ],
  "max-tcp-clients": [
    `max-tcp-clients = 0x10`,
    ["--max-tcp-clients=16"],
    `max-tcp-clients = "16"`,
    `FILE:1: max-tcp-clients: found the text "16" in place of a number: 1 to 50000`,
  ],
  "max-tcp-clients-per-address": [
    `max-tcp-clients-per-address = 3`,
    ["--max-tcp-clients-per-address=3"],
    `max-tcp-clients-per-address = 0`,
    `FILE:1: max-tcp-clients-per-address: "0" is not a whole number from 1 to 50000`,
  ],
  "udp-batch": [
    `udp-batch = "off"`,
    ["--udp-batch=off"],
    `udp-batch = false`,
    `FILE:1: udp-batch: found false in place of text in quotes: auto, on, off`,
  ],
  "max-in-flight": [
    `max-in-flight = 9`,
    ["--max-in-flight=9"],
    `max-in-flight = -9`,
    `FILE:1: max-in-flight: "-9" is not a whole number from 1 to 32768`,
  ],
  "cache-size": [
    `cache-size = "2GiB"`,
    ["--cache-size=2GiB"],
    `cache-size = 2`,
    `FILE:1: cache-size: "2" is not a size from 1MiB to 4GiB`,
  ],
  "min-ttl": [
    `min-ttl = 0`,
    ["--min-ttl=0"],
    `min-ttl = "2h"`,
    `FILE:1: min-ttl: "2h" is not a duration from 1s to 1h`,
  ],
  "max-ttl": [
    `max-ttl = "1h"`,
    ["--max-ttl=1h"],
    `max-ttl = 0`,
    `FILE:1: max-ttl: found 0 in place of text in quotes: 1s to 7d`,
  ],
  "serve-stale": [
    `serve-stale = "3d"`,
    ["--serve-stale=3d"],
    `serve-stale = false`,
    `FILE:1: serve-stale: found false in place of a number: 0, or 1m to 7d`,
  ],
  "state-dir": [
    `state-dir = "state"`,
    ["--state-dir=state"],
    `state-dir = ""`,
    "FILE:1: state-dir needs a value",
  ],
  admin: [
    `admin = "localhost:9000"`,
    ["--admin=localhost:9000"],
    `admin = "example.net"`,
    `FILE:1: admin: "example.net" is not an address of this host`,
  ],
  "admin-token-file": [
    `admin-token-file = "token"`,
    ["--admin-token-file=token"],
    `admin-token-file = { path = "token" }`,
    `FILE:1: admin-token-file: found a table in place of text in quotes: a file`,
  ],
  "query-log": [`query-log = "-"`, ["--query-log=-"], `query-log = true`, `FILE:1: query-log: found true in`],
  "query-log-size": [
    `query-log-size = "1GB"`,
    ["--query-log-size=1GB"],
    `query-log-size = "1 GB"`,
    `FILE:1: query-log-size: "1 GB" is not a size from 1MB to 10GB, with its unit`,
  ],
  "query-detail": [
    `query-detail = "masked"`,
    ["--query-detail=masked"],
    `query-detail = "some"`,
    `FILE:1: query-detail: "some" is not one of full, masked, none`,
  ],
};

const schema = JSON.parse(jsonSchema());
const isValid = new Ajv({ allowUnionTypes: true }).compile(schema);

for (const key of KEYS) {
  const [accepted, args, refused, complaint] = EXAMPLES[key];

  Deno.test(`${key} in a file is what it is on the command line, to editors too`, () => {
    assertEquals(parsed(accepted), parseConfig(args, {}));
    assert(isValid(getStaticTOMLValue(parseTOML(accepted))), JSON.stringify(isValid.errors));
  });

  Deno.test(`${key} in a file that is wrong is refused with file, line, key, what was found and what may be`, () => {
    using file = new File(refused);
    assertStringIncludes(file.complaint, complaint);
  });
}

Deno.test("editors are told of wrong types, ranges and unknown keys", () => {
  for (const wrong of [{ timeout: 4 }, { "max-udp-size": 1 }, { "cache-size": 5 }, { upstreem: "quad9" }]) {
    assertEquals(isValid(wrong), false, JSON.stringify(wrong));
  }
  assertEquals(isValid({ upstream: [{ "auth-name": "dns.example" }] }), false);
});

Deno.test("the JSON Schema is the one that is made from the options (deno task generate)", async () => {
  const file = new URL("../deploy/dot-proxy.schema.json", import.meta.url);
  assertEquals(await Deno.readTextFile(file), jsonSchema());
});

const WHOLE = `
# Groups of upstreams, one below the other
strategy = "failover"

[[upstream]]
host = "dns.example"
pins = "${PIN}"
cert = "/etc/own cert.pem"
key = "/etc/own.key"

[[upstream]]
host = "2620:fe::fe"
port = 8853
auth-name = "dns.quad9.net"

[route]
"corp.example" = ["10.0.0.53#dns.corp.example", "10.0.0.54#dns.corp.example"]
lab = { host = "10.1.0.1", weight = 2 }
`;

Deno.test("upstreams and routes can be tables", () => {
  const { strategy, upstreams, routes } = parsed(WHOLE);
  assertEquals(strategy, "failover");
  assertEquals(upstreams, [
    ...parseUpstream(`dns.example?pin=${PIN}&cert=/etc/own cert.pem&key=/etc/own.key`),
    ...parseUpstream("[2620:fe::fe]:8853#dns.quad9.net"),
  ]);
  assertEquals(routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label)]), [
    ["corp.example", ["10.0.0.53:853#dns.corp.example", "10.0.0.54:853#dns.corp.example"]],
    ["lab", ["10.1.0.1:853"]],
  ]);
});

Deno.test("for each option the command line wins over the environment, that over the file, and that over the default", () => {
  using file = new File(`timeout = "1s"\nstrategy = "random"\nlog-level = "error"\nupstream = "quad9"`);
  const environment = { DOT_PROXY_TIMEOUT: "2s", DOT_PROXY_STRATEGY: "race" };
  const config = file.parse(["--timeout=3s"], environment);
  const { timeout, strategy, logLevel, logFormat } = config;
  assertEquals([timeout, strategy, logLevel, logFormat], [3000, "race", "error", "text"]);
  assertEquals(config.upstreamsByDefault, false);
  assertEquals(file.parse(["--upstream=1.1.1.1"]).upstreams.length, 1, "lists are not added to each other");
  assertEquals(parseConfig([], { ...environment, DOT_PROXY_CONFIG: file.path }), file.parse([], environment));
});

const REFUSED: [text: string, complaint: string][] = [
  ["\n\nupstreem = 1", "FILE:3: upstreem: there is no such key; did you mean upstream?"],
  ["config = 'other.toml'", "FILE:1: config: there is no such key"],
  ["[listen]\naddress = '::1'", "FILE:1: listen: found a table in place of text in quotes"],
  ["upstream = [\n  '1.1.1.1',\n  '1.1.1.1:53',\n]", `FILE:3: upstream: "1.1.1.1:53" has the port 53`],
  ["\n[[upstream]]\nhots = '1.1.1.1'", "FILE:3: upstream.hots: there is no such key; did you mean host?"],
  ["\n[[upstream]]\nport = 853", "FILE:2: upstream has no host: an IP address or a host name"],
  [
    "[[upstream]]\nhost = '1.1.1.1'\nweight = '3'",
    `FILE:3: upstream.weight: found the text "3" in place of a number: its share in relation to others`,
  ],
  ["[[upstream]]\nhost = '1.1.1.1'\npins = ['x']", `FILE:1: upstream: "x" is not a pin`],
  ["upstream = []", "FILE:1: upstream: the list is empty; leave the key out"],
  ["[route]\nlab = [\n1]", "FILE:3: route.lab: found 1 in place of text in quotes"],
  ["[route]\n'a b' = '10.0.0.1'", `FILE:2: route."a b": "a b" in "a b=10.0.0.1" is not a domain`],
  ["listen = ['::1', '::1']", "FILE:1: listen names [::1]:53 twice; keep one of them"],
  ["timeout = '1s'\ntimeout = '2s'", "FILE:2: this is not TOML: Defining a key multiple times is invalid"],
  ["timeout = '1s", "FILE:1: this is not TOML: Unterminated string constant"],
  ["timeout = 1s", "FILE:1: this is not TOML: "],
];

Deno.test("a file that cannot be meant is refused with its line, the key, and the nearest one that is known", () => {
  for (const [text, complaint] of REFUSED) {
    using file = new File(text);
    assertStringIncludes(file.complaint, complaint);
  }
});

Deno.test("a file that is not there is refused", () => {
  assertThrows(
    () => parseConfig(["--config=/not/there.toml"], {}),
    UsageError,
    `cannot read "/not/there.toml"`,
  );
});

Deno.test("the configuration in force, written as a file, is the same again", () => {
  using file = new File(WHOLE);
  for (
    const args of [[], [`--config=${file.path}`, "--opportunistic", '--ca=a"b\\c\n\x7f', "--min-ttl=1s"]]
  ) {
    const sources = readSources(args, { DOT_PROXY_LISTEN: "127.0.0.1:5353,[::1]:5353" });
    assert(typeof sources === "function");
    const { upstreamsByDefault: _, ...config } = composeConfig(sources);
    const { upstreamsByDefault: __, ...again } = parsed(configText(sources));
    assertEquals(again, config);
  }
});
