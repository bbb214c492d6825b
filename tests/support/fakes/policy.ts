import { parseNetwork } from "../../../lib/net/ip_network.ts";
import type { PolicyConfig } from "../../../lib/config/policy_config.ts";

/** Admits all clients and forwards every question, including special-use names such as `test`. */
export const OPEN: PolicyConfig = {
  allow: ["0.0.0.0/0", "::/0"].map(parseNetwork),
  deny: [],
  denyAnswer: "refused",
  rateLimit: undefined,
  rateLimitExempt: [],
  hosts: [],
  records: [],
  specialNames: "forward",
  canaryNames: "forward",
  lists: [],
  blockAnswer: "nxdomain",
  rebindProtection: false,
  rebindAllow: [],
  filterTypes: [],
  filterSigned: false,
};
