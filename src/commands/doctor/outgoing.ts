import { variableOf } from '../../config/load.ts';
import { GROUPS as SETTING_GROUPS } from '../../config/settings.ts';
import { proxyFor, type Proxy } from '../../lib/proxy.ts';
import { ProxyError } from '../../lib/tunnel.ts';
import { OF_THE_PROXY } from '../../wechat/proxy-faults.ts';
import { both, failed, ok, warn, type Check } from './check.ts';
import type { Installation } from './installation.ts';
import { tunnelTo } from './probe.ts';
import { explain } from './whitelist.ts';

/** Which way calls to WeChat go, and whether the proxies on it let them through. */

export interface OutgoingVisit {
  checks: Check[];
  /** Proxies that nothing goes through. */
  broken: ReadonlySet<Proxy>;
}

export async function examineOutgoing(installation: Installation): Promise<OutgoingVisit> {
  const { config } = installation;
  const urls = config.wechatApiBaseUrls.map((url) => new URL(url));
  const ways = new Map<Proxy | undefined, URL[]>();
  for (const url of urls) {
    const proxy = proxyFor(config, url);
    ways.set(proxy, [...(ways.get(proxy) ?? []), url]);
  }
  const broken = new Set<Proxy>();
  const lines = [...ways].map(async ([proxy, [first]]): Promise<Check[]> => {
    if (proxy === undefined || first === undefined) return [];
    const { check, isBroken } = await tryOut(installation, proxy, first);
    if (isBroken) broken.add(proxy);
    return [check];
  });
  const tried = (await Promise.all(lines)).flat();
  return { checks: [wayCheck(installation, ways), ...tried, ...unused(installation)], broken };
}

function wayCheck({ env }: Installation, ways: ReadonlyMap<Proxy | undefined, URL[]>): Check {
  const parts = [...ways].map(([proxy, urls]) => {
    const hosts = urls.map(({ host }) => host).join(', ');
    if (proxy === undefined) return both(`directly: ${hosts}`, `直接连接：${hosts}`);
    const { url, authorization } = proxy;
    const { httpsProxy, httpProxy } = SETTING_GROUPS.proxies;
    const from = variableOf(env, urls[0]?.protocol === 'https:' ? httpsProxy : httpProxy);
    const login =
      authorization === undefined
        ? both('without a user', '无用户名')
        : both('with a user', '带用户名');
    return both(
      `through ${url.origin} (${from}, ${login.en}): ${hosts}`,
      `经 ${url.origin}（${from}，${login.zh}）：${hosts}`,
    );
  });
  return ok(
    'outgoing',
    both('way to WeChat', '到微信的路径'),
    both(parts.map(({ en }) => en).join('; '), parts.map(({ zh }) => zh).join('；')),
  );
}

/** A tunnel to the first host that goes through it, in which nothing is said. */
async function tryOut(
  installation: Installation,
  proxy: Proxy,
  first: URL,
): Promise<{ check: Check; isBroken: boolean }> {
  const { clock } = installation;
  const name = both(`proxy ${proxy.url.host}`, `代理 ${proxy.url.host}`);
  const began = clock.monotonic();
  try {
    (await tunnelTo(installation, proxy, first)).destroy();
    const ms = Math.round(clock.monotonic() - began);
    const seen = both(`lets through to ${first.host}, ${ms} ms`, `放行到 ${first.host}，${ms} ms`);
    return { check: ok('outgoing', name, seen), isBroken: false };
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    const trouble = { code: 'wechat_unreachable', ...explainProxy(error) } as const;
    const isBroken = OF_THE_PROXY.includes(error.fault);
    return { check: failed('outgoing', name, trouble), isBroken };
  }
}

/** What went wrong at the proxy, with the word of Node or its status, and what to do. */
export function explainProxy({ fault, cause }: ProxyError): Pick<Check, 'seen'> & {
  advice: NonNullable<Check['advice']>;
} {
  const { code, message } = (cause ?? {}) as { code?: string; message?: string };
  const { seen, advice } = explain({ api: '', fault, class: 'retry' });
  const word = code ?? (/^status \d+$/.test(message ?? '') ? message : undefined);
  if (word === undefined) return { seen, advice };
  return { seen: both(`${seen.en}: ${word}`, `${seen.zh}：${word}`), advice };
}

const UNUSED = ['ALL_PROXY', 'all_proxy'];

/** What other programs go out through. Its value may hold a password: it is not shown. */
function unused({ env }: Installation): Check[] {
  const set = UNUSED.filter((name) => (env[name] ?? '') !== '');
  return set.map((name) =>
    warn('outgoing', name, {
      seen: both('set, and not used', '已设置但不会使用'),
      advice: both(
        'Where WeChat is to be called through a proxy, set HTTPS_PROXY; otherwise leave it.',
        '需要经代理调用微信时设置 HTTPS_PROXY；否则不用管。',
      ),
    }),
  );
}
