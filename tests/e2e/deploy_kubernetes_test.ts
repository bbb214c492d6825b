/** The Kubernetes manifests, against the API's schemas and types, and against the program's options. */
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import metadata from "../../deno.json" with { type: "json" };
import { parseConfig } from "../../lib/config/config.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const DIRECTORY = join(ROOT, "deploy/kubernetes");
const VARIANTS = { deployment: "Deployment", daemonset: "DaemonSet" } as const;
/** Seconds that main.ts gives itself to stop. */
const STOP_LIMIT = 5;

// deno-lint-ignore no-explicit-any -- its schema was checked for the fields used below
type Manifest = any;
type Folder = "base" | keyof typeof VARIANTS;

Deno.test("the manifests are valid against the schemas of the Kubernetes API", async () => {
  for (const manifest of await allManifests()) {
    const { [manifest.kind]: Model } = await import(moduleOf(manifest));
    new Model(manifest).validate();
  }
});

// The schemas let unknown fields pass, and so does an API server that is not asked to validate; the types do not.
Deno.test("the manifests have no field that the Kubernetes API does not know", async () => {
  assertEquals(await complaints(await allManifests()), "");
  const [service] = await manifests("base", "Service");
  const complaint = await complaints([{ ...service, spec: { ...service.spec, port: 53 } }]);
  assertMatch(complaint, /"port"' does not exist in type/);
});

Deno.test("each kustomization takes all that lies beside it", async () => {
  for (const folder of ["base", ...Object.keys(VARIANTS)]) {
    const { resources } = await kustomization(folder as Folder);
    const files = Array.from(Deno.readDirSync(join(DIRECTORY, folder)), ({ name }) => name);
    const beside = files.filter((name) => name.endsWith(".yaml") && name !== "kustomization.yaml");
    assertEquals(resources.filter((each: string) => each !== "../base").sort(), beside.sort());
    assertEquals(resources.includes("../base"), folder !== "base");
  }
});

Deno.test("both variants run the same pod, but for where it is placed", async () => {
  const [deployment, daemonset] = await Promise.all([workload("deployment"), workload("daemonset")]);
  const { priorityClassName: _, topologySpreadConstraints: spread, ...one } = deployment.spec.template.spec;
  const { priorityClassName: __, tolerations, ...other } = daemonset.spec.template.spec;
  assertEquals(one, other);
  assertEquals(tolerations, [{ operator: "Exists" }]);
  assertEquals(spread.length, 2);
});

Deno.test("whatever selects pods selects these", async () => {
  const [service] = await manifests("base", "Service");
  const [policy] = await manifests("base", "NetworkPolicy");
  const [budget] = await manifests("deployment", "PodDisruptionBudget");
  for (const variant of Object.keys(VARIANTS) as (keyof typeof VARIANTS)[]) {
    const { selector, template } = (await workload(variant)).spec;
    const { labels } = template.metadata;
    const spread: Manifest[] = template.spec.topologySpreadConstraints ?? [];
    assertEquals(service.spec.selector, labels);
    for (const each of [selector, policy.spec.podSelector, budget.spec.selector]) {
      assertEquals(each, { matchLabels: labels });
    }
    for (const { labelSelector } of spread) assertEquals(labelSelector, { matchLabels: labels });
  }
});

Deno.test("port 53 of the Service leads to where the program listens, and the network policy lets it pass", async () => {
  const config = parseConfig([], await environment());
  assert(typeof config === "object");
  const listening = new Set(config.listen.map(({ port }) => port));
  assertEquals(listening.size, 1);
  const [port = 0] = listening;
  assert(port > 1023, "the user has no capability");
  const [service] = await manifests("base", "Service");
  const [{ ports }] = (await pod()).containers;
  assertEquals(ports, [
    { name: "dns-udp", protocol: "UDP", containerPort: port },
    { name: "dns-tcp", protocol: "TCP", containerPort: port },
  ]);
  assertEquals(service.spec.ports, [
    { name: "dns-udp", protocol: "UDP", port: 53, targetPort: "dns-udp" },
    { name: "dns-tcp", protocol: "TCP", port: 53, targetPort: "dns-tcp" },
  ]);
  const [{ spec: policy }] = await manifests("base", "NetworkPolicy");
  assertEquals(policy.ingress.map(({ ports }: Manifest) => ports), [[
    { protocol: "UDP", port },
    { protocol: "TCP", port },
  ]]);
  assertEquals(policy.egress, [{ ports: [{ protocol: "TCP", port: 853 }] }]);
  assertEquals(policy.policyTypes, ["Ingress", "Egress"]);
});

Deno.test("the pod may do nothing that Pod Security's restricted profile forbids, and less", async () => {
  const { securityContext, containers, automountServiceAccountToken, hostNetwork } = await pod();
  const [container] = containers;
  assertEquals(securityContext, { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
  assertEquals(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  assertEquals([automountServiceAccountToken, hostNetwork], [false, undefined]);
  const [namespace] = await manifests("base", "Namespace");
  assertEquals(namespace.metadata.labels["pod-security.kubernetes.io/enforce"], "restricted");
});

Deno.test("the pod runs this version, is probed by the image's program, and has the time it needs to stop", async () => {
  const { containers: [container], terminationGracePeriodSeconds } = await pod();
  assertEquals(container.image, `dot-proxy:${metadata.version}`);
  const dockerfile = await Deno.readTextFile(join(ROOT, "Dockerfile"));
  const [program] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? "[]");
  assertEquals(container.startupProbe.tcpSocket, { port: "dns-tcp" });
  for (const { exec } of [container.readinessProbe, container.livenessProbe]) {
    assertEquals(exec.command, [program, "healthcheck"]);
  }
  assert(terminationGracePeriodSeconds > container.lifecycle.preStop.sleep.seconds + STOP_LIMIT);
  assert(container.resources.requests.cpu && container.resources.limits.memory);
  assertEquals(container.envFrom, [{ configMapRef: { name: "dot-proxy" } }]);
});

// "insufficient quota to match these scopes": the PriorityClass is limited to namespaces with such a quota on GKE.
Deno.test("a quota admits the pods' priority classes, which GKE refuses without", async () => {
  const [{ spec }] = await manifests("base", "ResourceQuota");
  const [{ operator, scopeName, values }] = spec.scopeSelector.matchExpressions;
  assertEquals([operator, scopeName, spec.hard], ["In", "PriorityClass", { pods: "1G" }]);
  for (const variant of Object.keys(VARIANTS) as (keyof typeof VARIANTS)[]) {
    assert(values.includes((await workload(variant)).spec.template.spec.priorityClassName));
  }
});

Deno.test("the autoscaler alone decides how many there are, and an eviction leaves one", async () => {
  const { metadata: { name }, spec } = await workload("deployment");
  const [autoscaler] = await manifests("deployment", "HorizontalPodAutoscaler");
  const [budget] = await manifests("deployment", "PodDisruptionBudget");
  assertEquals(spec.replicas, undefined);
  assertEquals(autoscaler.spec.scaleTargetRef, { apiVersion: "apps/v1", kind: "Deployment", name });
  assert(autoscaler.spec.minReplicas > budget.spec.maxUnavailable);
});

/** The module of kubernetes-models for a manifest's kind. */
function moduleOf({ apiVersion, kind }: Manifest): string {
  return `kubernetes-models/${apiVersion}/${kind}`;
}

/** Errors of the type checker, with each manifest as a literal of its kind's type. */
async function complaints(manifests: readonly Manifest[]): Promise<string> {
  const lines = manifests.map((manifest, index) =>
    `import type { I${manifest.kind} as I${index} } from "${moduleOf(manifest)}";
     export const manifest${index}: I${index} = ${JSON.stringify(manifest)};`
  );
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, lines.join("\n"));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", join(ROOT, "deno.json"), file],
    env: { NO_COLOR: "1" },
  }).output();
  await Deno.remove(file);
  const complaint = new TextDecoder().decode(stderr);
  assertEquals(success, complaint === "");
  return complaint;
}

async function allManifests(): Promise<Manifest[]> {
  const folders = await Promise.all(
    (["base", "deployment", "daemonset"] as const).map((each) => manifests(each)),
  );
  return folders.flat();
}

/** The manifests of a folder's resources, optionally of one kind. */
async function manifests(folder: Folder, kind?: string): Promise<Manifest[]> {
  const { resources } = await kustomization(folder);
  const files = resources.filter((each: string) => each === basename(each));
  const texts = await Promise.all(
    files.map((each: string) => Deno.readTextFile(join(DIRECTORY, folder, each))),
  );
  const found = texts.flatMap((text) => parseAllDocuments(text)).map((each: Manifest) => each.toJS());
  assert(found.length > 0);
  return kind === undefined ? found : found.filter((each) => each.kind === kind);
}

async function workload(variant: keyof typeof VARIANTS): Promise<Manifest> {
  const [found] = await manifests(variant, VARIANTS[variant]);
  return found;
}

/** The pod that both variants run. */
async function pod(): Promise<Manifest> {
  return (await workload("deployment")).spec.template.spec;
}

async function kustomization(folder: Folder): Promise<Manifest> {
  return parse(await Deno.readTextFile(join(DIRECTORY, folder, "kustomization.yaml")));
}

/** The ConfigMap's variables. */
async function environment(): Promise<Record<string, string>> {
  const { configMapGenerator: [{ envs: [file] }] } = await kustomization("base");
  const lines = (await Deno.readTextFile(join(DIRECTORY, "base", file))).split("\n");
  const pairs = lines.filter((line) => line && !line.startsWith("#")).map((line) => line.split(/=(.*)/));
  return Object.fromEntries(pairs);
}
