import type { StoredError } from '../store/credentials/stored-error.ts';

/**
 * Everything that can be wrong, once: the status, the dashboard, the alerts, the metrics and the doctor
 * all speak of it under the same code, alert name and title.
 */

export const SEVERITIES = ['critical', 'warning', 'info'] as const;

/**
 * critical: merchants are, or will soon be, without credentials; warning: a person should look today;
 * info: it heals by itself.
 */
export type Severity = (typeof SEVERITIES)[number];

interface ProblemRule {
  /** Its name in webhooks and in Prometheus. */
  alert: string;
  /** The usual one. */
  severity: Severity;
  /** Seconds for which it must hold before anybody is told: most things heal within a minute. */
  afterSeconds: number;
  /** It becomes critical when it lasts or gets near. */
  escalates: boolean;
  /** It shows in several credentials of a subject at once, and is one trouble all the same. */
  shared: boolean;
  /** It is about one replica, and may not be told through Redis: each speaks of it for itself. */
  own: boolean;
}

const rule = (
  alert: string,
  severity: Severity,
  afterSeconds: number,
  { escalates = false, shared = false, own = false } = {},
): ProblemRule => ({ alert, severity, afterSeconds, escalates, shared, own });

/** In this order among those of one severity: causes before what comes of them. */
export const PROBLEMS = {
  store_unavailable: rule('WxkeeperRedisUnavailable', 'critical', 30, { own: true }),
  redis_refuses_writes: rule('WxkeeperRedisRefusesWrites', 'critical', 30, { own: true }),
  redis_forbids: rule('WxkeeperRedisForbidsCommands', 'critical', 30, { own: true }),
  redis_key_spoiled: rule('WxkeeperRedisKeySpoiled', 'critical', 60),
  seal_key_wrong: rule('WxkeeperSealKeyWrong', 'critical', 60, { own: true }),
  secret_refused: rule('WxkeeperSecretRefused', 'critical', 60, { shared: true }),
  address_not_whitelisted: rule('WxkeeperAddressNotWhitelisted', 'critical', 60, { shared: true }),
  clock_skew: rule('WxkeeperClockSkew', 'warning', 60, { escalates: true, own: true }),
  pushes_refused: rule('WxkeeperPushesRefused', 'warning', 60, { escalates: true }),
  previous_key_dropped: rule('WxkeeperPreviousKeyDropped', 'warning', 0),
  no_ticket: rule('WxkeeperNoTicket', 'critical', 900),
  ticket_expired: rule('WxkeeperTicketExpired', 'critical', 0),
  quota_exhausted: rule('WxkeeperQuotaExhausted', 'critical', 60),
  foreign_refresher: rule('WxkeeperForeignRefresher', 'critical', 0),
  wechat_unreachable: rule('WxkeeperWechatUnreachable', 'warning', 120, {
    escalates: true,
    shared: true,
  }),
  credential_dead: rule('WxkeeperCredentialDead', 'critical', 60),
  authorization_code_stuck: rule('WxkeeperAuthorizationCodeStuck', 'critical', 30),
  ticket_silent: rule('WxkeeperTicketSilent', 'warning', 0, { escalates: true }),
  ticket_refused: rule('WxkeeperTicketRefused', 'warning', 300),
  credential_refresh_failing: rule('WxkeeperRefreshFailing', 'warning', 120, { escalates: true }),
  previous_key_in_use: rule('WxkeeperPreviousKeyInUse', 'warning', 3_600),
  redis_may_evict: rule('WxkeeperRedisMayEvict', 'warning', 60),
  redis_hides_failovers: rule('WxkeeperRedisHidesFailovers', 'warning', 60),
  replica_lost: rule('WxkeeperReplicaLost', 'warning', 0),
  authorizers_behind: rule('WxkeeperAuthorizersBehind', 'warning', 300),
  target_stopped: rule('WxkeeperTargetStopped', 'critical', 0),
  target_failing: rule('WxkeeperTargetFailing', 'warning', 300, { escalates: true }),
  deliveries_dropped: rule('WxkeeperDeliveriesDropped', 'warning', 0),
  replies_failing: rule('WxkeeperRepliesFailing', 'warning', 60),
  layout_failing: rule('WxkeeperLayoutFailing', 'warning', 60),
  layout_overwritten: rule('WxkeeperLayoutOverwritten', 'warning', 0),
  quota_half_used: rule('WxkeeperQuotaHalfUsed', 'warning', 60),
  refresh_tokens_unsealed: rule('WxkeeperRefreshTokensUnsealed', 'info', 3 * 3_600, { own: true }),
  reconciliation_inconsistent: rule('WxkeeperReconciliationInconsistent', 'info', 60),
  redis_was_restarted: rule('WxkeeperRedisRestarted', 'info', 60),
} as const satisfies Record<string, ProblemRule>;

export type ProblemCode = keyof typeof PROBLEMS;

export const PROBLEM_CODES = Object.keys(PROBLEMS) as ProblemCode[];

/** What the words of a problem are made of. Never a secret. */
export type Facts = Readonly<Record<string, string | number>>;

/** What a rule has found; `wording.ts` turns it into words. */
export interface Finding {
  code: ProblemCode;
  severity: Severity;
  /** The appid it is about; null when it is about none. */
  subject: string | null;
  /** The kind of credential, the replica, or the URL of pushes, where one subject can have several of them. */
  kind: string | null;
  /** Epoch ms; null when it is not known since when. */
  since: number | null;
  facts: Facts;
  /** What WeChat, or the way to it, had to say. */
  error?: StoredError;
}

/** Fills in what is usual for a code. */
export function finding(
  code: ProblemCode,
  subject: string | null,
  more: Partial<Omit<Finding, 'code' | 'subject'>> = {},
): Finding {
  return {
    code,
    subject,
    severity: PROBLEMS[code].severity,
    kind: null,
    since: null,
    facts: {},
    ...more,
  };
}

/** The gravest first; one entry for what several credentials of a subject have from the same cause. */
export function rankFindings(findings: readonly Finding[]): Finding[] {
  const merged = new Map<string, Finding>();
  for (const one of findings) {
    const key = identityOf(one);
    const before = merged.get(key);
    merged.set(key, before === undefined ? one : merge(before, one));
  }
  return [...merged.values()].sort((a, b) => rank(a) - rank(b));
}

/** Whatever has the same identity is the same trouble, seen again. */
export function identityOf({ code, subject, kind }: Omit<Finding, 'facts'>): string {
  return [code, subject ?? '', PROBLEMS[code].shared ? '' : (kind ?? '')].join('|');
}

function merge(a: Finding, b: Finding): Finding {
  const [graver, other] = rank(a) <= rank(b) ? [a, b] : [b, a];
  const since = [a.since, b.since].filter((one) => one !== null);
  const kinds = [graver.kind, other.kind].filter((one) => one !== null).join(', ');
  return {
    ...graver,
    kind: kinds === '' ? null : kinds,
    since: since.length === 0 ? null : Math.min(...since),
    facts: kinds === '' ? graver.facts : { ...graver.facts, kind: kinds },
  };
}

function rank({ severity, code }: Finding): number {
  return SEVERITIES.indexOf(severity) * 100 + PROBLEM_CODES.indexOf(code);
}
