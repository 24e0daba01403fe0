import { onRedis } from '../../store/redis.ts';
import { checkSealKeys, sealProblem } from '../../store/seal-check.ts';
import { neededCommands, testStore } from '../../store/self-test.ts';
import { sealFindings, selfTestFindings } from '../../status/findings.ts';
import { finding } from '../../status/problems.ts';
import { both, failed, fromFinding, ok, skipped, warn, type Check, type Text } from './check.ts';
import { SILENT, type Patient } from './patient.ts';

/** Whether Redis is as docs/production.md wants it. Writes nothing but the keys of the self-test. */

const OLDEST_MAJOR = 7;
const PINGS = 20;
const SLOW_MS = 20;

const NAMES = {
  connection: both('connection', '连接'),
  version: both('version', '版本'),
  persistence: both('persistence', '持久化'),
  permissions: both('permissions', '权限'),
  writes: both('writes', '写入'),
  latency: both('latency', '延迟'),
  sealing: both('sealing keys', '加密密钥'),
};
const ALLOW = both(
  'Allow these commands in the ACL of the user in REDIS_URL; docs/production.md has the whole line.',
  '在 REDIS_URL 所用用户的 ACL 中放行这些命令；整行写法见 docs/production.zh-CN.md。',
);

/** @throws KeeperError `store_unavailable` when Redis goes away meanwhile */
export async function examineRedis(patient: Patient): Promise<Check[]> {
  const { store, redisProblem } = patient;
  if (redisProblem !== undefined) return [unreachable(patient)];
  const info = await readInfo(patient);
  const wrong = wrongKind(info);
  if (wrong !== undefined) {
    patient.redisProblem = wrong;
    return [unreachable(patient)];
  }
  return [
    ok('redis', NAMES.connection, both('connected', '已连接')),
    ...(info === undefined
      ? [skipped('redis', 'INFO', both('forbidden to our user', '当前用户无权执行'))]
      : [versionCheck(info), persistenceCheck(info), policyCheck(info)]),
    ...(await permissionChecks(patient)),
    await scriptCheck(patient),
    latencyCheck(await medianPing(patient)),
    await sealCheck(store),
  ];
}

const MISSING = both(
  'This Redis, or the proxy before it, lacks a command that wxkeeper needs: renamed or switched off.',
  '这个 Redis 或其前面的代理缺少 wxkeeper 需要的命令：被改名或禁用了。',
);
const ADVICE_BY_PROBLEM: readonly (readonly [RegExp, { en: string; zh: string }])[] = [
  [
    /^(?:NOAUTH|WRONGPASS)/,
    both('Check user and password in REDIS_URL.', '检查 REDIS_URL 里的用户名和密码。'),
  ],
  [/^NOPERM/, ALLOW],
  [
    /CERT|_TLS_|SELF_SIGNED|ISSUER/,
    both(
      'The certificate of Redis is not trusted here; NODE_EXTRA_CA_CERTS names more authorities.',
      '本机不信任 Redis 的证书；可用 NODE_EXTRA_CA_CERTS 指定更多 CA。',
    ),
  ],
  [
    /^(?:CLUSTER|MOVED|CLUSTERDOWN)/,
    both(
      'wxkeeper needs one Redis, alone or with replicas, and not a cluster: name such a one in REDIS_URL.',
      'wxkeeper 需要单个 Redis（可带从库），不支持 Cluster：在 REDIS_URL 里指定这样的实例。',
    ),
  ],
  [/^unknown command/, MISSING],
  [
    /^(?:READONLY|MASTERDOWN)/,
    both(
      'This is a replica that takes no writes: name the master in REDIS_URL.',
      '这是只读从库：在 REDIS_URL 里指定主库。',
    ),
  ],
];
const IN_WORDS: Readonly<Record<string, Text>> = {
  CLUSTER: both('this Redis runs as a cluster', '这是 Redis Cluster'),
  READONLY: both('this Redis is a read-only replica', '这是只读从库'),
  timeout: both('no answer in time', '应答超时'),
  NOT_REDIS: both('what answers there is no Redis', '那里应答的不是 Redis'),
};

/** What no setting of wxkeeper makes usable; the self-test would only trip over it. */
export function wrongKind(info: Info | undefined): string | undefined {
  if (info?.redis_mode === 'cluster') return 'CLUSTER';
  return info?.role === 'slave' && info.slave_read_only !== '0' ? 'READONLY' : undefined;
}

/** Why Redis cannot be used, when `redisProblem` says so. */
export function unreachable({ redisProblem: problem = '', config }: Patient): Check {
  const usual = both(
    'See that Redis runs there, and that host and port in REDIS_URL and the firewall are right.',
    '确认 Redis 在运行，REDIS_URL 的主机和端口正确，防火墙放行。',
  );
  const [tls, plain] = ['rediss://', 'redis://'];
  const way = config.redisUrl.startsWith(tls)
    ? both(
        ` REDIS_URL says ${tls}: does Redis speak TLS at this port?`,
        ` REDIS_URL 是 ${tls}：该端口是否启用了 TLS？`,
      )
    : both(
        ` REDIS_URL says ${plain}: does Redis want TLS (${tls}) at this port?`,
        ` REDIS_URL 是 ${plain}：该端口是否要求 TLS（${tls}）？`,
      );
  // There is somebody who does not answer as he should.
  const mayBeTls = /^(?:timeout|ETIMEDOUT|ECONNRESET|EPROTO|ERR_SSL|NOT_REDIS|EPIPE)/.test(problem);
  const either = mayBeTls ? both(usual.en + way.en, usual.zh + way.zh) : usual;
  const code =
    problem === 'READONLY'
      ? 'redis_refuses_writes'
      : /^(?:CLUSTER|MOVED|unknown)/.test(problem)
        ? undefined
        : 'store_unavailable';
  return failed('redis', NAMES.connection, {
    ...(code !== undefined && { code }),
    seen: IN_WORDS[problem] ?? both(problem),
    advice: ADVICE_BY_PROBLEM.find(([form]) => form.test(problem))?.[1] ?? either,
  });
}

type Info = Readonly<Record<string, string>>;

async function readInfo({ store }: Patient): Promise<Info | undefined> {
  try {
    const text = await store.redis.info();
    return Object.fromEntries(
      text.split('\r\n').map((line) => {
        const at = line.indexOf(':');
        return [line.slice(0, at), line.slice(at + 1)];
      }),
    );
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('NOPERM')) return undefined;
    return onRedis(() => Promise.reject(error as Error));
  }
}

export function versionCheck({ redis_version: version = '' }: Info): Check {
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR)
    return ok('redis', NAMES.version, both(version));
  return failed('redis', NAMES.version, {
    seen: both(`${version}; wxkeeper needs 7.0 or newer`, `${version}；wxkeeper 需要 7.0 或更高`),
    advice: both('Update Redis.', '升级 Redis。'),
  });
}

export function persistenceCheck(info: Info): Check {
  const { aof_enabled: aof, aof_last_write_status: aofWrite = 'ok' } = info;
  const { rdb_last_bgsave_status: save = 'ok' } = info;
  const broken = [aof === '1' && aofWrite !== 'ok' ? 'AOF' : '', save === 'ok' ? '' : 'RDB'].filter(
    (one) => one !== '',
  );
  if (broken.length > 0) {
    return failed('redis', NAMES.persistence, {
      seen: both(
        `the last ${broken.join(' and ')} write to disk failed`,
        `最近一次 ${broken.join(' 和 ')} 写盘失败`,
      ),
      advice: both(
        'Make room on its disk; the log of Redis says why.',
        '清理其磁盘空间；原因见 Redis 日志。',
      ),
    });
  }
  if (aof === '1') return ok('redis', NAMES.persistence, both('append-only file', 'AOF 已开启'));
  return warn('redis', NAMES.persistence, {
    seen: both(
      'no append-only file: a restart may lose tickets and tokens',
      '没有开启 AOF：重启可能丢失 ticket 和 token',
    ),
    advice: both(
      'Set appendonly yes and appendfsync everysec, now and in the configuration file of Redis.',
      '设置 appendonly yes 与 appendfsync everysec，运行中和配置文件里都要改。',
    ),
  });
}

export function policyCheck({ maxmemory_policy: policy = '' }: Info): Check {
  const name = 'maxmemory-policy';
  if (policy === 'noeviction') return ok('redis', name, both(policy));
  if (policy.startsWith('allkeys')) {
    return fromFinding('redis', name, finding('redis_may_evict', null), 'failed');
  }
  return warn('redis', name, {
    seen: both(
      `${policy}: what other services read may vanish when memory is full; wxkeeper writes it again`,
      `${policy}：内存满时其他服务读取的键可能被淘汰，wxkeeper 会重新写入`,
    ),
    advice: both('Set maxmemory-policy noeviction.', '设置 maxmemory-policy noeviction。'),
  });
}

async function permissionChecks({ store }: Patient): Promise<Check[]> {
  const result = await testStore(store);
  const { length } = neededCommands(store.keys);
  const all = ok(
    'redis',
    NAMES.permissions,
    both(`all ${length} commands are allowed`, `${length} 条命令全部允许`),
  );
  const took = ok('redis', NAMES.writes, both('taken', '正常'));
  // The policy has a line of its own.
  const found = selfTestFindings({ ...result, evicts: false });
  const of = (code: string, name: typeof NAMES.writes, well: Check) => {
    const one = found.find((each) => each.code === code);
    return one === undefined ? well : fromFinding('redis', name, one);
  };
  return [
    of('redis_forbids', NAMES.permissions, all),
    of('redis_refuses_writes', NAMES.writes, took),
  ];
}

async function scriptCheck({ store }: Patient): Promise<Check> {
  try {
    await store.redis.eval("return redis.call('TIME')[1]", 0);
    return ok('redis', 'Lua', both('scripts run', '脚本可以运行'));
  } catch (error) {
    const { message } = error as Error;
    return failed('redis', 'Lua', {
      ...(message.startsWith('NOPERM') ? { code: 'redis_forbids' } : {}),
      seen: both(
        `scripts do not run (${message.split(' ', 1).join('')})`,
        `脚本无法运行（${message.split(' ', 1).join('')}）`,
      ),
      advice: ALLOW,
    });
  }
}

async function medianPing({ store, clock }: Patient): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < PINGS; round += 1) {
    const began = clock.monotonic();
    await onRedis(() => store.redis.ping());
    times.push(clock.monotonic() - began);
  }
  return times.sort((a, b) => a - b)[PINGS / 2] ?? 0;
}

export function latencyCheck(medianMs: number): Check {
  const text = `${medianMs.toFixed(1)} ms`;
  const seen = both(`${text}, the middle of ${PINGS}`, `${text}，${PINGS} 次的中位数`);
  if (medianMs <= SLOW_MS) return ok('redis', NAMES.latency, seen);
  return warn('redis', NAMES.latency, {
    seen,
    advice: both(
      'Each push and each request makes several round trips: bring Redis nearer, or look at its load.',
      '每次推送和请求都要往返数次：让 Redis 离得更近，或检查其负载。',
    ),
  });
}

async function sealCheck(store: Patient['store']): Promise<Check> {
  await checkSealKeys(store, SILENT);
  const [wrong] = sealFindings(sealProblem(store));
  if (wrong !== undefined) return fromFinding('redis', NAMES.sealing, wrong);
  return ok(
    'redis',
    NAMES.sealing,
    both('those that sealed the stored tokens', '与加密已存 token 的密钥一致'),
  );
}
