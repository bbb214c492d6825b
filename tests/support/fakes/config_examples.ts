import type { Key } from "../../../lib/config/options.ts";

/** As good as any other. */
export const PIN = "sha256/MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";

/** A key as a file may have it, the same on the command line, and a wrong form with its error. */
export type Example = readonly [accepted: string, args: string[], refused: string, complaint: string];

/** One for each key; the compiler sees to it. */
export const EXAMPLES: Readonly<Record<Key, Example>> = {
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
    `FILE:1: route: found a list, expected a table: "DOMAIN" = ["UPSTREAM"]`,
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
    `FILE:1: opportunistic: found the text "true", expected a boolean: true, false`,
  ],
  listen: [
    `listen = ["localhost:5353", "192.0.2.1"]`,
    ["--listen=localhost:5353", "--listen=192.0.2.1"],
    `listen = [53]`,
    `FILE:1: listen: found 53, expected text in quotes: an IP address or localhost (default port 53)`,
  ],
  ca: [`ca = "ca.pem"`, ["--ca=ca.pem"], `ca = ["ca.pem"]`, `FILE:1: ca: found a list, expected text`],
  "log-level": [
    `log-level = 'debug'`,
    ["--log-level=debug"],
    `log-level = 7`,
    `FILE:1: log-level: found 7, expected text in quotes: debug, info, warning, error`,
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
    `FILE:1: max-udp-size: found 1400.0, expected a number: 512 to 4096`,
  ],
  "tcp-idle-timeout": [
    `tcp-idle-timeout = "1m"`,
    ["--tcp-idle-timeout=1m"],
    `tcp-idle-timeout = 00:01:00`,
    `FILE:1: tcp-idle-timeout: found 00:01:00, expected text in quotes: 1s to 10m`,
  ],
  "max-tcp-clients": [
    `max-tcp-clients = 0x10`,
    ["--max-tcp-clients=16"],
    `max-tcp-clients = "16"`,
    `FILE:1: max-tcp-clients: found the text "16", expected a number: 1 to 50000`,
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
    `FILE:1: udp-batch: found false, expected text in quotes: auto, on, off`,
  ],
  workers: [
    `workers = 2`,
    ["--workers=2"],
    `workers = "auto"`,
    `FILE:1: workers: found the text "auto", expected a number: 1 to 64`,
  ],
  "client-subnet": [
    `client-subnet = "zero"`,
    ["--client-subnet=zero"],
    `client-subnet = "all"`,
    `FILE:1: client-subnet: "all" is not one of none, zero`,
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
    `FILE:1: max-ttl: found 0, expected text in quotes: 1s to 7d`,
  ],
  "serve-stale": [
    `serve-stale = "3d"`,
    ["--serve-stale=3d"],
    `serve-stale = false`,
    `FILE:1: serve-stale: found false, expected a number: 0, or 1m to 7d`,
  ],
  "rrset-order": [
    `rrset-order = "fixed"`,
    ["--rrset-order=fixed"],
    `rrset-order = "random"`,
    `FILE:1: rrset-order: "random" is not one of rotate, fixed`,
  ],
  dnssec: [
    `dnssec = "validate"`,
    ["--dnssec=validate"],
    `dnssec = "yes"`,
    `FILE:1: dnssec: "yes" is not one of pass, validate`,
  ],
  "trust-anchor": [
    `trust-anchor = ["root.key"]`,
    ["--trust-anchor=root.key"],
    `trust-anchor = ""`,
    "FILE:1: trust-anchor needs a value",
  ],
  "insecure-domain": [
    `insecure-domain = ["lab.example"]`,
    ["--insecure-domain=lab.example"],
    `insecure-domain = "a..b"`,
    `FILE:1: insecure-domain: "a..b" has a label of 0 bytes`,
  ],
  "state-dir": [
    `state-dir = "state"`,
    ["--state-dir=state"],
    `state-dir = ""`,
    "FILE:1: state-dir needs a value",
  ],
  allow: [
    `allow = ["private", "192.0.2.0/24"]`,
    ["--allow=private", "--allow=192.0.2.0/24"],
    `allow = ["any", true]`,
    "FILE:1: allow: found true, expected text in quotes: a network",
  ],
  deny: [`deny = "10.0.0.1"`, ["--deny=10.0.0.1"], `deny = "10.0.0.1/33"`, `FILE:1: deny: "10.0.0.1/33"`],
  "deny-answer": [
    `deny-answer = "silence"`,
    ["--deny-answer=silence"],
    `deny-answer = "drop"`,
    `FILE:1: deny-answer: "drop" is not one of refused, silence`,
  ],
  "rate-limit": [
    `rate-limit = "500/s:1000"`,
    ["--rate-limit=500/s:1000"],
    `rate-limit = 500`,
    "FILE:1: rate-limit: found 500, expected text in quotes: queries per second",
  ],
  "rate-limit-exempt": [
    `rate-limit-exempt = ["127.0.0.1"]`,
    ["--rate-limit-exempt=127.0.0.1"],
    `rate-limit-exempt = ["me"]`,
    `FILE:1: rate-limit-exempt: "me"`,
  ],
  hosts: [
    `hosts = ["/etc/hosts", "more"]`,
    ["--hosts=/etc/hosts", "--hosts=more"],
    `hosts = [["/etc/hosts"]]`,
    "FILE:1: hosts: found a list, expected text in quotes: a file",
  ],
  record: [
    `record = ["nas.lan A 192.0.2.7", "nas.lan 60 TXT 'a b'"]`,
    ["--record=nas.lan A 192.0.2.7", "--record=nas.lan 60 TXT 'a b'"],
    `record = ["nas.lan A 192.0.2"]`,
    "FILE:1: record: ",
  ],
  "canary-names": [
    `canary-names = "forward"`,
    ["--canary-names=forward"],
    `canary-names = "null"`,
    `FILE:1: canary-names: `,
  ],
  "special-names": [
    `special-names = "forward"`,
    ["--special-names=forward"],
    `special-names = true`,
    "FILE:1: special-names: found true, expected text in quotes: local, forward",
  ],
  block: [
    `block = ["ads=/lists/ads", "more"]`,
    ["--block=ads=/lists/ads", "--block=more"],
    `block = []`,
    "FILE:1: block: the list is empty; leave the key out",
  ],
  unblock: [
    `unblock = "work=/lists/work"`,
    ["--unblock=work=/lists/work"],
    `unblock = 1`,
    "FILE:1: unblock: found 1, expected text in quotes",
  ],
  "block-answer": [
    `block-answer = "null"`,
    ["--block-answer=null"],
    `block-answer = "nothing"`,
    `FILE:1: block-answer: "nothing" is not one of nxdomain, null, refused`,
  ],
  "rebind-protection": [
    `rebind-protection = true`,
    ["--rebind-protection"],
    `rebind-protection = "on"`,
    `FILE:1: rebind-protection: found the text "on", expected a boolean: true, false`,
  ],
  "rebind-allow": [
    `rebind-allow = ["corp.example"]`,
    ["--rebind-allow=corp.example"],
    `rebind-allow = ["a..b"]`,
    `FILE:1: rebind-allow: `,
  ],
  "filter-signed": [
    `filter-signed = true`,
    ["--filter-signed"],
    `filter-signed = "yes"`,
    `FILE:1: filter-signed: `,
  ],
  "filter-type": [
    `filter-type = ["AAAA", "TYPE65"]`,
    ["--filter-type=AAAA", "--filter-type=TYPE65"],
    `filter-type = [28]`,
    "FILE:1: filter-type: found 28, expected text in quotes: record types",
  ],
  admin: [
    `admin = "localhost:9000"`,
    ["--admin=localhost:9000"],
    `admin = "example.net"`,
    `FILE:1: admin: "example.net" is not an address of this host`,
  ],
  "admin-host": [
    `admin-host = ["dns.example.net", "ns"]`,
    ["--admin-host=dns.example.net", "--admin-host=ns"],
    `admin-host = ["dns.example.net:443"]`,
    `FILE:1: admin-host: "dns.example.net:443" is not a host name`,
  ],
  "admin-token-file": [
    `admin-token-file = "token"`,
    ["--admin-token-file=token"],
    `admin-token-file = { path = "token" }`,
    `FILE:1: admin-token-file: found a table, expected text in quotes: a file`,
  ],
  "query-log": [
    `query-log = "-"`,
    ["--query-log=-"],
    `query-log = true`,
    `FILE:1: query-log: found true, expected`,
  ],
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
