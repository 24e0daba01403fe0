import type { Text } from '../../lib/language.ts';

/**
 * What Redis, or the way to it, answers instead of doing what it was asked: the one table of its error
 * words, with what each means and what a person can change. Log, status and doctor speak from it.
 */

export interface RedisWord {
  means: Text;
  remedy: Text;
}

/** An error as ioredis hands it over; `command` is what Redis answered with an error. */
export type RedisError = Error & {
  code?: string;
  /** When no node of a cluster could be asked: what the last of them said. */
  lastNodeError?: RedisError | null;
  command?: { name: string; args: readonly unknown[] };
};

const both = (en: string, zh: string): Text => ({ en, zh });
const word = (means: Text, remedy: Text): RedisWord => ({ means, remedy });

const LOGIN = both(
  'Check user and password in REDIS_URL, or in REDIS_USERNAME and REDIS_PASSWORD. Where there are no users ' +
    '(ACL), as in some clouds, leave the user name out (redis://:PASSWORD@HOST); the name of an account ' +
    'belongs into the password there.',
  '检查 REDIS_URL（或 REDIS_USERNAME 与 REDIS_PASSWORD）里的用户名和密码。没有 ACL 用户的服务（如部分云厂商）' +
    '不要写用户名（redis://:密码@主机）；那里的账号名要写进密码。',
);
const CLUSTER = word(
  both('this Redis runs as a cluster', '这是 Redis Cluster'),
  both(
    'Name some of its nodes in REDIS_CLUSTER, instead of one in REDIS_URL.',
    '用 REDIS_CLUSTER 指定其若干节点，代替 REDIS_URL。',
  ),
);
const MASTER = both(
  'This is a replica that takes no writes: name the master in REDIS_URL, or its Sentinels in REDIS_SENTINELS.',
  '这是只读从库：在 REDIS_URL 里指定主库，或用 REDIS_SENTINELS 指定其 Sentinel。',
);
const READ_ONLY = word(both('this Redis is a read-only replica', '这是只读从库'), MASTER);
const SELECT = word(
  both(
    'the database that REDIS_URL names at its end is not there, and no other one is used instead',
    'REDIS_URL 末尾指定的数据库不存在；不会改用其他数据库',
  ),
  both(
    'Set the number at the end of REDIS_URL to a database that is there (`databases` in the ' +
      'configuration of Redis; 0 is always there), and allow `select` in the ACL. A Sentinel, a ' +
      'cluster and some proxies know no databases: name the Redis itself, or leave the number out.',
    '把 REDIS_URL 末尾的编号改为存在的数据库（见 Redis 配置中的 databases，0 总是存在），并在 ACL 中放行 select。' +
      'Sentinel、Cluster 和部分代理没有多数据库：请指向 Redis 本身，或去掉编号。',
  ),
);
const SENTINEL = word(
  both(
    'what answers there is a Sentinel, which stores nothing',
    '那里应答的是 Sentinel，不存储数据',
  ),
  both(
    'Name the Sentinels in REDIS_SENTINELS and their name for the master in REDIS_SENTINEL_MASTER, and leave REDIS_URL out.',
    '把 Sentinel 写进 REDIS_SENTINELS，主库名称写进 REDIS_SENTINEL_MASTER，并去掉 REDIS_URL。',
  ),
);
const HELLO = word(
  both('it refuses HELLO 3', '它拒绝 HELLO 3'),
  both(
    'Set REDIS_PROTOCOL=2: what answers there knows only RESP2.',
    '设置 REDIS_PROTOCOL=2：对方只支持 RESP2。',
  ),
);
const INFO = word(
  both(
    'it refuses INFO, by which is seen whether it is ready',
    '它拒绝 INFO，因而无法得知是否就绪',
  ),
  both(
    'Allow `info` in the ACL, or in the proxy before Redis.',
    '在 ACL 或 Redis 前面的代理中放行 info。',
  ),
);
const MISSING = word(
  both('it lacks a command that wxkeeper needs', '它缺少 wxkeeper 需要的命令'),
  both(
    'This Redis, or the proxy before it, lacks a command that wxkeeper needs: renamed or switched off, ' +
      'or Redis is older than 7.0. Take `rename-command` out of its configuration, or update it.',
    '这个 Redis 或其前面的代理缺少 wxkeeper 需要的命令：被改名或禁用，或版本低于 7.0。' +
      '请去掉配置中的 rename-command，或升级。',
  ),
);
const SCRIPT_CHECK = word(
  both(
    'what stands before it reads scripts first and refuses ours',
    '它前面的代理会先检查脚本，并拒绝了本服务的脚本',
  ),
  both(
    'Set script_check_enable to 0 among the parameters of the instance (Alibaba Cloud), or take a ' +
      'standard instance in place of a cluster behind a proxy, or the direct addresses of the cluster in REDIS_CLUSTER.',
    '在实例的参数设置里把 script_check_enable 设为 0（阿里云），或改用标准版实例，或把集群的直连地址写进 REDIS_CLUSTER。',
  ),
);
const NO_SCRIPTS = word(
  both('it runs no scripts', '它不执行 Lua 脚本'),
  both(
    'wxkeeper needs EVAL and EVALSHA. In a cloud take a standard instance in place of a sharded one, and ' +
      'its newest minor version; in a Redis of your own take `rename-command` out of its configuration.',
    'wxkeeper 需要 EVAL 和 EVALSHA。云上请改用标准版（非分片）实例，并升级到最新小版本；' +
      '自建 Redis 请去掉配置中的 rename-command。',
  ),
);
const CERTIFICATE = word(
  both('its certificate is not trusted', '它的证书不受信任'),
  both(
    'Name the authority of its certificate in REDIS_TLS_CA_FILE; if the certificate is for another name, that name in REDIS_TLS_SERVERNAME.',
    '用 REDIS_TLS_CA_FILE 指定签发证书的 CA；若证书中的名称不同，用 REDIS_TLS_SERVERNAME 指定。',
  ),
);
const EXPIRED = word(
  both('its certificate has expired', '它的证书已过期'),
  both(
    'Renew it at Redis, and see that the clock of this machine is right.',
    '更新 Redis 的证书，并确认本机时钟正确。',
  ),
);
const BUSY = word(
  both('it is busy with a script of somebody else', '它正忙于执行别人的脚本'),
  both(
    'Find out whose script or command runs there for so long; nobody else should use this Redis.',
    '查明是谁的脚本或命令执行这么久；这个 Redis 不应与他人共用。',
  ),
);

const NOT_A_CLUSTER = word(
  both('this Redis is no cluster', '这不是 Redis Cluster'),
  both(
    'Name it in REDIS_URL, or its Sentinels in REDIS_SENTINELS, instead of REDIS_CLUSTER.',
    '改用 REDIS_URL 指定它，或用 REDIS_SENTINELS 指定其 Sentinel，不要用 REDIS_CLUSTER。',
  ),
);
const CLUSTER_DOWN = word(
  both('this is a cluster that is down', 'Redis Cluster 不可用'),
  both(
    'Some of its slots have no master: start the nodes that are away, or promote their replicas; `CLUSTER INFO` and `CLUSTER NODES` say which.',
    '部分槽没有主节点：启动缺失的节点或提升其从节点；`CLUSTER INFO` 和 `CLUSTER NODES` 会说明是哪些。',
  ),
);
const SHARD_AWAY = word(
  both('a master of the cluster does not answer', 'Redis Cluster 的一个主节点没有应答'),
  both(
    'Start it, or promote its replica; `CLUSTER NODES` says who they are. The others go on only if cluster-require-full-coverage is no.',
    '启动它或提升其从节点；`CLUSTER NODES` 会列出各节点。只有 cluster-require-full-coverage 为 no 时其余节点才继续服务。',
  ),
);
const SENTINEL_LOGIN = word(
  both('the Sentinels refuse our login', 'Sentinel 拒绝了登录'),
  both(
    'Check REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD; REDIS_PASSWORD is not sent to Sentinels.',
    '检查 REDIS_SENTINEL_USERNAME 和 REDIS_SENTINEL_PASSWORD；REDIS_PASSWORD 不会发送给 Sentinel。',
  ),
);
const SENTINEL_MASTER = word(
  both('the Sentinels know no master of that name', 'Sentinel 不知道这个名称的主库'),
  both(
    'Set REDIS_SENTINEL_MASTER to a name that `SENTINEL masters` lists.',
    '把 REDIS_SENTINEL_MASTER 设为 `SENTINEL masters` 列出的名称。',
  ),
);
const SENTINEL_AWAY = word(
  both('no Sentinel can be asked', '无法连接任何 Sentinel'),
  both(
    'See that the Sentinels run at the addresses in REDIS_SENTINELS, whether they speak TLS as REDIS_SENTINEL_TLS or REDIS_TLS says, and whether REDIS_TLS_CA_FILE names the authority of their certificates.',
    '确认 Sentinel 运行在 REDIS_SENTINELS 的地址上，是否使用 TLS 与 REDIS_SENTINEL_TLS 或 REDIS_TLS 一致，且 REDIS_TLS_CA_FILE 指定了其证书的 CA。',
  ),
);

const WORDS: readonly (readonly [RegExp, RedisWord])[] = [
  [/^WRONGPASS$/, word(both('it refuses user or password', '它拒绝了用户名或密码'), LOGIN)],
  [/^NOAUTH$/, word(both('it asks for a password', '它要求密码'), LOGIN)],
  [/^AUTH$/, word(both('it does not take our login', '它不接受我们的登录方式'), LOGIN)],
  [
    /^NOPERM$/,
    word(
      both('our user may not do that', '当前用户无此权限'),
      both(
        'Allow these commands in the ACL of the user that wxkeeper logs in with; docs/production.md has the whole line.',
        '在 wxkeeper 所用 Redis 用户的 ACL 中放行这些命令；整行写法见 docs/production.zh-CN.md。',
      ),
    ),
  ],
  [
    /^OOM$/,
    word(
      both('its memory is full', '内存已满'),
      both(
        'Its memory is full: raise maxmemory, or find out what else is kept there.',
        '它的内存满了：调高 maxmemory，或查清里面还存了什么。',
      ),
    ),
  ],
  [
    /^MISCONF$/,
    word(
      both('it cannot write to its disk', '无法写入磁盘'),
      both(
        'It cannot write to its disk: make room there. Its log says why.',
        '它写不了磁盘：请腾出空间。它的日志里有原因。',
      ),
    ),
  ],
  [
    /^NOREPLICAS$/,
    word(
      both('it has too few replicas at hand to take writes', '可用从库太少，拒绝写入'),
      both(
        'Start its replicas, or lower min-replicas-to-write.',
        '启动它的从库，或调低 min-replicas-to-write。',
      ),
    ),
  ],
  [/^READONLY$/, READ_ONLY],
  [
    /^MASTERDOWN$/,
    word(both('it is a replica that has lost its master', '这是与主库断开的从库'), MASTER),
  ],
  [
    /^LOADING$/,
    word(
      both('it is loading its data', '它正在加载数据'),
      both('Wait until it has loaded them.', '等待加载完成。'),
    ),
  ],
  [/^BUSY$/, BUSY],
  [/^SENTINEL_(?:NOAUTH|WRONGPASS|NOPERM)$/, SENTINEL_LOGIN],
  [/^SENTINEL_MASTER$/, SENTINEL_MASTER],
  [/^SENTINEL_AWAY$/, SENTINEL_AWAY],
  [/^(?:CLUSTER|MOVED|ASK|CROSSSLOT)$/, CLUSTER],
  [/^NO_CLUSTER$/, NOT_A_CLUSTER],
  [/^CLUSTERDOWN$/, CLUSTER_DOWN],
  [/^SHARD_AWAY$/, SHARD_AWAY],
  [/^SENTINEL$/, SENTINEL],
  [/^(?:SELECT|DB_INDEX|unknown command select)$/i, SELECT],
  [/^(?:HELLO|NOPROTO)$/, HELLO],
  [/^(?:INFO|unknown command info)$/i, INFO],
  [/^SCRIPT_CHECK$/, SCRIPT_CHECK],
  [/^unknown command (?:eval|script)/i, NO_SCRIPTS],
  [/^unknown command/, MISSING],
  [
    /^WRONGTYPE$/,
    word(
      both('a key of ours holds something else', '本服务的键里存着别的东西'),
      both('Look at that key, and rename or delete it.', '检查该键，改名或删除它。'),
    ),
  ],
  [/^CERT_HAS_EXPIRED$/, EXPIRED],
  [/CERT|_TLS_|SELF_SIGNED|ISSUER/, CERTIFICATE],
];

/** What the word means, and what to change; undefined for the many ways not to be reached. */
export function explainWord(name: string): RedisWord | undefined {
  return WORDS.find(([form]) => form.test(name))?.[1];
}

/** What has a word of its own and is said without it: by the proxies of clouds, and by Redis 6 in scripts. */
const IN_OTHER_WORDS: readonly (readonly [RegExp, string])[] = [
  [/bad lua script|undeclared key|keys that do not hash to the same slot/i, 'SCRIPT_CHECK'],
  [/^ERR .*(?:number of keys can't be negative|numkeys must be bigger) /, 'SCRIPT_CHECK'],
  [/keys must (?:be )?in (?:the )?same slot/, 'CROSSSLOT'],
  [/^The user executing the script can't/, 'NOPERM'],
  [/DB index is out of range/, 'DB_INDEX'],
  [/not allowed in cluster mode/, 'CLUSTER'],
  [/cluster support disabled/, 'NO_CLUSTER'],
];

/** What ioredis says of a connection that was closed by either side. */
export const CLOSED = 'Connection is closed.';

/** The word of Node or of Redis, or what can be said without one. Texts of errors may hold the password. */
export function wordOf({ code, message, command, lastNodeError }: RedisError): string {
  if (lastNodeError) return wordOf(lastNodeError);
  if (code !== undefined) return code;
  const text = bare(message);
  if (text === CLOSED) return 'CLOSED';
  if (text.startsWith('All sentinels are unreachable')) return wordOfSentinels(text);
  const [, said] = IN_OTHER_WORDS.find(([form]) => form.test(text)) ?? [];
  if (said !== undefined) return said;
  const [, unknown] =
    /^ERR (?:unknown command ['`]?|command (?=\S+ not support))([\w|-]+)/i.exec(text) ?? [];
  if (unknown !== undefined) return `unknown command ${unknown}`;
  if (/^(?:ERR )?Unknown Redis command/i.test(text)) return 'unknown command';
  const name = /^[A-Z]{3,}(?= )/.exec(text)?.[0];
  if (name === 'ERR') return handshakeOf(command?.name) ?? name;
  if (text !== message) return name ?? 'ERR';
  return (
    name ?? (text.includes('timed out') || /^Socket timeout/.test(text) ? 'timeout' : 'NOT_REDIS')
  );
}

/** Only the text has what the last of them said. */
function wordOfSentinels(text: string): string {
  const last = lastOfSentinels(text);
  const [login] = /^(?:NOAUTH|WRONGPASS|NOPERM)\b/.exec(last) ?? [];
  if (login !== undefined) return `SENTINEL_${login}`;
  // One that knows the name but not the address says nothing at all.
  if (last === '' || last.includes('No such master')) return 'SENTINEL_MASTER';
  const [certificate] = /self.signed|certificate|altnames/i.exec(last) ?? [];
  return certificate === undefined ? 'SENTINEL_AWAY' : 'CERT_OF_SENTINEL';
}

function lastOfSentinels(text: string): string {
  return /^All sentinels are unreachable\b.* Last error: ([^]*)$/.exec(text)?.[1] ?? '';
}

/** Refused in words of its own, it is the step of the handshake that tells what to change. */
function handshakeOf(command = ''): string | undefined {
  return /^(?:hello|auth|select|info)$/i.test(command) ? command.toUpperCase() : undefined;
}

/**
 * Redis's own first words, without what it repeats of that which it was sent: those may be values.
 * Only a single word in quotes is kept: it is the name of a command.
 */
export function firstWordsOf({ message, lastNodeError, code }: RedisError): string {
  // The address.
  if (code === 'SHARD_AWAY') return message;
  const said = lastNodeError?.message ?? (lastOfSentinels(message) || message);
  const text = bare(said).replace(/ script: [^]*$/, '');
  const [words] = /^(?:[^'"`,:;.(]|(['"`])[\w|-]{1,30}\1)*/.exec(text) ?? [''];
  const short = words.replace(/\S{24,}/g, '…');
  return short.trim().split(/\s+/).slice(0, 14).join(' ');
}

/** Without what Redis 6 puts before an error that a command within a script has met: `-READONLY You …`. */
function bare(message: string): string {
  return message.replace(
    /^ERR Error running script \(call to \w+\): (?:@user_script: ?\d+: )+-?/,
    '',
  );
}
