import { explainWord } from '../../store/redis/error-words.ts';
import type { Facts } from '../problems.ts';
import {
  because,
  problem,
  refusalOf,
  type PushUrlWords,
  type RefusalWords,
  type Words,
} from './words.ts';

const CHECK =
  '请在开放平台控制台确认“授权事件接收 URL”填写正确、已开启票据推送，并且微信能访问到它；再看日志里有没有被拒绝的推送。';
/** Pushes that arrive and are refused are the likelier cause. */
const callback = (facts: Facts) =>
  facts.pushes === undefined
    ? CHECK
    : `有推送被拒绝，这可能就是原因。${refusalOf(REFUSALS, facts.pushes).remedy(facts)}`;
const STATE = {
  fresh: '正常',
  due: '待刷新',
  urgent: '即将过期',
  expired: '已过期',
  missing: '缺失',
} as const;

const stateOf = ({ state }: Facts) => STATE[state as keyof typeof STATE];
const tries = ({ failures }: Facts) =>
  Number(failures) === 0 ? '' : `，已连续失败 ${failures} 次`;
/** The state is that of the first kind: the gravest. */
const failing = (facts: Facts) => {
  const [first, ...others] = String(facts.kind).split(', ');
  const too = others.length === 0 ? '' : `；${others.join('、')} 因同样的原因无法刷新`;
  const reason = facts.reason === undefined ? '' : `${facts.reason}。`;
  return `${first} ${stateOf(facts)}${tries(facts)}${too}。${reason}`;
};
const remedy = (facts: Facts) => String(facts.remedy ?? '所需的票据或 token 一到就会自动刷新。');

const LOOK_AFTER =
  '先处理 Redis：确认它在 REDIS_URL（或 REDIS_SENTINELS、REDIS_CLUSTER）所指的地址运行，再看它的日志、内存、磁盘和网络。';
const remedyOf = ({ word }: Facts) =>
  word === undefined ? undefined : explainWord(String(word))?.remedy.zh;
const unusable = ({ word, words }: Facts) => {
  const { means } = explainWord(String(word)) ?? {};
  if (means !== undefined) return `Redis 无法使用，${means.zh}（${words}）`;
  return `Redis 没有响应或拒绝了命令${word === undefined ? '' : `（${word}）`}`;
};
const refusal = ({ denied, words, key, version }: Facts) => {
  const on = key === undefined ? '' : `（键 ${key}）`;
  return `Redis${version === undefined ? '' : ` ${version}`} 拒绝了 ${denied}${on}：${words}。`;
};

export const zh: Words = {
  allWell: '一切正常。',
  verdict: (title, subject, more) => {
    const who = subject === null ? '' : `（${subject}）`;
    return more === 0 ? `${title}${who}。` : `${title}${who}，另有 ${more} 个问题。`;
  },
  problems: {
    store_unavailable: problem(
      'Redis 连不上',
      (facts) => `${unusable(facts)}：推送一律返回 503，任何凭据都不会刷新。`,
      (facts) => `${remedyOf(facts) ?? LOOK_AFTER}恢复后一切自动继续。`,
    ),
    redis_refuses_writes: problem(
      'Redis 拒绝写入',
      ({ reason }) => `Redis 不再接受写入（${reason}）：新票据、新 token 都存不进去。`,
      ({ reason }) => remedyOf({ word: reason ?? '' }) ?? '请查看 Redis 的日志。',
    ),
    redis_forbids: problem(
      'Redis 禁止了必需的命令',
      ({ commands, ...facts }) =>
        [
          commands === undefined ? '' : `Redis 不允许我们的用户执行：${commands}。`,
          facts.denied === undefined ? '' : refusal(facts),
        ].join(''),
      ({ commands, ...facts }) =>
        commands === undefined
          ? (remedyOf(facts) ?? '请查看 Redis 及其前面代理的日志。')
          : '请在 wxkeeper 所用 Redis 用户的 ACL 里放行这些命令。',
    ),
    redis_key_spoiled: problem(
      '本服务的键里存着别的东西',
      ({ reason }) =>
        `有人在 wxkeeper 存放数据的位置写入了别的类型（WRONGTYPE）：${reason}。应存的数据存不进去。`,
      '用 TYPE 检查该键，用 RENAME 改名或删除；wxkeeper 会重新建立。',
    ),
    seal_key_wrong: problem(
      'refresh token 解不开',
      ({ reason }) => `${reason}。相关授权方的 token 不再刷新；已存的内容不会被覆盖。`,
      ({ cause }) =>
        cause === 'token'
          ? '密钥并不缺少。请查明是谁改动了 Redis；从备份恢复这些记录，或让账号重新授权。'
          : '把加密时用的密钥放回 REFRESH_TOKEN_KEYS，然后重启 wxkeeper。',
    ),
    secret_refused: problem('微信不认 AppSecret', failing, remedy),
    address_not_whitelisted: problem('本机出口 IP 不在微信白名单里', failing, remedy),
    no_ticket: problem(
      '还没有票据',
      () => '自首次启动或 Redis 被清空以来，还没有收到票据：微信每 10 分钟推送一次。',
      callback,
    ),
    ticket_expired: problem(
      '最后一张票据已过期',
      () => '最后一张票据已超过 12 小时：component_access_token 无法刷新。',
      (facts) => `${callback(facts)}收到下一张票据后，一切自动恢复。`,
    ),
    quota_exhausted: problem('微信接口当日额度已用完', failing, remedy),
    foreign_refresher: problem(
      '有别的程序在刷新我们的凭据',
      ({ kind, since, refused }) =>
        `自 ${since} 起，有别的程序用同一个 AppSecret 获取 ${kind}，使我们的有效值提前失效，最近一次在 ` +
        `${refused}。我们每半小时最多重新获取一次。`,
      '找到持有 AppSecret 的另一个程序（测试机、旧部署），让它改从这里读取；或重置 AppSecret，可立即终止。',
    ),
    wechat_unreachable: problem('连不上微信', failing, remedy),
    credential_dead: problem('没有可用的凭据', failing, remedy),
    authorization_code_stuck: problem(
      '有授权无法完成',
      ({ reason }) => `有账号已授权，但它的授权码换不到 token：${reason}。`,
      (facts) => `${facts.remedy}授权码十分钟内有效，过后需要商家重新授权。`,
    ),
    ticket_silent: problem(
      '票据推送中断',
      ({ minutes, refused }) =>
        refused === undefined
          ? `已有 ${minutes} 分钟没有收到票据；现存的一张可用到满 12 小时。`
          : `已有 ${minutes} 分钟没有收到票据，而微信不认现存最新的一张。`,
      callback,
    ),
    ticket_refused: problem(
      '微信不认最新的票据',
      () => '微信拒绝了最新的票据；已请求重新推送。',
      `几分钟内有新推送就不用处理。否则：${CHECK}`,
    ),
    credential_refresh_failing: problem('凭据刷新失败', failing, remedy),
    clock_skew: problem(
      '时钟不一致',
      ({ redis, wechat }) =>
        `本机时钟与 Redis 相差 ${redis} 秒` +
        `${wechat === undefined ? '' : `，与微信相差 ${wechat} 秒`}。`,
      '检查本机和 Redis 所在机器的 NTP：本机偏差到 5 分钟时推送会被拒绝，而凭据的时间以 Redis 为准。',
    ),
    pushes_refused: problem(
      '推送被拒绝',
      (facts) => {
        const { count, since, path, kind, reason, others } = facts;
        const where = PUSH_URLS[kind as keyof PushUrlWords];
        const { cause } = refusalOf(REFUSALS, reason);
        const pushes =
          others === undefined
            ? `发到${where}的推送已连续被拒绝 ${count} 次`
            : `发到${where}的推送有 ${count} 次被拒绝，其间别的推送照常收下`;
        return `自 ${since} 起，${pushes}，最近一次的路径是 ${path}：${cause(facts)}。`;
      },
      (facts) => refusalOf(REFUSALS, facts.reason).remedy(facts),
    ),
    previous_key_dropped: problem(
      '旧密钥移除得太早',
      ({ since }) =>
        `${since} 还有推送使用旧的 Token 或 EncodingAESKey，而它们已不在配置里：这样的推送会被拒绝。`,
      '把 COMPONENT_PREVIOUS_TOKEN、COMPONENT_PREVIOUS_ENCODING_AES_KEY 加回来，直到一整天没有推送用到它们；' +
        '并确认控制台里填的是新值。',
    ),
    previous_key_in_use: problem(
      '旧密钥仍在使用',
      ({ since }) =>
        `微信仍在用旧的 Token 或 EncodingAESKey，最近一次在 ${since}：现在移除会丢失这些推送。`,
      '保留旧值，直到一整天没有推送用到它。控制台里的修改要等平台重新全网发布后才生效。',
    ),
    redis_may_evict: problem(
      'Redis 可能淘汰凭据',
      () => 'Redis 内存满时可能丢掉任何键，包括 refresh token。',
      '把 maxmemory-policy 设为 noeviction：现在就改，并写进配置文件。',
    ),
    redis_hides_failovers: problem(
      'Redis 隐藏了主备切换',
      () =>
        '脚本里的 INFO 看不到复制 ID（master_replid），重启和主备切换就无从察觉。若切换丢了最后的写入，' +
        '读取方可能拿到已失效的 token，直到有人上报。',
      '通常是 Redis 前面的代理所致：请改用标准版实例，或直连 Redis。在此之前，每次主备切换后请强制刷新各凭据。',
    ),
    replica_lost: problem(
      '有副本失联',
      ({ replica, seen }) => `副本 ${replica} 最后一次出现在 ${seen}，没有正常退出。`,
      '查看它所在的主机和日志。其间由其他副本接手。有新副本启动后此项消失；若有意不再补上，一天后会自动忘记它。',
    ),
    authorizers_behind: problem(
      '授权方 token 刷新积压',
      ({ due, seconds }) =>
        `${due} 个授权方在等新 token，等得最久的已有 ${seconds} 秒。等待超过刷新窗口，token 就会失效。`,
      '故障恢复后会按 AUTHORIZER_REFRESHES_PER_SECOND 自动消化。如果还在增长：调高该值、增加副本，' +
        '或在日志里查微信的慢响应。',
    ),
    target_stopped: problem(
      '转发目标不再接收',
      ({ kind, target, waiting }) =>
        `路由 ${kind} 的目标（${target}）返回了 410，已停止转发；${waiting} 条在等待。`,
      '如果是有意的，从 CONFIG_FILE 中去掉该路由，等待的内容两周后清除；否则修复目标后恢复它（看板，或 ' +
        'POST …/deliveries/{route}/resume），等待的内容会全部补发。',
    ),
    target_failing: problem(
      '转发目标不接收',
      ({ kind, target, waiting, answered }) =>
        `路由 ${kind} 的目标（${target}）不接收转发，最近一次：${reasonOf(answered)}；${waiting} 条在等待。`,
      '请查看该应用的日志，并确认从本机可以访问。一天内不会丢失，之后作为死信保留一周。npm run doctor 会试探该目标。',
    ),
    replies_failing: problem(
      '用户收不到目标的回复',
      ({ kind, target, missed, count }) =>
        `路由 ${kind} 向 ${target} 请求回复，最近 ${count} 位用户没有收到：${missedOf(missed)}。`,
      '回复须在 4.5 秒内完整返回，状态为 2xx，格式见 docs/delivering.zh-CN.md“回复用户”。请查看该应用的日志。转发本身照常进行。',
    ),
    deliveries_dropped: problem(
      '有转发被放弃',
      ({ kind, dead, dropped }) =>
        [
          Number(dead) === 0 ? '' : `路由 ${kind} 有 ${dead} 条转发已放弃，保留一周。`,
          Number(dropped) === 0 ? '' : `路由 ${kind} 有 ${dropped} 条转发被丢弃：空间不足或过旧。`,
        ].join(''),
      '用 GET …/pushes/{id} 查看失败原因，修复目标后重放，或丢弃。若是空间不足，调大 DELIVERY_MEGABYTES，或更快修复目标。',
    ),
    layout_failing: problem(
      '应用的缓存键无法写入',
      ({ kind, reason }) =>
        `布局 ${kind} 无法发布：${reason}。读取它的应用看到的是之前的值，过期之后就没有值。`,
      '请检查该 Redis：CONFIG_FILE 中该布局的 redis_url；没有设置时，检查 REDIS_URL 的用户能否读取、写入和删除该布局的键。每 15 秒重试一次。',
    ),
    layout_overwritten: problem(
      '有应用在写已发布的缓存键',
      ({ kind, credential, count }) =>
        `布局 ${kind} 的键里（最近一次是 ${credential}）出现了不是 wxkeeper 写入的值，至今 ${count} 次；已恢复，未采用。`,
      '有应用仍在自行获取凭据，可能让其他应用的 token 失效。请把它的 AppSecret 换成 wxkeeper 的 key，并把域名指向 wxkeeper；账号和种类见日志。',
    ),
    quota_half_used: problem(
      '微信接口当日额度已用一半',
      ({ kind, calls, allowed }) =>
        `${kind} 今天已调用 ${calls} 次，上限 ${allowed} 次；到 90 % 后只做必需的调用。`,
      '在历史和日志里找原因，例如某个服务把好的凭据报成失效。',
    ),
    refresh_tokens_unsealed: problem(
      'refresh token 未加密存放',
      ({ seen }) => `已设置 REFRESH_TOKEN_KEYS，但读到的 refresh token 中有 ${seen} 个没有加密。`,
      '开启加密后两小时内会全部加密。如果持续更久，或在之后才出现，说明有人手工写入了 Redis：请查明是谁。',
    ),
    reconciliation_inconsistent: problem(
      '微信的授权方列表自相矛盾',
      () => '微信的授权方列表自相矛盾，因此没有把任何账号标为缺失。',
      '无需处理：丢失的已恢复，明天会再核对一次。',
    ),
    redis_was_restarted: problem(
      'Redis 重启过',
      ({ kind, until }) => `Redis 重启或发生了主备切换；${kind} 在 ${until} 之后会重新获取一次。`,
      '无需处理：其间照常提供现有的值。',
    ),
  },
};

const reasonOf = (answered: Facts[string] | undefined) => {
  const known: Readonly<Record<string, string>> = {
    timeout: '十秒内没有响应',
    forbidden_address: '地址为内网且不在 DELIVERY_NETWORKS 中',
    unreachable: '无法连接',
    tls: '证书不被接受',
    broken_off: '响应中断',
  };
  return known[String(answered)] ?? `状态码 ${String(answered)}`;
};

const missedOf = (missed: Facts[string] | undefined) => {
  const known: Readonly<Record<string, string>> = {
    late: '返回太晚',
    failed: '没有响应，或状态不是 2xx',
    malformed: '内容不是微信能接受的',
  };
  return known[String(missed)] ?? String(missed);
};

const PUSH_URLS: PushUrlWords = {
  event: '“授权事件接收 URL”',
  message: '“消息与事件接收 URL”',
  other: '这两个 URL 以外的地址',
};

/** Of the platform, or of any. */
const own = ({ appid }: Facts) => (appid === undefined || appid === '' ? 'APPID' : String(appid));
const addresses = (facts: Facts) =>
  `控制台里“授权事件接收 URL”应为 PUBLIC_BASE_URL/callback/${own(facts)}，` +
  `“消息与事件接收 URL”应为 PUBLIC_BASE_URL/callback/${own(facts)}/$APPID$。`;
const STRANGERS = '陌生人的噪声看起来也是这样';

const REFUSALS: RefusalWords = {
  urls_exchanged: because(
    '账号的消息发到了平台事件的 URL，或者反过来',
    (facts) => `两个 URL 填反了，或两栏填了同一个 URL。${addresses(facts)}`,
  ),
  aes_key: because(
    '签名用的是我们的 Token，但加密用的不是我们的 EncodingAESKey',
    '核对 COMPONENT_ENCODING_AES_KEY 与控制台里的“消息加解密 Key”。如果在控制台改过，把旧值设为 ' +
      'COMPONENT_PREVIOUS_ENCODING_AES_KEY：改动要等平台重新全网发布后才生效。',
  ),
  foreign_component: because(
    '签名和加密都对，但这些推送是给另一个平台的',
    (facts) => `另一个平台的 URL 指到了这里，或两个平台共用一个 Token。${addresses(facts)}`,
  ),
  clock: because(
    ({ detail }) =>
      detail === undefined || detail === ''
        ? '签名里的时间与本机时钟相差太多'
        : `本机时钟比签名里的时间${apart(Number(detail))}`,
    '用 NTP 校时（timedatectl set-ntp true）：微信签名用的时间是准的，最多允许相差五分钟。如果本机时钟没错，' +
      '说明有东西扣留了推送，或在重发旧的推送。',
  ),
  unreadable: because(
    '签名和加密用的都是我们的 Token 和 EncodingAESKey，但加密方式与微信的不同',
    '有别的程序也掌握 Token 和 EncodingAESKey 并在生成推送：例如测试程序，或途中重新加密的环节。如果都没有，' +
      '就是我们的缺陷：请附上那一行日志反馈。',
  ),
  sent_again: because(
    '有人截获了推送，并当作新的重发',
    '这些推送没有产生任何作用。查明推送在途中的哪里被读取：记录请求体的代理、明文 http、旧的接收程序；然后更换 Token。',
  ),
  clear_mode: because('内容完全没有加密', '在控制台选择“安全模式”；明文消息谁都可以伪造。'),
  bad_signature: because(
    '签名用的不是我们的 Token',
    `核对 COMPONENT_TOKEN 与控制台里的“消息校验 Token”。${STRANGERS}：如果票据和消息都能收到，就不用处理。`,
  ),
  appid_placeholder: because(
    'URL 里有字面的 $APPID$',
    (facts) => `微信只在“消息与事件接收 URL”里替换 $APPID$，而且必须原样书写。${addresses(facts)}`,
  ),
  unknown_component: because(
    ({ detail }) =>
      detail === undefined || detail === ''
        ? 'URL 里的平台没有配置'
        : `URL 里的 ${detail} 不是已配置的平台`,
    '核对 URL 里的 appid 与 COMPONENT_APPID 或 CONFIG_FILE：其中有一个填错了。要填的是第三方平台的 appid，不是账号的。',
  ),
  path: because('路径不是我们的地址', (facts) => addresses(facts)),
  form: because(
    '它们不是推送的形式',
    '检查微信与这里之间的环节：代理必须原样转发路径、查询串和请求体，不能压缩，最大 64 KB；那一行日志会说明哪里不对。' +
      `${STRANGERS}：如果票据和消息都能收到，就不用处理。`,
  ),
};

function apart(ahead: number): string {
  return `${ahead < 0 ? '慢' : '快'} ${Math.abs(ahead)} 秒`;
}
