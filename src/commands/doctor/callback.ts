import { createHash, randomBytes } from 'node:crypto';
import { isLocalAddress } from '../../lib/addresses.ts';
import type { ComponentConfig } from '../../config/file.ts';
import { both, failed, ok, skipped, warn, type Check } from './check.ts';
import type { Installation } from './installation.ts';
import { ask, probe, ProbeError, type Answered } from './probe.ts';
import { describeProbe } from './wechat.ts';
import type { Text } from '../../lib/language.ts';

/** Whether PUBLIC_BASE_URL leads to wxkeeper. Seen from this machine, which may know other ways than WeChat. */

const HERE = both(' (as seen from this machine)', '（从本机看）');
const FEW_DAYS = 14;
const DAY_MS = 86_400_000;

const NAMES = {
  dns: both('DNS name', '域名'),
  connection: both('connection', '连接'),
  certificate: both('certificate', '证书'),
  livez: both('/livez'),
};

export async function examineCallback(installation: Installation): Promise<Check[]> {
  const { publicBaseUrl, components } = installation.config;
  if (publicBaseUrl === undefined) {
    const why =
      components.length === 0
        ? both(
            'no component is configured, so WeChat pushes nothing',
            '没有第三方平台，微信不会推送',
          )
        : both('PUBLIC_BASE_URL is not set', '未设置 PUBLIC_BASE_URL');
    return [skipped('callback', NAMES.dns, why)];
  }
  const base = new URL(publicBaseUrl);
  try {
    const { addresses, address, certificateEndsAt } = await probe(installation, base);
    const checks = [addressCheck(base.hostname, addresses)];
    if (certificateEndsAt !== undefined) {
      checks.push(certificateCheck(certificateEndsAt, installation.clock.now()));
    }
    checks.push(await livez(installation, base, address));
    if (checks.at(-1)?.state !== 'ok') return checks;
    const echoes = components.map((one) => echo(installation, base, address, one));
    return [...checks, ...(await Promise.all(echoes))];
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error;
    return [probeCheck(error)];
  }
}

export function addressCheck(host: string, addresses: readonly string[]): Check {
  const text = `${host}: ${addresses.join(', ')}`;
  const open = addresses.filter((one) => !isLocalAddress(one));
  if (open.length > 0) return ok('callback', NAMES.dns, here(both(text)));
  return warn('callback', NAMES.dns, {
    seen: here(both(`${text} is no public address`, `${text} 不是公网地址`)),
    advice: both(
      'WeChat must find a public address under this name. If only this machine sees another one, all is well.',
      '微信必须能把该域名解析到公网地址。如果只是本机看到的不同，则没有问题。',
    ),
  });
}

export function certificateCheck(endsAt: number, now: number): Check {
  const days = Math.floor((endsAt - now) / DAY_MS);
  const seen = here(both(`valid for ${days} more days`, `还有 ${days} 天到期`));
  if (days >= FEW_DAYS) return ok('callback', NAMES.certificate, seen);
  return warn('callback', NAMES.certificate, {
    seen,
    advice: both(
      'Renew it now, and see why it was not renewed by itself.',
      '现在就续期，并查明为什么没有自动续期。',
    ),
  });
}

function probeCheck(error: ProbeError): Check {
  const { step } = error;
  const name = { ...NAMES, connect: NAMES.connection, http: NAMES.livez }[step];
  const advice = {
    dns: both(
      'Create the DNS record of the name in PUBLIC_BASE_URL, or correct the name.',
      '为 PUBLIC_BASE_URL 的域名添加 DNS 记录，或改正域名。',
    ),
    connect: both(
      'The reverse proxy must listen on port 443 and the firewall let it in. A machine that cannot ' +
        'reach its own public address is no proof: try from elsewhere.',
      '反向代理要监听 443 端口，防火墙要放行。有的机器访问不了自己的公网地址，请换一处再试。',
    ),
    certificate: both(
      'WeChat refuses it, too: install a certificate of this name, with its whole chain, that has not expired.',
      '微信也会拒绝：请安装与域名一致、证书链完整且未过期的证书。',
    ),
    http: both('Look at the log of the reverse proxy.', '查看反向代理的日志。'),
  }[step];
  return failed('callback', name, { seen: here(describeProbe(error)), advice });
}

async function livez(installation: Installation, base: URL, address: string): Promise<Check> {
  const answer = await ask(installation, new URL('/livez', base), address);
  if (answer.status === 200 && answer.body === 'ok') {
    return ok(
      'callback',
      NAMES.livez,
      here(both(`ok after ${answer.tookMs} ms`, `正常，${answer.tookMs} ms`)),
    );
  }
  return failed('callback', NAMES.livez, {
    seen: here(statusOf(answer)),
    advice: both(
      'The reverse proxy must pass this host to PUBLIC_PORT, and wxkeeper must run.',
      '反向代理要把该域名转发到 PUBLIC_PORT，并且 wxkeeper 在运行。',
    ),
  });
}

/** As WeChat tries out a URL: signed with the Token, and what it sends must come back. */
async function echo(
  installation: Installation,
  base: URL,
  address: string,
  { appid, token }: ComponentConfig,
): Promise<Check> {
  const url = new URL(`/callback/${appid}`, base);
  const echostr = String(randomBytes(6).readUIntBE(0, 6));
  const nonce = randomBytes(5).toString('hex');
  const timestamp = String(Math.floor(installation.clock.now() / 1000));
  const signature = createHash('sha1')
    .update([token, timestamp, nonce].sort().join(''))
    .digest('hex');
  for (const [name, value] of Object.entries({ signature, timestamp, nonce, echostr })) {
    url.searchParams.set(name, value);
  }
  const name = both(url.pathname);
  const answer = await ask(installation, url, address);
  if (answer.status === 200 && answer.body === echostr) {
    return ok('callback', name, here(both('answers as it should', '应答正确')));
  }
  const advice =
    answer.status === 401
      ? both(
          'The wxkeeper there has another Token: compare COMPONENT_TOKEN.',
          '那里的 wxkeeper 用的是另一个 Token：核对 COMPONENT_TOKEN。',
        )
      : answer.status === 404
        ? both(
            'The wxkeeper there does not know this appid, or the proxy changes the path.',
            '那里的 wxkeeper 不认识这个 appid，或者代理改写了路径。',
          )
        : both(
            'The proxy must pass path and query unchanged, without a redirect or a page of its own.',
            '代理必须原样转发路径和查询串，不能重定向或返回自己的页面。',
          );
  return failed('callback', name, { seen: here(statusOf(answer)), advice });
}

function statusOf({ status }: Answered): Text {
  return status === 200
    ? both("answered, but not by wxkeeper's words", '有应答，但内容不是 wxkeeper 的')
    : both(`status ${status}`, `状态 ${status}`);
}

function here({ en, zh }: Text): Text {
  return both(`${en}${HERE.en}`, `${zh}${HERE.zh}`);
}
