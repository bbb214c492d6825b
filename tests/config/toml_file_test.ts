import { Ajv } from "ajv";
import { getStaticTOMLValue, parseTOML } from "toml-eslint-parser";
import { composeConfig, type Config, parseConfig, readSources, UsageError } from "../../lib/config/config.ts";
import { jsonSchema } from "../../lib/config/schema.ts";
import { configText } from "../../lib/config/effective.ts";
import { KEYS } from "../../lib/config/options.ts";
import { parseUpstream } from "../../lib/upstream/address.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../support/assert.ts";
import { EXAMPLES, PIN } from "../support/fakes/config_examples.ts";

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

  /** The error text, without its directory. */
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

const schema = JSON.parse(jsonSchema());
const isValid = new Ajv({ allowUnionTypes: true }).compile(schema);

for (const key of KEYS) {
  const [accepted, args, refused, complaint] = EXAMPLES[key];

  Deno.test(`${key} in a file equals its command-line form, also for editors`, () => {
    assertEquals(parsed(accepted), parseConfig(args, {}));
    assert(isValid(getStaticTOMLValue(parseTOML(accepted))), JSON.stringify(isValid.errors));
  });

  Deno.test(`${key} with a wrong value in a file is an error with file, line, key, value found and values allowed`, () => {
    using file = new File(refused);
    assertStringIncludes(file.complaint, complaint);
  });
}

Deno.test("the JSON Schema rejects wrong types, ranges and unknown keys", () => {
  for (const wrong of [{ timeout: 4 }, { "max-udp-size": 1 }, { "cache-size": 5 }, { upstreem: "quad9" }]) {
    assertEquals(isValid(wrong), false, JSON.stringify(wrong));
  }
  assertEquals(isValid({ upstream: [{ "auth-name": "dns.example" }] }), false);
});

Deno.test("the JSON Schema is the one that is made from the options (deno task generate)", async () => {
  const file = new URL("../../deploy/dot-proxy.schema.json", import.meta.url);
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
  ["\n\nupstreem = 1", "FILE:3: upstreem: unknown key; did you mean upstream?"],
  ["config = 'other.toml'", "FILE:1: config: unknown key"],
  ["[listen]\naddress = '::1'", "FILE:1: listen: found a table, expected text in quotes"],
  ["upstream = [\n  '1.1.1.1',\n  '1.1.1.1:53',\n]", `FILE:3: upstream: "1.1.1.1:53" has the port 53`],
  ["\n[[upstream]]\nhots = '1.1.1.1'", "FILE:3: upstream.hots: unknown key; did you mean host?"],
  ["\n[[upstream]]\nport = 853", "FILE:2: upstream has no host: an IP address or a host name"],
  [
    "[[upstream]]\nhost = '1.1.1.1'\nweight = '3'",
    `FILE:3: upstream.weight: found the text "3", expected a number: its share of queries, relative to other upstreams`,
  ],
  ["[[upstream]]\nhost = '1.1.1.1'\npins = ['x']", `FILE:1: upstream: "x" is not a pin`],
  ["upstream = []", "FILE:1: upstream: the list is empty; leave the key out"],
  ["[route]\nlab = [\n1]", "FILE:3: route.lab: found 1, expected text in quotes"],
  [
    "[route]\ncorp.example = '10.0.0.1'",
    "FILE:2: route.corp has no host; write a domain with dots in quotes",
  ],
  ["[route]\n'a b' = '10.0.0.1'", `FILE:2: route."a b": "a b" in "a b=10.0.0.1" is not a domain`],
  ["listen = ['::1', '::1']", "FILE:1: listen names [::1]:53 twice; keep one of them"],
  ["timeout = '1s'\ntimeout = '2s'", "FILE:2: not valid TOML: Defining a key multiple times is invalid"],
  ["timeout = '1s", "FILE:1: not valid TOML: Unterminated string constant"],
  ["timeout = 1s", "FILE:1: not valid TOML: "],
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
