import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { startRedisServer } from '../../../src/sandbox/redis/launch.ts';
import { SETTINGS } from '../../../src/config/settings.ts';

const read = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8');

const DEFAULTS = new Map(SETTINGS.map((setting) => [setting.name, setting.default]));
const SECRETS = SETTINGS.filter((setting) => setting.secret).map((setting) => setting.name);
const SETTING_NAMES = [...DEFAULTS.keys(), ...SECRETS.map((name) => `${name}_FILE`)];

describe('Dockerfile', () => {
  interface Instruction {
    word: string;
    rest: string;
  }
  const instructions: Instruction[] = read('Dockerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, word = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      return { word, rest };
    });
  const lastFrom = instructions.findLastIndex(({ word }) => word === 'FROM');
  const building = instructions.slice(0, lastFrom);
  const final = instructions.slice(lastFrom);
  const all = (word: string, where = final) =>
    where.filter((instruction) => instruction.word === word).map(({ rest }) => rest);

  it('pins its base image to one version, which the package allows', () => {
    const [, version = ''] =
      /^NODE_VERSION=(\d+\.\d+\.\d+)$/.exec(all('ARG', building)[0] ?? '') ?? [];
    expect(Number.parseInt(version, 10)).toBeGreaterThanOrEqual(20);
    for (const image of [...all('FROM', building), ...all('FROM')]) {
      expect(image).toMatch(/^node:\$\{NODE_VERSION\}-bookworm-slim( AS build)?$/);
    }
  });

  it('builds from the lock file, runs no install scripts, and drops development packages', () => {
    const commands = all('RUN', building);
    expect(commands[0]).toBe('npm ci --ignore-scripts');
    expect(commands[1]).toBe('npm run build');
    expect(commands[2]).toContain('npm prune --omit=dev --ignore-scripts');
    expect(all('RUN')).toEqual([]);
  });

  it('puts nothing but the build into the image', () => {
    for (const copied of [...all('COPY'), ...all('ADD')]) expect(copied).toMatch(/^--from=build /);
  });

  it('runs node itself, not as root, and lets SIGTERM reach it', () => {
    expect(all('USER')).toEqual(['1000:1000']);
    expect(all('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(all('ENTRYPOINT')).toEqual([]);
    expect(JSON.parse(all('CMD')[0] ?? '')).toEqual(['node', 'dist/commands/wxkeeper.js', 'start']);
    expect(all('ENV')).toContain('NODE_ENV=production');
    // Not known to Node before 22.14: the version above must know it.
    expect(all('ENV')).toContain('NODE_OPTIONS=--disable-sigusr1');
  });

  it('exposes the default ports', () => {
    const ports = [DEFAULTS.get('PUBLIC_PORT'), DEFAULTS.get('INTERNAL_PORT')];
    expect(all('EXPOSE')).toEqual([ports.join(' ')]);
  });

  it('holds no setting: they come when the container starts', () => {
    for (const text of [...all('ENV'), ...all('ARG'), ...all('ENV', building)]) {
      for (const name of SETTING_NAMES) expect(text).not.toContain(name);
    }
  });

  describe('health check', () => {
    const [, json = ''] = /CMD (\[.*\])$/.exec(all('HEALTHCHECK')[0] ?? '') ?? [];
    const [command = '', ...args] = JSON.parse(json) as string[];
    let stop: (() => void) | undefined;

    afterEach(() => stop?.());

    async function listener(status: number): Promise<string> {
      const server = createServer((request, response) => {
        response.writeHead(request.url === '/livez' ? status : 404).end();
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      stop = () => server.close();
      return String((server.address() as AddressInfo).port);
    }

    async function exitCode(port: string): Promise<number | null> {
      expect(command).toBe('node');
      const child = execFile(process.execPath, args, { env: { INTERNAL_PORT: port } });
      await once(child, 'exit');
      return child.exitCode;
    }

    it('asks the internal listener whether the process lives', async () => {
      expect(await exitCode(await listener(200))).toBe(0);
    });

    it('fails when the answer is an error or nobody answers', async () => {
      const port = await listener(503);
      expect(await exitCode(port)).toBe(1);
      stop?.();
      expect(await exitCode(port)).toBe(1);
    });
  });
});

describe('.dockerignore', () => {
  const lines = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

  it('lets in what the build copies and nothing else, so no secret can slip in', () => {
    expect(lines[0]).toBe('*');
    const letIn = lines.slice(1).map((line) => line.replace(/^!/, ''));
    expect(lines.slice(1).every((line) => line.startsWith('!'))).toBe(true);
    const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(
      ([, sources = '']) => sources.split(' '),
    );
    expect(letIn.sort()).toEqual(copied.sort());
    for (const name of copied)
      expect(existsSync(new URL(`../../../${name}`, import.meta.url))).toBe(true);
  });
});

interface Service {
  image?: string;
  user?: string;
  command?: string[];
  environment?: Record<string, string>;
  env_file?: string[];
  ports?: string[];
  volumes?: string[];
  networks?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[] };
  stop_grace_period?: string;
  [key: string]: unknown;
}

describe('docker-compose.yml', () => {
  const compose = parse(read('docker-compose.yml'), { merge: true }) as {
    services: Record<'wxkeeper' | 'redis', Service>;
    networks: Record<string, { internal?: boolean }>;
    volumes: Record<string, unknown>;
  };
  const { wxkeeper, redis } = compose.services;
  const environment = wxkeeper.environment ?? {};

  it.each(['wxkeeper', 'redis'] as const)('gives %s no more rights than it needs', (name) => {
    expect(compose.services[name]).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      tmpfs: [expect.stringMatching(/^\/tmp:/)],
      restart: 'unless-stopped',
      pids_limit: expect.any(Number) as number,
      mem_limit: expect.stringMatching(/^\d+m$/) as string,
    });
    expect(compose.services[name]).not.toHaveProperty('privileged');
    expect(compose.services[name]).not.toHaveProperty('network_mode');
  });

  it('row 142: publishes both ports to this host, and Redis to nobody', () => {
    const { PUBLIC_PORT = '', INTERNAL_PORT = '' } = environment;
    expect(wxkeeper.ports).toEqual([
      `127.0.0.1:\${PUBLIC_PORT:-3000}:${PUBLIC_PORT}`,
      `127.0.0.1:\${INTERNAL_PORT:-3001}:${INTERNAL_PORT}`,
    ]);
    expect(environment['INTERNAL_HOST']).toBe('0.0.0.0');
    expect(environment['PUBLIC_HOST']).toBe('0.0.0.0');
    expect(redis.ports).toBeUndefined();
    expect(redis.networks).toEqual(['store']);
    expect(compose.networks['store']).toEqual({ internal: true });
    expect(wxkeeper.networks).toEqual(['default', 'store']);
  });

  it('sets only settings that exist, and no secret but the address of its own Redis', () => {
    for (const [name, value] of Object.entries(environment)) {
      expect(SETTING_NAMES).toContain(name);
      expect(typeof value).toBe('string');
    }
    expect(environment['REDIS_URL']).toBe('redis://redis:6379');
    const secrets = SECRETS.filter((name) => name !== 'REDIS_URL');
    for (const name of secrets) expect(environment).not.toHaveProperty(name);
    expect(wxkeeper.env_file).toEqual(['.env']);
  });

  it('reads secrets from files, as its own comment says', () => {
    expect(wxkeeper.volumes).toEqual(['./secrets:/run/secrets:ro']);
    for (const [, name] of read('docker-compose.yml').matchAll(/^# {3}(\w+)=\/run\/secrets/gm)) {
      expect(SETTING_NAMES).toContain(name);
    }
  });

  it('waits for Redis, and leaves time to bring a refresh to its end', () => {
    expect(wxkeeper.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
    expect(redis.healthcheck?.test.at(-1)).toContain('PONG');
    expect(Number.parseInt(wxkeeper.stop_grace_period ?? '', 10)).toBeGreaterThanOrEqual(45);
  });

  it('keeps Redis on a named volume, under a licence that is free, and not as root', () => {
    expect(redis.volumes).toEqual(['redis-data:/data']);
    expect(Object.keys(compose.volumes)).toEqual(['redis-data']);
    // Later than 7.2 is not BSD any more.
    expect(redis.image).toMatch(/^redis:7\.2(\.\d+)?-bookworm$/);
    expect(redis.user).toBe('999:999');
  });

  it('starts a Redis that loses and evicts nothing', async () => {
    const [command, ...args] = redis.command ?? [];
    expect(command).toBe('redis-server');
    const server = await startRedisServer({ args });
    const client = new Redis(server.url);
    try {
      const asked = ['appendonly', 'appendfsync', 'maxmemory', 'maxmemory-policy', 'save'];
      const values = await Promise.all(asked.map((name) => client.config('GET', name)));
      expect(values.flat()).toEqual([
        ...['appendonly', 'yes', 'appendfsync', 'everysec', 'maxmemory', String(256 * 2 ** 20)],
        ...['maxmemory-policy', 'noeviction', 'save', ''],
      ]);
    } finally {
      client.disconnect();
      await server.stop();
    }
  });

  it('starts a Redis that a client cannot fill with answers that it does not read', async () => {
    const server = await startRedisServer({ args: redis.command?.slice(1) ?? [] });
    const client = new Redis(server.url);
    try {
      await client.set('value', 'a'.repeat(2 ** 20));
      const reader = net.connect({ path: server.url });
      reader.on('error', () => undefined).pause();
      const closed = once(reader, 'close');
      // More than the whole memory that it may have.
      reader.write('GET value\r\n'.repeat(400));
      await vi.waitFor(
        async () => {
          expect(await client.info('stats')).toMatch(/^evicted_clients:1\r$/m);
        },
        { timeout: 20_000 },
      );
      expect(await client.set('written', 'yes')).toBe('OK');
      reader.destroy();
      await closed;
    } finally {
      client.disconnect();
      await server.stop();
    }
  });
});

describe('row 150: the samples for systemd and nginx', () => {
  it.each(['docs/production.md', 'docs/production.zh-CN.md'])('of %s', (name) => {
    const [, unit = ''] = /```ini\n([^]*?)```/.exec(read(name)) ?? [];
    const lines = unit.split('\n');
    for (const line of [
      ...['LimitCORE=0', 'NoNewPrivileges=yes', 'ProtectSystem=strict', 'PrivateTmp=yes'],
      ...['CapabilityBoundingSet=', 'PrivateDevices=yes', 'SystemCallFilter=@system-service'],
      'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
    ]) {
      expect(lines).toContain(line);
    }
    // Node compiles at run time.
    expect(unit).not.toContain('MemoryDenyWriteExecute');
    const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
    expect(Number(seconds)).toBeGreaterThanOrEqual(45);
    // The query of these pages holds links and codes, and nginx writes it into both logs.
    const [, pages = ''] = /location \/authorize\/ \{([^}]*)\}/.exec(read(name)) ?? [];
    expect(pages).toMatch(/^ *access_log off;$/m);
    expect(pages).toMatch(/^ *error_log \/dev\/null;$/m);
  });
});

describe('row 136: the versions of Node.js', () => {
  it('that are named are those that know every option of `npm start`', () => {
    const { engines, scripts } = JSON.parse(read('package.json')) as {
      engines: { node: string };
      scripts: Record<string, string>;
    };
    // In line 20 since 20.19, else since 22.9: in Node's changelogs, and tried with 22.8 and 22.9.
    expect(scripts['start']).toBe('node --env-file-if-exists=.env dist/main.js');
    expect(engines.node).toBe('^20.19.0 || >=22.9.0');
    for (const name of ['README.md', 'README.zh-CN.md']) {
      expect(read(name)).toMatch(/20\.19.*22\.9/);
    }
  });
});
