import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import type { Container, PodSpec, Probe, Service } from 'kubernetes-types/core/v1.js';
import type { Deployment } from 'kubernetes-types/apps/v1.js';
import type {
  Ingress,
  NetworkPolicy,
  NetworkPolicyIngressRule,
} from 'kubernetes-types/networking/v1.js';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../../src/config/load.ts';
import { SETTINGS } from '../../../src/config/settings.ts';
import { ROUTES } from '../../../src/http/internal/routes.ts';
import { makeApiKey } from '../../../src/config/api-keys.ts';
import { COMPONENT } from '../../kit/platform.ts';
import { readDocument, ROOT } from '../docs/markdown.ts';

/** What `kubectl apply -k` makes, as far as it can be known without a cluster. */

const FOLDER = 'deploy/kubernetes';
const read = (path: string) => readFileSync(join(ROOT, FOLDER, path), 'utf8');

interface Kustomization {
  namespace: string;
  resources: string[];
  configMapGenerator: { name: string; behavior?: string; envs: string[] }[];
  images?: { name: string; newTag: string }[];
  patches?: { path: string; target: { kind: string; name: string } }[];
}

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
}

const kustomizationOf = (folder: string) =>
  parse(read(`${folder}/kustomization.yaml`)) as Kustomization;
const manifestsIn = (path: string) =>
  parseAllDocuments(read(path)).map((one) => {
    expect(one.errors).toEqual([]);
    return one.toJS() as Manifest;
  });

const base = kustomizationOf('base');
const manifests = base.resources.flatMap((name) => manifestsIn(`base/${name}`));
const named = (kind: string, name = 'wxkeeper') =>
  manifests.find((one) => one.kind === kind && one.metadata.name === name) ??
  expect.fail(`no ${kind} ${name}`);

const deployment = named('Deployment') as Deployment & { spec: object };
const pod = deployment.spec.template.spec as PodSpec;
const [container] = pod.containers as [Container];
const policy = named('NetworkPolicy') as NetworkPolicy & { spec: object };
const services = ['wxkeeper-public', 'wxkeeper-internal'].map(
  (name) => named('Service', name) as Service & { spec: object },
);
const fixed = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
const settingsOf = (folder: string) =>
  parseEnv(read(`${folder}/settings.env`)) as Record<string, string>;

describe('the kustomizations', () => {
  it.each([
    ['base', base.resources],
    ['sentinel', (kustomizationOf('sentinel').patches ?? []).map(({ path }) => path)],
  ])('%s names every file of its folder, and each is there', (folder, manifestFiles) => {
    const { configMapGenerator } = kustomizationOf(folder);
    const envs = configMapGenerator.flatMap(({ envs }) => envs);
    const there = readdirSync(join(ROOT, FOLDER, folder));
    expect(['kustomization.yaml', ...manifestFiles, ...envs].sort()).toEqual(there.sort());
  });

  it('are all: the base, and what stands on it', () => {
    expect(readdirSync(join(ROOT, FOLDER)).sort()).toEqual(
      expect.arrayContaining(['base', 'sentinel']),
    );
    const { resources, namespace, configMapGenerator } = kustomizationOf('sentinel');
    expect(resources).toEqual(['../base']);
    expect(namespace).toBe(base.namespace);
    const [settings] = base.configMapGenerator;
    expect(configMapGenerator).toMatchObject([{ name: settings?.name, behavior: 'merge' }]);
  });

  it('put everything into the namespace that they make, under this version', () => {
    expect(named('Namespace', base.namespace).metadata.labels).toEqual({
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
    for (const { metadata } of manifests) expect(metadata.namespace).toBeUndefined();
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(base.images).toMatchObject([{ name: container.image, newTag: version }]);
  });

  it('keep secrets out of Git', () => {
    const ignored = readFileSync(join(ROOT, '.gitignore'), 'utf8').split('\n');
    expect(ignored).toContain('secrets/');
    expect(manifests.map(({ kind }) => kind)).not.toContain('Secret');
  });
});

/** Where kubernetes-types has what Kubernetes publishes of an apiVersion. */
function typesOf(apiVersion: string): string {
  const [group = '', version] = apiVersion.includes('/')
    ? apiVersion.split('/')
    : ['core', apiVersion];
  return `kubernetes-types/${group.split('.')[0] ?? ''}/${version ?? ''}`;
}

/**
 * What the compiler says of each of these lists of manifests: fields that do not exist, fields that are
 * missing, values of another type.
 */
function typeFaults(lists: readonly (readonly object[])[]): string[][] {
  const sources = new Map(
    lists.map((list, index) => [
      join(ROOT, `test/unit/deploy/manifests-${index}.ts`),
      (list as readonly Manifest[])
        .map((one) => {
          const type = `import('${typesOf(one.apiVersion)}').${one.kind}`;
          return `(${JSON.stringify(one)}) satisfies ${type};`;
        })
        .concat('export {};')
        .join('\n'),
    ]),
  );
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => sources.has(name) || fileExists(name);
  host.getSourceFile = (name, ...rest) => {
    const source = sources.get(name);
    if (source === undefined) return getSourceFile(name, ...rest);
    return ts.createSourceFile(name, source, ts.ScriptTarget.ES2023);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return [...sources.keys()].map((name) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(name))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
  );
}

describe('the manifests', () => {
  const { patches = [] } = kustomizationOf('sentinel');
  const [added, ...others] = patches.flatMap(
    ({ path }) => parse(read(`sentinel/${path}`)) as { op: string; path: string; value: object }[],
  );

  it('have the fields that Kubernetes publishes, and no others', () => {
    const withSentinels = [...(policy.spec.egress ?? []), added?.value];
    const podOf = (spec: object) => {
      const template = { ...deployment.spec.template, spec };
      return [{ ...deployment, spec: { ...deployment.spec, template } }];
    };
    expect(manifests.length).toBeGreaterThan(6);
    const [ours, sentinels, ...wrong] = typeFaults([
      manifests,
      [{ ...policy, spec: { ...policy.spec, egress: withSentinels } }],
      podOf({ ...pod, enableServiceLink: false }),
      podOf({ ...pod, terminationGracePeriodSeconds: '40' }),
      podOf({ ...pod, containers: [{ image: 'wxkeeper' }] }),
    ]);
    expect([ours, sentinels]).toEqual([[], []]);
    // It would have found a wrong name, a wrong type, and what is missing.
    expect(wrong.map((faults) => faults.join())).toEqual([
      expect.stringContaining('enableServiceLink'),
      expect.stringContaining('number'),
      expect.stringContaining('name'),
    ]);
  });

  it('of the example with Sentinels let wxkeeper out to the port of its Sentinels', () => {
    expect(patches[0]?.target).toMatchObject({ kind: policy.kind, name: policy.metadata?.name });
    expect(others).toEqual([]);
    expect(added).toMatchObject({ op: 'add', path: '/spec/egress/-' });
    const [port, ...more] = new Set(settingsOf('sentinel')['REDIS_SENTINELS']?.match(/(?<=:)\d+/g));
    expect(added?.value).toEqual({ ports: [{ protocol: 'TCP', port: Number(port) }] });
    expect(more).toEqual([]);
  });

  it('select the Pods of the Deployment, and by a label that it does not change', () => {
    const labels = deployment.spec.template.metadata?.labels ?? {};
    expect(labels).toEqual({ 'app.kubernetes.io/name': 'wxkeeper' });
    const budget = named('PodDisruptionBudget') as PodDisruptionBudget & { spec: object };
    const selectors = [
      ...[deployment, budget].map(({ spec }) => spec.selector?.matchLabels),
      policy.spec.podSelector.matchLabels,
      ...services.map(({ spec }) => spec.selector),
      ...(pod.topologySpreadConstraints ?? []).map((one) => one.labelSelector?.matchLabels),
    ];
    expect(selectors).toHaveLength(6);
    for (const selector of selectors) expect(selector).toEqual(labels);
  });
});

describe('the ports', () => {
  const ports = Object.fromEntries(
    (container.ports ?? []).map(({ name = '', containerPort }) => [name, containerPort]),
  );

  it('are those on which wxkeeper listens, each with a Service', () => {
    expect(ports).toEqual({
      public: Number(fixed['PUBLIC_PORT']),
      internal: Number(fixed['INTERNAL_PORT']),
    });
    for (const { metadata, spec } of services) {
      const [, name = ''] = metadata?.name?.split('-') ?? [];
      expect(spec.type).toBeUndefined();
      expect(spec.ports).toEqual([{ name, port: ports[name], targetPort: name }]);
    }
    expect([fixed['PUBLIC_HOST'], fixed['INTERNAL_HOST']]).toEqual(['0.0.0.0', '0.0.0.0']);
  });

  it('no Service is called as a setting begins', () => {
    const made = services.map(
      ({ metadata }) => `${(metadata?.name ?? '').toUpperCase().replaceAll('-', '_')}_PORT`,
    );
    const names = SETTINGS.map(({ name }) => name);
    expect(made.filter((name) => names.includes(name))).toEqual([]);
    expect(pod.enableServiceLinks).toBe(false);
  });

  it('WeChat and merchants come in by their two paths only, at the host of PUBLIC_BASE_URL', () => {
    const { spec } = named('Ingress') as Ingress;
    const { host } = new URL(settingsOf('base')['PUBLIC_BASE_URL'] ?? '');
    expect(spec?.tls?.flatMap(({ hosts = [] }) => hosts)).toEqual([host]);
    expect(spec?.rules?.map((rule) => rule.host)).toEqual([host]);
    const paths = spec?.rules?.[0]?.http?.paths ?? [];
    expect(paths.map(({ path }) => path)).toEqual(['/callback/', '/authorize/']);
    for (const { pathType, backend } of paths) {
      expect(pathType).toBe('Prefix');
      expect(backend.service).toEqual({ name: 'wxkeeper-public', port: { name: 'public' } });
    }
  });

  it('are open to the ingress controller, and to those with the label', () => {
    expect(policy.spec.policyTypes).toEqual(['Ingress', 'Egress']);
    const peersOf = (port: string) =>
      (policy.spec.ingress ?? [])
        .filter((rule: NetworkPolicyIngressRule) => rule.ports?.some((one) => one.port === port))
        .flatMap(({ from = [] }) => from);
    expect(policy.spec.ingress?.flatMap((rule) => rule.ports)).toHaveLength(2);
    expect(peersOf('public')).toEqual([
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress-nginx' } } },
    ]);
    const client = { matchLabels: { 'wxkeeper-client': 'true' } };
    expect(peersOf('internal')).toEqual([{ namespaceSelector: client }, { podSelector: client }]);
  });

  it('that wxkeeper reaches are those of DNS, Redis and https', () => {
    const reached = policy.spec.egress?.flatMap(({ ports = [] }) => ports.map(({ port }) => port));
    expect(reached).toEqual([53, 53, 6379, 443]);
  });
});

describe('the probes', () => {
  const probes = {
    startup: container.startupProbe,
    readiness: container.readinessProbe,
    liveness: container.livenessProbe,
  } as Record<string, Probe>;

  it.each([
    ['startup', '/livez'],
    ['readiness', '/readyz'],
    ['liveness', '/livez'],
  ])('%s: %s of the internal port, without a key', (name, path) => {
    expect(probes[name]?.httpGet).toEqual({ path, port: 'internal' });
    expect(ROUTES.find((route) => route.path === path)).toMatchObject({ scope: 'none' });
    // `/readyz` gives Redis a second.
    expect(probes[name]?.timeoutSeconds).toBeGreaterThan(1);
  });

  it('leave a replica that stops the time it takes, and no hook stands before it', () => {
    const delay = Number(fixed['STOP_DELAY_SECONDS']);
    const { periodSeconds = 10, failureThreshold = 3 } = probes['readiness'] ?? {};
    // Whoever asks as often as the probe has heard of it before the delay is over.
    expect(delay).toBeGreaterThanOrEqual(periodSeconds * failureThreshold);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(delay + 15);
    expect(container.lifecycle).toBeUndefined();
  });

  it('an update takes away no replica before the next one is ready', () => {
    expect(deployment.spec.replicas).toBe(2);
    expect(deployment.spec.strategy).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    });
  });
});

describe('the rights', () => {
  it('are no more than it needs, and what the namespace demands', () => {
    const [, user] = /^USER (\d+):\1$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')) ?? [];
    expect(pod.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: Number(user),
      runAsGroup: Number(user),
      fsGroup: Number(user),
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod.automountServiceAccountToken).toBe(false);
    for (const name of ['hostNetwork', 'hostPID', 'hostIPC']) expect(pod).not.toHaveProperty(name);
    expect(pod.containers).toHaveLength(1);
  });

  it('of memory are those of docker-compose.yml', () => {
    const compose = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
    const [, megabytes] = /^ {2}mem_limit: (\d+)m$/m.exec(compose) ?? [];
    expect(container.resources?.limits).toEqual({ memory: `${megabytes ?? ''}Mi` });
  });

  it('of the files with secrets are read-only, for the group of that user', () => {
    const [mount] = container.volumeMounts ?? [];
    expect(container.volumeMounts).toHaveLength(1);
    expect(mount?.readOnly).toBe(true);
    expect(pod.volumes).toEqual([
      { name: mount?.name, secret: { secretName: 'wxkeeper', defaultMode: 0o440 } },
    ]);
  });
});

/** By the name of its file. */
const SECRETS: Record<string, string> = {
  component_appsecret: COMPONENT.secret,
  component_token: COMPONENT.token,
  component_encoding_aes_key: COMPONENT.encodingAesKey,
  api_keys: makeApiKey('shop', 'credentials:read').entry,
  redis_url: 'redis://wxkeeper:password@redis.example.com:6379',
  redis_password: 'password',
  redis_sentinel_password: 'another-password',
};

describe.each(['base', 'sentinel'])('the settings of %s', (folder) => {
  const settings = { ...settingsOf('base'), ...settingsOf(folder) };
  const mount = container.volumeMounts?.[0]?.mountPath ?? '';
  const files = Object.values(settings).filter((value) => value.startsWith(mount));
  let secrets: string;

  beforeAll(() => {
    secrets = mkdtempSync(join(tmpdir(), 'wxkeeper-secrets-'));
    for (const [name, text] of Object.entries(SECRETS)) writeFileSync(join(secrets, name), text);
  });
  afterAll(() => rmSync(secrets, { recursive: true }));

  it('exist, and name secrets by their files only', () => {
    const plain = SETTINGS.filter(({ secret }) => secret !== true).map(({ name }) => name);
    const inFiles = SETTINGS.filter(({ secret }) => secret === true).map(
      ({ name }) => `${name}_FILE`,
    );
    const names = [...Object.keys(settings), ...Object.keys(fixed)];
    expect(names.filter((name) => ![...plain, ...inFiles].includes(name))).toEqual([]);
    for (const [name, value] of Object.entries(settings)) {
      if (!inFiles.includes(name) || value === '') continue;
      expect(dirname(value)).toBe(mount);
      expect(`${basename(value)}_FILE`.toUpperCase()).toBe(name);
    }
    expect(container.envFrom).toEqual([
      { configMapRef: { name: base.configMapGenerator[0]?.name } },
    ]);
    expect(Object.keys(settings).filter((name) => name in fixed)).toEqual([]);
  });

  it('are enough to start with, once each secret is in its file', () => {
    const here = Object.entries({ ...settings, ...fixed }).map(([name, value = '']) => [
      name,
      value.replace(mount, secrets),
    ]);
    const config = loadConfig(Object.fromEntries(here) as Record<string, string>);
    expect(config.components).toMatchObject([{ appsecret: COMPONENT.secret }]);
    expect(config.apiKeys).toHaveLength(1);
    expect(config.stopDelayMs).toBe(Number(fixed['STOP_DELAY_SECONDS']) * 1000);
  });

  it('name the files that the document tells to make', () => {
    const { text } = readDocument('docs/kubernetes.md');
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) expect(text).toContain(`\`${basename(file)}\``);
  });
});
