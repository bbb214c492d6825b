/**
 * Both variants of the Kubernetes manifests, as the real kustomize builds them for a user's overlay, run by podman. kustomize
 * is built from the Go modules that kustomize/go.sum fixes, into Go's own caches. Needs root and the packages of `tools.ts`.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments, stringify } from "yaml";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { buildImage, Containers } from "./containers.ts";
import { parseDig } from "../support/processes/dig.ts";
import { Machine } from "./machine.ts";
import { startMachineUpstream } from "./machine_upstream.ts";
import { pathOf } from "./tools.ts";

const MANIFESTS = fileURLToPath(new URL("../../deploy/kubernetes", import.meta.url));
const MODULE = fileURLToPath(new URL("kustomize", import.meta.url));
/** TEST-NET-1 (RFC 5737): an address beyond the pod's own network. */
const UPSTREAM = "192.0.2.53";
const IMAGE = "localhost/dot-proxy:test";

// deno-lint-ignore no-explicit-any -- deploy_kubernetes_test.ts holds them against their schemas
type Manifest = any;

Deno.test("kustomize builds both variants, and the pods that they describe answer, are healthy and stop with 0", async (t) => {
  await using machine = await Machine.start();
  const containers = new Containers(machine);
  const kustomize = join(machine.directory, "kustomize");
  await Promise.all([buildKustomize(kustomize), buildImage(machine, IMAGE)]);
  await using server = await startMachineUpstream(machine, UPSTREAM);

  for (const kind of ["Deployment", "DaemonSet"] as const) {
    await t.step(`the ${kind}`, async () => {
      const overlay = await overlayOf(machine, kind.toLowerCase(), server.upstream);
      const manifests = documents(await machine.succeed(kustomize, ["build", overlay]));
      const workload = manifests.find((each) => each.kind === kind);
      const configMap = manifests.find((each) => each.kind === "ConfigMap");
      const service = manifests.find((each) => each.kind === "Service");
      const { template } = workload.spec;
      const [container] = template.spec.containers;
      assertEquals(container.image, IMAGE);
      // The hash in the name rolls the pods when an option changes; all else must follow it.
      assertMatch(configMap.metadata.name, /^dot-proxy-[a-z0-9]{10}$/);
      assertEquals(container.envFrom, [{ configMapRef: { name: configMap.metadata.name } }]);
      for (const { kind, metadata } of manifests) {
        if (kind !== "Namespace") assertEquals(metadata.namespace, "dot-proxy", `the namespace of ${kind}`);
      }
      const kinds = manifests.map(({ kind }) => kind);
      assert(kinds.indexOf("ResourceQuota") < kinds.indexOf(kind), "the quota is there before its pods");

      // Debian's podman knows no DaemonSet: the pod is run as such.
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "pod", labels: template.metadata.labels },
      };
      const file = join(machine.directory, `${kind}.yaml`);
      const played = [configMap, { ...pod, spec: template.spec }];
      await Deno.writeTextFile(file, played.map((each) => stringify(each)).join("---\n"));
      await containers.podman("kube", "play", "--network", "podman", file);
      const name = "pod-dot-proxy";
      const check = () => containers.tryPodman("exec", name, ...container.livenessProbe.exec.command);
      for (let attempt = 0; attempt < 100 && (await check()).code !== 0; attempt++) {
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assertEquals((await check()).code, 0, (await containers.tryPodman("logs", name)).stderr);

      const address = (await containers.podman(
        ...["inspect", "--format", "{{.NetworkSettings.Networks.podman.IPAddress}}"],
        (await containers.podman("pod", "inspect", "--format", "{{.InfraContainerID}}", "pod")).trim(),
      )).trim();
      for (const { protocol, targetPort } of service.spec.ports) {
        const port = container.ports.find(({ name }: Manifest) => name === targetPort).containerPort;
        const transport = protocol === "TCP" ? "+tcp" : "+notcp";
        const text = await machine.dig(`@${address}`, "-p", `${port}`, transport, "www.example.com");
        const { status, answer } = parseDig(text);
        assertEquals([status, answer.length], ["NOERROR", 1], text);
      }
      await containers.podman("stop", "--time", "10", name);
      assertEquals((await containers.podman("inspect", "--format", "{{.State.ExitCode}}", name)).trim(), "0");
      await containers.podman("pod", "rm", "--force", "pod");
    });
  }
});

/** Debian's own Go suffices. */
async function buildKustomize(path: string): Promise<void> {
  const args = [
    "build",
    "-mod=readonly",
    "-buildvcs=false",
    "-o",
    path,
    "sigs.k8s.io/kustomize/kustomize/v5",
  ];
  const command = new Deno.Command(pathOf("go"), { args, cwd: MODULE });
  const { success, stderr } = await command.output();
  assert(success, new TextDecoder().decode(stderr));
}

/** The kustomization that a user writes: the variant, the image, and options in place of the base's. */
async function overlayOf(machine: Machine, variant: string, upstream: string): Promise<string> {
  const overlay = join(machine.directory, `overlay-${variant}`);
  await Deno.mkdir(overlay);
  await machine.succeed("cp", ["--recursive", MANIFESTS, join(overlay, "kubernetes")]);
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    namespace: "dot-proxy",
    resources: [`kubernetes/${variant}`],
    images: [{ name: "dot-proxy", newName: "localhost/dot-proxy", newTag: "test" }],
    configMapGenerator: [{
      name: "dot-proxy",
      behavior: "merge",
      literals: [`DOT_PROXY_UPSTREAM=${upstream}`],
    }],
  };
  await Deno.writeTextFile(join(overlay, "kustomization.yaml"), stringify(kustomization));
  return overlay;
}

function documents(text: string): Manifest[] {
  return parseAllDocuments(text).map((each) => (each as Manifest).toJS());
}
