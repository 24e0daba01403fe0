import type { Redis } from 'ioredis';
import { usesTls } from '../../config/redis.ts';
import { onRedis } from '../../store/redis/connection.ts';
import { checkEncryptionKeys, encryptionProblem } from '../../store/redis/encryption-keys.ts';
import { explainWord } from '../../store/redis/error-words.ts';
import { addressOf, eachMaster } from '../../store/redis/shards.ts';
import { neededCommands, testStore, type SelfTest } from '../../store/redis/self-test.ts';
import { sealFindings, selfTestFindings } from '../../status/rules.ts';
import { finding } from '../../status/problems.ts';
import { both, failed, fromFinding, ok, skipped, warn, type Check } from './check.ts';
import { SILENT, type Installation } from './installation.ts';
import type { Text } from '../../lib/language.ts';

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
  keys: both('keys', '键'),
  failovers: both('failovers', '主备切换'),
  latency: both('latency', '延迟'),
  sealing: both('sealing keys', '加密密钥'),
};
/** @throws KeeperError `store_unavailable` when Redis goes away meanwhile */
export async function examineRedis(installation: Installation): Promise<Check[]> {
  const { store, redisProblem } = installation;
  if (redisProblem !== undefined) return [unreachable(installation)];
  const servers = await readInfos(installation);
  const wrong = installation.config.redis.cluster === undefined && wrongKind(servers?.[0]);
  if (wrong) {
    installation.redisProblem = wrong;
    return [unreachable(installation)];
  }
  const result = await testStore(store, subjectsOf(installation));
  if (ANSWERS_NOTHING.test(result.refuses ?? '')) {
    installation.redisProblem = result.refuses;
    return [unreachable(installation)];
  }
  return [
    ok('redis', NAMES.connection, both('connected', '已连接')),
    ...(servers === undefined
      ? [skipped('redis', 'INFO', both('forbidden to our user', '当前用户无权执行'))]
      : [versionCheck, persistenceCheck, policyCheck].map((check) => worstOf(servers, check))),
    ...selfTestChecks(installation, result),
    latencyCheck(await medianPing(installation)),
    await sealCheck(store),
  ];
}

/** Not even reads. */
const ANSWERS_NOTHING = /^(?:CLUSTERDOWN|MASTERDOWN|LOADING|BUSY)$/;
const IN_WORDS: Readonly<Record<string, Text>> = {
  timeout: both('no answer in time', '应答超时'),
  CLOSED: both('it closes the connection', '对方关闭了连接'),
  NOT_REDIS: both('what answers there is no Redis', '那里应答的不是 Redis'),
};

/** What no setting of wxkeeper makes usable; the self-test would only trip over it. */
export function wrongKind(info: Info | undefined): string | undefined {
  if (info?.redis_mode === 'cluster') return 'CLUSTER';
  if (info?.redis_mode === 'sentinel') return 'SENTINEL';
  return info?.role === 'slave' && info.slave_read_only !== '0' ? 'READONLY' : undefined;
}

/** Why Redis cannot be used, when `redisProblem` says so. */
export function unreachable({ redisProblem: problem = '', config }: Installation): Check {
  const { redis } = config;
  const where = whereIs(redis);
  const usual = both(
    `See that Redis runs there, and that host and port in ${where} and the firewall are right.`,
    `确认 Redis 在运行，${where} 的主机和端口正确，防火墙放行。`,
  );
  const said = redis.url === undefined ? `REDIS_TLS=${String(usesTls(redis))}` : 'REDIS_URL';
  const wanted = redis.url === undefined ? 'REDIS_TLS=true' : 'rediss://';
  const way = usesTls(redis)
    ? both(
        ` ${said} says TLS: does Redis speak it at this port?`,
        ` ${said} 表示使用 TLS：该端口是否启用了 TLS？`,
      )
    : both(
        ` ${said} says no TLS: does Redis want TLS (${wanted}) at this port?`,
        ` ${said} 表示不使用 TLS：该端口是否要求 TLS（${wanted}）？`,
      );
  // There is somebody who does not answer as he should.
  const mayBeTls = /^(?:timeout|CLOSED|ETIMEDOUT|ECONNRESET|EPROTO|ERR_SSL|NOT_REDIS|EPIPE)/.test(
    problem,
  );
  const either = mayBeTls ? both(usual.en + way.en, usual.zh + way.zh) : usual;
  const known = explainWord(problem);
  return failed('redis', NAMES.connection, {
    code: problem === 'READONLY' ? 'redis_refuses_writes' : 'store_unavailable',
    seen: IN_WORDS[problem] ?? (known === undefined ? both(problem) : named(known.means, problem)),
    advice: known?.remedy ?? either,
  });
}

function whereIs({ url, cluster }: Installation['config']['redis']): string {
  if (url !== undefined) return 'REDIS_URL';
  return cluster === undefined ? 'REDIS_SENTINELS' : 'REDIS_CLUSTER';
}

/** The word itself last, so that it can be searched for. */
function named({ en, zh }: Text, word: string): Text {
  return both(`${en}: ${word}`, `${zh}：${word}`);
}

type Info = Readonly<Record<string, string>>;

/** What each master says of itself; undefined when our user may not ask. */
async function readInfos({ store }: Installation): Promise<Info[] | undefined> {
  try {
    return await eachMaster(store.redis, readInfo);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('NOPERM')) return undefined;
    return onRedis(() => Promise.reject(error as Error));
  }
}

async function readInfo(server: Redis): Promise<Info> {
  const text = await server.info();
  return {
    ...Object.fromEntries(
      text.split('\r\n').map((line) => {
        const at = line.indexOf(':');
        return [line.slice(0, at), line.slice(at + 1)];
      }),
    ),
    address: addressOf(server),
  };
}

const GRAVITY = ['failed', 'warn', 'skipped', 'ok'] as const;

/** The gravest that one of several servers gives, with its address. */
function worstOf(servers: readonly Info[], check: (info: Info) => Check): Check {
  const [worst] = servers
    .map((info) => ({ info, check: check(info) }))
    .sort((a, b) => GRAVITY.indexOf(a.check.state) - GRAVITY.indexOf(b.check.state));
  if (worst === undefined) return check({});
  const { en, zh } = worst.check.seen;
  const { address = '' } = worst.info;
  if (servers.length === 1 || worst.check.state === 'ok') return worst.check;
  return { ...worst.check, seen: both(`${address}: ${en}`, `${address}：${zh}`) };
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
      `${policy}: what other services read may vanish when memory is full, which wxkeeper writes again, and also by what repeats of pushes are known`,
      `${policy}：内存满时其他服务读取的键可能被淘汰，wxkeeper 会重新写入；识别重复推送的标记也可能被淘汰`,
    ),
    advice: both('Set maxmemory-policy noeviction.', '设置 maxmemory-policy noeviction。'),
  });
}

/** What the service itself would say of this Redis. */
function selfTestChecks(installation: Installation, result: SelfTest): Check[] {
  const { length } = neededCommands(installation.store.keys);
  const all = ok(
    'redis',
    NAMES.permissions,
    both(`all ${length} commands are allowed`, `${length} 条命令全部允许`),
  );
  const took = ok('redis', NAMES.writes, both('taken', '正常'));
  // The policy has a line of its own, and scripts have.
  const isScript = ({ operation }: SelfTest['refused'][number]) => !/^[A-Z]+$/.test(operation);
  const commands = result.refused.filter((one) => !isScript(one));
  const subjects = subjectsOf(installation);
  const found = selfTestFindings(
    { ...result, refused: commands, evicts: false, hidesFailovers: false },
    subjects,
  );
  const of = (code: string, name: typeof NAMES.writes, well: Check) => {
    const one = found.find((each) => each.code === code);
    return one === undefined ? well : fromFinding('redis', name, one);
  };
  return [
    of('redis_forbids', NAMES.permissions, all),
    of('redis_refuses_writes', NAMES.writes, took),
    scriptCheck(result, result.refused.filter(isScript)),
    ...(result.hidesFailovers
      ? [fromFinding('redis', NAMES.failovers, finding('redis_hides_failovers', null), 'failed')]
      : []),
    ...found
      .filter(({ code }) => code === 'redis_key_spoiled')
      .map((one) => fromFinding('redis', NAMES.keys, one)),
  ];
}

function subjectsOf({ config }: Installation): string[] {
  return [...config.components, ...config.accounts].map(({ appid }) => appid);
}

function scriptCheck(result: SelfTest, refused: SelfTest['refused']): Check {
  const [odd] = refused;
  const eval_ = result.refused.find(({ operation }) => operation === 'EVAL');
  const forbidden = result.forbidden.includes('EVAL');
  if (!forbidden && eval_ === undefined && odd === undefined) {
    return ok('redis', 'Lua', both('all scripts run', '全部脚本可以运行'));
  }
  const names = [...new Set(refused.map(({ operation }) => operation))].join(', ');
  const words = forbidden ? 'NOPERM' : ((odd ?? eval_)?.words ?? '');
  const word = forbidden ? 'NOPERM' : ((odd ?? eval_)?.word ?? '');
  return failed('redis', 'Lua', {
    code: 'redis_forbids',
    seen: both(
      `scripts do not run${names === '' ? '' : `: ${names}`} (${words})`,
      `脚本无法运行${names === '' ? '' : `：${names}`}（${words}）`,
    ),
    advice:
      explainWord(word)?.remedy ??
      both(
        'Look at the log of Redis, and at the proxy before it: scripts must run as they are.',
        '查看 Redis 的日志和前面的代理：脚本必须能原样执行。',
      ),
  });
}

async function medianPing({ store, clock }: Installation): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < PINGS; round += 1) {
    const began = clock.monotonic();
    await onRedis(() => eachMaster(store.redis, (master) => master.ping()));
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

async function sealCheck(store: Installation['store']): Promise<Check> {
  await checkEncryptionKeys(store, SILENT);
  const [wrong] = sealFindings(encryptionProblem(store), 0);
  if (wrong !== undefined) return fromFinding('redis', NAMES.sealing, wrong);
  return ok(
    'redis',
    NAMES.sealing,
    both('those that sealed the stored tokens', '与加密已存 token 的密钥一致'),
  );
}
