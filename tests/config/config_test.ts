import { type Config, helpText, optionTable, parseConfig, UsageError } from "../../lib/config/config.ts";
import { parseUpstream } from "../../lib/upstream/address.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../support/assert.ts";

function parsed(args: string[], environment: Record<string, string> = {}): Config {
  const config = parseConfig(args, environment);
  assert(typeof config === "object");
  return config;
}

function labels(config: Config): string[] {
  return config.upstreams.map((each) => each.label);
}

Deno.test("the defaults are a complete configuration, on both loopback addresses", () => {
  const { upstreams, policy: _, ...rest } = parsed([]);
  assertEquals(upstreams.map((each) => each.host), [
    "1.1.1.1",
    "1.0.0.1",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
  ]);
  assertEquals(rest, {
    upstreamsByDefault: true,
    strategy: "fastest",
    routes: [],
    bootstrap: [],
    opportunistic: false,
    listen: [
      { hostname: "127.0.0.1", port: 53, required: false },
      { hostname: "::1", port: 53, required: false },
    ],
    ca: undefined,
    logLevel: "info",
    logFormat: "text",
    timeout: 4000,
    maxUdpSize: 1232,
    tcpIdleTimeout: 10_000,
    maxTcpClients: 1000,
    maxTcpClientsPerAddress: 100,
    maxInFlight: 4096,
    clientSubnet: "none",
    udpBatch: "auto",
    workers: 1,
    cacheSize: 64 * 2 ** 20,
    minTtl: 0,
    maxTtl: 86_400_000,
    serveStale: 86_400_000,
    rrsetOrder: "rotate",
    dnssec: "pass",
    trustAnchorFiles: [],
    trustAnchors: [],
    insecureDomains: [],
    stateDir: undefined,
    admin: undefined,
    adminTokenFile: undefined,
    adminHosts: [],
    queryLog: undefined,
    queryLogSize: 100_000_000,
    queryDetail: "full",
  });
});

const LINE = [
  ...["--upstream", "1.1.1.1:853", "--upstream=quad9", "--listen", "[::]:5353", "--listen=0.0.0.0"],
  ...["--ca", "ca.pem", "--log-level", "debug", "--log-format=json", "--timeout", "1500ms"],
  ...["--max-udp-size", "512", "--tcp-idle-timeout", "1m", "--max-tcp-clients", "7"],
  ...["--max-tcp-clients-per-address=3", "--max-in-flight", "9", "--workers", "2"],
  ...["--client-subnet=zero", "--rrset-order=fixed", "--dnssec=validate", "--trust-anchor=root.key"],
  ...["--insecure-domain=lab.example", "--insecure-domain=ntp.example"],
  ...["--cache-size=2GiB", "--min-ttl=30s", "--max-ttl=1h", "--serve-stale=3d", "--state-dir=state"],
  ...["--admin", "[::]", "--query-log=-"],
  ...["--strategy", "sharded", "--route", "Corp.Example.=10.0.0.53#a.corp.example", "--opportunistic"],
  ...["--route", "lab=10.1.0.1", "--route=corp.example=10.0.0.54?weight=2", "--bootstrap", "9.9.9.9"],
  ...["--bootstrap=tls://[2620:fe::fe]#dns.quad9.net"],
  ...[
    "--admin-host",
    "DNS.example.net",
    "--admin-host",
    "ns",
    "--admin-token-file",
    "token",
    "--query-log-size",
    "1GB",
    "--query-detail",
    "masked",
  ],
];

const ENVIRONMENT = {
  DOT_PROXY_UPSTREAM: "1.1.1.1:853, quad9",
  DOT_PROXY_STRATEGY: "sharded",
  DOT_PROXY_ROUTE: "corp.example=10.0.0.53#a.corp.example, lab=10.1.0.1, corp.example=10.0.0.54?weight=2",
  DOT_PROXY_BOOTSTRAP: "9.9.9.9:53,tls://[2620:fe::fe]:853#dns.quad9.net",
  DOT_PROXY_OPPORTUNISTIC: "true",
  DOT_PROXY_LISTEN: "[::]:5353,0.0.0.0",
  DOT_PROXY_CA: "ca.pem",
  DOT_PROXY_LOG_LEVEL: "debug",
  DOT_PROXY_LOG_FORMAT: "json",
  DOT_PROXY_TIMEOUT: "1500ms",
  DOT_PROXY_MAX_UDP_SIZE: "512",
  DOT_PROXY_TCP_IDLE_TIMEOUT: "1m",
  DOT_PROXY_MAX_TCP_CLIENTS: "7",
  DOT_PROXY_MAX_TCP_CLIENTS_PER_ADDRESS: "3",
  DOT_PROXY_MAX_IN_FLIGHT: "9",
  DOT_PROXY_CLIENT_SUBNET: "zero",
  DOT_PROXY_WORKERS: "2",
  DOT_PROXY_CACHE_SIZE: "2GiB",
  DOT_PROXY_MIN_TTL: "30s",
  DOT_PROXY_MAX_TTL: "1h",
  DOT_PROXY_SERVE_STALE: "3d",
  DOT_PROXY_RRSET_ORDER: "fixed",
  DOT_PROXY_DNSSEC: "validate",
  DOT_PROXY_TRUST_ANCHOR: "root.key",
  DOT_PROXY_INSECURE_DOMAIN: "lab.example,ntp.example",
  DOT_PROXY_STATE_DIR: "state",
  DOT_PROXY_ADMIN: "[::]:9153",
  DOT_PROXY_ADMIN_TOKEN_FILE: "token",
  DOT_PROXY_ADMIN_HOST: "DNS.example.net,ns",
  DOT_PROXY_QUERY_LOG: "-",
  DOT_PROXY_QUERY_LOG_SIZE: "1000MB",
  DOT_PROXY_QUERY_DETAIL: "masked",
  PATH: "/bin",
};

Deno.test("the command line and the environment set the same options", () => {
  const { upstreams, policy: _, ...rest } = parsed(LINE);
  assertEquals(upstreams.map((each) => each.host), [
    "1.1.1.1",
    "9.9.9.9",
    "149.112.112.112",
    "2620:fe::fe",
    "2620:fe::9",
  ]);
  assertEquals(rest, {
    upstreamsByDefault: false,
    strategy: "sharded",
    routes: [
      {
        domain: "corp.example",
        upstreams: [...parseUpstream("10.0.0.53#a.corp.example"), ...parseUpstream("10.0.0.54?weight=2")],
      },
      { domain: "lab", upstreams: parseUpstream("10.1.0.1") },
    ],
    bootstrap: [
      { kind: "plain", host: "9.9.9.9", port: 53 },
      { kind: "tls", upstream: parseUpstream("[2620:fe::fe]#dns.quad9.net")[0]! },
    ],
    opportunistic: true,
    listen: [
      { hostname: "::", port: 5353, required: true },
      { hostname: "0.0.0.0", port: 53, required: true },
    ],
    ca: "ca.pem",
    logLevel: "debug",
    logFormat: "json",
    timeout: 1500,
    maxUdpSize: 512,
    tcpIdleTimeout: 60_000,
    maxTcpClients: 7,
    maxTcpClientsPerAddress: 3,
    maxInFlight: 9,
    clientSubnet: "zero",
    udpBatch: "auto",
    workers: 2,
    cacheSize: 2 ** 31,
    minTtl: 30_000,
    maxTtl: 3_600_000,
    serveStale: 259_200_000,
    rrsetOrder: "fixed",
    dnssec: "validate",
    trustAnchorFiles: ["root.key"],
    trustAnchors: [],
    insecureDomains: ["lab.example", "ntp.example"],
    stateDir: "state",
    admin: { hostname: "::", port: 9153 },
    adminTokenFile: "token",
    adminHosts: ["dns.example.net", "ns"],
    queryLog: "-",
    queryLogSize: 1e9,
    queryDetail: "masked",
  });
  assertEquals(parsed([], ENVIRONMENT), parsed(LINE));
});

Deno.test("the command line wins over the environment, option by option", () => {
  const config = parsed(["--upstream", "8.8.8.8", "--timeout=2s"], ENVIRONMENT);
  assertEquals(labels(config), ["8.8.8.8:853"]);
  assertEquals(config.timeout, 2000);
  assertEquals(config.logFormat, "json");
});

Deno.test("localhost is the loopbacks that the host has, on the port that was asked for", () => {
  assertEquals(parsed(["--listen", "localhost:5353"]).listen, [
    { hostname: "127.0.0.1", port: 5353, required: false },
    { hostname: "::1", port: 5353, required: false },
  ]);
});

Deno.test("help and version are answered whatever else is asked", () => {
  for (const args of [["--help"], ["-h"], ["--upstream=", "--help"], ["--help", "--version"]]) {
    assertEquals(parseConfig(args, { DOT_PROXY_TYPO: "1" }), "help");
  }
  assertEquals(parseConfig(["--version"], {}), "version");
});

const LINES_REFUSED: [args: string[], message: string][] = [
  [["--upstreem", "1.1.1.1"], "Unknown option --upstreem; did you mean --upstream? see --help"],
  [["--log-levle=debug"], "Unknown option --log-levle; did you mean --log-level?"],
  [["--halp"], "did you mean --help?"],
  [["-upstream", "1.1.1.1"], "Unknown option -upstream; did you mean --upstream?"],
  [["-v"], "Unknown option -v"],
  [["--no-help"], "Unknown option --no-help"],
  [["--no-upstream=1.1.1.1"], "Unknown option --no-upstream; did you mean --upstream?"],
  [["--upstream.host=1.1.1.1"], "Unknown option --upstream.host"],
  [["--__proto__=1"], "Unknown option --__proto__"],
  [["8.8.8.8"], `Unexpected argument "8.8.8.8": write a value after its option, as in --upstream 8.8.8.8`],
  [["--upstream", "1.1.1.1", "8.8.8.8"], `Unexpected argument "8.8.8.8"`],
  [["--", "8.8.8.8"], `Unexpected argument "8.8.8.8"`],
  [["--upstream", ""], `Unexpected argument "": the command line may use a variable that is not set`],
  [["--upstream="], "--upstream needs a value; write --upstream=UPSTREAM or leave it out"],
  [["--upstream"], "--upstream needs a value"],
  [["--ca", "--log-level", "debug"], "--ca needs a value; write --ca=FILE"],
  [["--timeout", "1s", "--timeout", "2s"], "--timeout is given 2 times; keep one of them"],
  [
    ["--upstream", "cloudflare", "--upstream", "1.1.1.1#cloudflare-dns.com"],
    "names 1.1.1.1:853#cloudflare-dns.com twice",
  ],
  [["--listen", "[::1]", "--listen", "localhost:53"], "--listen names [::1]:53 twice; keep one of them"],
  [["--upstream", "1.1.1.1:53"], `--upstream: "1.1.1.1:53" has the port 53`],
  [
    ["--listen", "example.net"],
    `--listen: "example.net" is not an address of this host; write an IP address or localhost`,
  ],
  [["--listen", "::1:53"], `--listen: "::1:53" can be read in two ways`],
  [["--strategy", "fast"], `--strategy: "fast" is not one of fastest, failover, round-robin`],
  [["--opportunistic=no"], `--opportunistic: "no" is not one of true, false`],
  [["--opportunistic", "1.1.1.1"], `--opportunistic: "1.1.1.1" is not one of true, false`],
  [["--route", "10.0.0.53"], `--route: "10.0.0.53" has no domain; write DOMAIN=UPSTREAM for each`],
  [["--route", `1.1.1.1?pin=sha256/x`], "has no domain"],
  [["--route", "=10.0.0.53"], `"" in "=10.0.0.53" is not a domain`],
  [["--route", ".=10.0.0.53"], "is not a domain"],
  [["--route", "a..b=10.0.0.53"], "is not a domain"],
  [["--route", "corp="], "--route: HOST is empty"],
  [["--route", "corp=10.0.0.53,10.0.0.54"], `--route: "10.0.0.53,10.0.0.54" is neither`],
  [
    ["--route", "corp=10.0.0.53", "--route", "corp=10.0.0.53"],
    "--route names 10.0.0.53:853 for corp twice; keep one of them",
  ],
  [
    ["--upstream", "10.0.0.53?weight=2", "--route", "corp=10.0.0.53"],
    "10.0.0.53:853 is given with different parameters",
  ],
  [["--bootstrap", "dns.google"], `--bootstrap: "dns.google" would have to be looked up itself`],
  [["--bootstrap", "tls://dns.google"], "would have to be looked up itself"],
  [["--bootstrap", "tls://9.9.9.9:53"], "has the port 53, which DNS over TLS cannot use"],
  [["--bootstrap", "9.9.9.9", "--bootstrap", "9.9.9.9:53"], "--bootstrap names 9.9.9.9:53 twice"],
  [["--listen", "127.0.0.1:x"], `--listen: "127.0.0.1:x" has the port "x"`],
  [["--log-level", "warn"], `--log-level: "warn" is not one of debug, info, warning, error`],
  [
    ["--timeout", "4"],
    `--timeout: "4" is not a duration from 500ms to 30s, with its unit (ms, s, m, h or d)`,
  ],
  [["--timeout", "31s"], "is not a duration from 500ms to 30s"],
  [["--timeout", "1.5s"], "is not a duration"],
  [["--timeout=-1s"], "is not a duration"],
  [["--max-udp-size", "511"], `--max-udp-size: "511" is not a whole number from 512 to 4096`],
  [["--max-udp-size", "4097"], "is not a whole number from 512 to 4096"],
  [["--max-in-flight", "1e3"], `"1e3" is not a whole number`],
  [["--max-in-flight", "0x10"], `"0x10" is not a whole number`],
  [["--cache-size", "63"], `"63" is not a size from 1MiB to 4GiB`],
  [["--cache-size", "512KiB"], `"512KiB" is not a size from 1MiB to 4GiB`],
  [["--serve-stale", "8d"], `"8d" is not a duration from 1m to 7d`],
  [["--min-ttl", "1m", "--max-ttl", "30s"], "--min-ttl is longer than --max-ttl"],
  [["--max-tcp-clients", "0"], "is not a whole number from 1 to 50000"],
  [
    ["--admin", "0.0.0.0"],
    "--admin: other hosts can reach 0.0.0.0:9153; protect it with --admin-token-file FILE, or use localhost",
  ],
  [["--admin", "192.0.2.1:80"], "other hosts can reach 192.0.2.1:80"],
  [["--admin-host", "https://a/"], `--admin-host: "https://a/" is not a host name`],
  [["--admin", "example.net"], `--admin: "example.net" is not an address of this host`],
  [
    ["--query-log-size", "999kB"],
    `"999kB" is not a size from 1MB to 10GB, with its unit (such as MB or MiB)`,
  ],
  [["--query-log-size", "100"], `"100" is not a size`],
  [["--query-detail", "some"], `"some" is not one of full, masked, none`],
];

Deno.test("a command line that cannot be meant is refused with the value, the reason and the remedy", () => {
  for (const [args, message] of LINES_REFUSED) assertThrows(() => parseConfig(args, {}), UsageError, message);
});

Deno.test("aliases of --record in a circle are refused, those that leave it are not (F7)", () => {
  const records = (...texts: string[]) => texts.flatMap((text) => ["--record", text]);
  const circles: [string[], string][] = [
    [["a.lan CNAME b.lan", "B.lan CNAME A.lan"], "a.lan. → b.lan. → a.lan."],
    [["x.lan CNAME a.lan", "a.lan CNAME b.lan", "b.lan CNAME a.lan"], "x.lan. → a.lan. → b.lan. → a.lan."],
    [["*.a.lan CNAME x.b.lan", "*.b.lan CNAME y.a.lan"], "x.b.lan. → y.a.lan. → x.b.lan."],
    [["*.a.lan CNAME b.lan", "b.lan CNAME x.a.lan"], "b.lan. → x.a.lan. → b.lan."],
  ];
  for (const [texts, circle] of circles) {
    const message = `${circle} form a loop; point one of them to another name`;
    assertThrows(() => parsed(records(...texts)), UsageError, message);
  }
  const straight = [
    ["a.lan CNAME a.lan"],
    ["*.a.lan CNAME x.a.lan"],
    ["*.a.lan CNAME x.a.lan", "y.a.lan CNAME z.a.lan"],
    ["*.a.lan CNAME x.a.lan", "x.a.lan CNAME b.lan", "b.lan A 10.0.0.1"],
  ];
  for (const texts of straight) assertEquals(parsed(records(...texts)).policy.records.length, texts.length);
});

const ENVIRONMENTS_REFUSED: [environment: Record<string, string>, message: string][] = [
  [
    { DOT_PROXY_UPSTREEM: "x" },
    "Unknown environment variable DOT_PROXY_UPSTREEM; did you mean DOT_PROXY_UPSTREAM?",
  ],
  [{ DOT_PROXY_PORT: "53" }, "Unknown environment variable DOT_PROXY_PORT"],
  [
    { DOT_PROXY_UPSTREAM: "" },
    "DOT_PROXY_UPSTREAM needs a value; write DOT_PROXY_UPSTREAM=UPSTREAM or leave it out",
  ],
  [{ DOT_PROXY_UPSTREAM: "1.1.1.1,," }, "DOT_PROXY_UPSTREAM needs a value"],
  [{ DOT_PROXY_TIMEOUT: "1s,2s" }, `DOT_PROXY_TIMEOUT: "1s,2s" is not a duration`],
  [{ DOT_PROXY_OPPORTUNISTIC: "" }, "DOT_PROXY_OPPORTUNISTIC needs a value"],
  [{ DOT_PROXY_ROUTE: "corp=10.0.0.53,10.0.0.54" }, `DOT_PROXY_ROUTE: "10.0.0.54" has no domain`],
  [{ DOT_PROXY_LISTEN: "nowhere" }, `DOT_PROXY_LISTEN: "nowhere" is not an address of this host`],
];

Deno.test("an environment that cannot be meant is refused like a command line", () => {
  for (const [environment, message] of ENVIRONMENTS_REFUSED) {
    assertThrows(() => parseConfig([], environment), UsageError, message);
  }
});

Deno.test("variables that Kubernetes makes for a service named dot-proxy are no error", () => {
  const links = {
    DOT_PROXY_SERVICE_HOST: "10.0.0.1",
    DOT_PROXY_SERVICE_PORT: "53",
    DOT_PROXY_SERVICE_PORT_DNS_TCP: "53",
    DOT_PROXY_PORT: "udp://10.0.0.1:53",
    DOT_PROXY_PORT_53_UDP: "udp://10.0.0.1:53",
    DOT_PROXY_PORT_53_UDP_PROTO: "udp",
    DOT_PROXY_PORT_53_UDP_PORT: "53",
    DOT_PROXY_PORT_53_TCP_ADDR: "10.0.0.1",
    DOT_PROXY_METRICS_SERVICE_HOST: "10.0.0.2",
    DOT_PROXY_METRICS_PORT: "tcp://10.0.0.2:9153",
  };
  assertEquals(parsed([], links), parsed([]));
});

Deno.test("the help text names every option of the table with its default, in 80 columns", () => {
  const text = helpText();
  for (const [, option = ""] of optionTable().matchAll(/`(--[a-z-]+)`/g)) {
    assertStringIncludes(text, `${option} `);
  }
  assertStringIncludes(text, "Default: 4s.");
  for (const line of text.split("\n")) assert(line.length <= 80, line);
});

Deno.test("docs/options.md has the table that is made from the options", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/options.md", import.meta.url));
  const [, table] = /<!-- options -->\n(.*?)<!-- \/options -->/s.exec(page) ?? [];
  assertEquals(table, optionTable());
});

Deno.test("a dash alone is a value where it follows an option, as README writes it", () => {
  for (const args of [["--query-log", "-"], ["--query-log=-"], ["--timeout", "3s", "--query-log", "-"]]) {
    assertEquals((parseConfig(args, {}) as Config).queryLog, "-");
  }
  assertThrows(() => parseConfig(["-"], {}), UsageError, 'Unexpected argument "-"');
});
