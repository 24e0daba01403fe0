import { both, failed, ok, skipped, warn, type Check } from './check.ts';
import type { Installation } from './installation.ts';
import { explainProxy } from './outgoing.ts';
import { ask, probe, ProbeError, probeThrough, tunnelTo, type Answered } from './probe.ts';
import type { Text } from '../../lib/language.ts';
import { proxyFor, type Proxy } from '../../lib/proxy.ts';
import { ProxyError } from '../../lib/tunnel.ts';

/** Each of WeChat's hosts by itself: the service would only ever try the first one that works. */

export interface WechatVisit {
  checks: Check[];
  /** WeChat's time and when it was heard, epoch ms, from the first host that told it. */
  clock: { date: number; heardAt: number } | undefined;
  /** Did any host answer as WeChat does? */
  isThere: boolean;
}

/** @param broken proxies that nothing goes through, which has been told */
export async function examineWechat(
  installation: Installation,
  broken: ReadonlySet<Proxy> = new Set(),
): Promise<WechatVisit> {
  const { config } = installation;
  const visits = await Promise.all(
    config.wechatApiBaseUrls.map((text) => {
      const url = new URL(text);
      const proxy = proxyFor(config, url);
      return proxy !== undefined && broken.has(proxy)
        ? Promise.resolve(behindBroken(url))
        : visit(installation, url, proxy);
    }),
  );
  const checks = visits.map(({ host, seen, problem, isSkipped }, index) => {
    if (isSkipped === true) return skipped('wechat', host, seen);
    if (problem === undefined) return ok('wechat', host, seen);
    const trouble = { code: 'wechat_unreachable', seen, advice: problem } as const;
    // The others serve only when the first one does not.
    return index === 0 ? failed('wechat', host, trouble) : warn('wechat', host, trouble);
  });
  return {
    checks,
    clock: visits.find((one) => one.clock !== undefined)?.clock,
    isThere: visits.some(({ problem }) => problem === undefined),
  };
}

interface Visit {
  host: string;
  seen: Text;
  /** What to do about it; undefined when all is well. */
  problem?: Text;
  isSkipped?: boolean;
  clock?: { date: number; heardAt: number };
}

function behindBroken({ host }: URL): Visit {
  const why = both('its proxy cannot be used', '所经的代理不可用');
  return { host, seen: why, problem: why, isSkipped: true };
}

/** A call without a token: WeChat refuses it, which proves that WeChat is there, and does nothing. */
async function visit(
  installation: Installation,
  base: URL,
  proxy: Proxy | undefined,
): Promise<Visit> {
  const { host } = base;
  try {
    const { way, answer } = await (proxy === undefined
      ? call(installation, base)
      : callThrough(installation, proxy, base));
    const { status, body, date, tookMs } = answer;
    const ways = `${way}, HTTP ${tookMs} ms`;
    const heard = { date: date ?? 0, heardAt: installation.clock.now() - tookMs / 2 };
    if (status === 200 && typeof parse(body)?.errcode === 'number') {
      return { host, seen: both(ways), ...(date === undefined ? {} : { clock: heard }) };
    }
    return {
      host,
      seen: both(
        `${ways}, but the answer is no answer of WeChat's: status ${status}`,
        `${ways}，但应答不是微信的：状态 ${status}`,
      ),
      problem: both(
        'A proxy stands between this server and WeChat: let this host pass through unchanged.',
        '本机与微信之间有代理：让该域名原样通过。',
      ),
    };
  } catch (error) {
    if (error instanceof ProxyError) {
      const { seen, advice } = explainProxy(error);
      return { host, seen, problem: advice };
    }
    if (!(error instanceof ProbeError)) throw error;
    return { host, seen: describeProbe(error), problem: probeAdvice(error.step, base) };
  }
}

interface Called {
  /** How long each step took. */
  way: string;
  answer: Answered;
}

const PATH = '/cgi-bin/openapi/quota/get';
const QUESTION = { cgi_path: '/' };

async function call(installation: Installation, base: URL): Promise<Called> {
  const { address, dnsMs, connectMs } = await probe(installation, base);
  const answer = await ask(installation, new URL(PATH, base), address, QUESTION);
  const kind = base.protocol === 'https:' ? 'TLS' : 'TCP';
  return { way: `DNS ${dnsMs} ms, ${kind} ${connectMs} ms`, answer };
}

async function callThrough(installation: Installation, proxy: Proxy, base: URL): Promise<Called> {
  const { tunnelMs, tlsMs } = await probeThrough(installation, proxy, base);
  const socket = await tunnelTo(installation, proxy, base);
  const answer = await ask(installation, new URL(PATH, base), socket, QUESTION);
  const tls = tlsMs === undefined ? '' : `, TLS ${tlsMs} ms`;
  return { way: `CONNECT ${tunnelMs} ms${tls}`, answer };
}

export function describeProbe({ step, code }: ProbeError): Text {
  const [en, zh] = {
    dns: ['the name is not found', '域名解析失败'],
    connect: ['no connection', '无法建立连接'],
    certificate: ['the certificate is not valid', '证书无效'],
    http: ['connected, but no answer', '已连接，但没有应答'],
  }[step] as [string, string];
  return both(`${en} (${code})`, `${zh}（${code}）`);
}

function probeAdvice(step: ProbeError['step'], { port, protocol }: URL): Text {
  const way = port || (protocol === 'https:' ? '443' : '80');
  return {
    dns: both(
      'Check the name servers of this machine (resolv.conf), or of the container.',
      '检查本机或容器的 DNS 服务器（resolv.conf）。',
    ),
    connect: both(
      `Let this machine connect to port ${way} of this host: firewall, security group, route.`,
      `放行本机到该域名 ${way} 端口的出站连接：防火墙、安全组、路由。`,
    ),
    certificate: both(
      'Something intercepts TLS, or the clock or the CA certificates of this machine are wrong.',
      'TLS 被中间设备拦截，或本机时间、CA 证书有误。',
    ),
    http: both(
      'Something between this server and WeChat drops requests: look for a proxy or a firewall.',
      '本机与微信之间有设备丢弃请求：检查代理和防火墙。',
    ),
  }[step];
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
