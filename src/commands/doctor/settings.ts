import { statSync } from 'node:fs';
import type { ConfigError } from '../../config/faults.ts';
import { SETTINGS } from '../../config/settings.ts';
import { both, failed, ok, skipped, warn, type Check } from './check.ts';
import type { Installation } from './installation.ts';

/** Settings that are allowed and still not what one wants; what is not allowed ends the service. */

/** Every fault of the settings as a line. */
export function faultChecks({ faults }: ConfigError): Check[] {
  return faults.map(({ setting, text }) =>
    failed('settings', setting ?? both('in general', '总体'), {
      seen: both(text),
      advice: both(
        'Correct it where it is set (.env, the environment or CONFIG_FILE); wxkeeper does not start before.',
        '在设置它的地方（.env、环境变量或 CONFIG_FILE）改正；改好之前 wxkeeper 不会启动。',
      ),
    }),
  );
}

export function examineSettings(installation: Installation): Check[] {
  return [
    formats(installation),
    ...filePermissions(installation),
    publicBaseUrl(installation),
    internalHost(installation),
    apiKeys(installation),
    nodeVersion(installation),
  ];
}

function formats({ config }: Installation): Check {
  const { components, accounts, refreshTokenKeys } = config;
  const names = [...components, ...accounts].map(({ appid }) => appid).join(', ');
  const sealed = refreshTokenKeys.length > 0;
  return ok(
    'settings',
    both('formats', '格式'),
    both(
      `all values have the right form: ${names}; refresh tokens are ${sealed ? '' : 'not '}sealed`,
      `所有值的格式正确：${names}；refresh token ${sealed ? '已' : '未'}加密保存`,
    ),
  );
}

/** Files that hold secrets and that every user of the machine may read. */
function filePermissions({ env, machine }: Installation): Check[] {
  const named = SETTINGS.filter(({ secret }) => secret === true).map(
    ({ name }) => env[`${name}_FILE`],
  );
  const files = [...new Set([machine.dotenv, env.CONFIG_FILE, ...named])];
  return files.flatMap((file) => {
    const mode = file === undefined || file === '' ? undefined : modeOf(file);
    if (file === undefined || mode === undefined) return [];
    const text = (mode & 0o777).toString(8);
    if ((mode & 0o004) === 0) return [ok('settings', file, both(`mode ${text}`, `权限 ${text}`))];
    return [
      warn('settings', file, {
        seen: both(
          `mode ${text}: every user of this machine may read the secrets in it`,
          `权限 ${text}：本机所有用户都能读到其中的密钥`,
        ),
        advice: both(`chmod o-rwx ${file}`),
      }),
    ];
  });
}

function modeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.mode;
}

function publicBaseUrl({ config }: Installation): Check {
  const { publicBaseUrl: url } = config;
  if (url?.startsWith('https:')) return ok('settings', 'PUBLIC_BASE_URL', both(url));
  if (url === undefined && config.components.length === 0) {
    const why = both('not needed without a component', '没有第三方平台，不需要');
    return skipped('settings', 'PUBLIC_BASE_URL', why);
  }
  const advice = both(
    'Set it to the https origin that WeChat and merchants use, such as https://wx.example.com.',
    '设为微信和商家访问用的 https 源，例如 https://wx.example.com。',
  );
  const seen =
    url === undefined
      ? both(
          'not set: no authorization links, and the callback cannot be tried out',
          '未设置：无法生成授权链接，也无法检查回调地址',
        )
      : both(
          `${url} is not https: good for a trial on this machine only`,
          `${url} 不是 https：只适合在本机试用`,
        );
  return warn('settings', 'PUBLIC_BASE_URL', { seen, advice });
}

function internalHost({ config, machine }: Installation): Check {
  const { internalHost: host } = config;
  const wildcard = ['', '0.0.0.0', '::', '[::]'].includes(host);
  if (!wildcard) return ok('settings', 'INTERNAL_HOST', both(host));
  if (machine.inContainer) {
    return ok(
      'settings',
      'INTERNAL_HOST',
      both(
        `${host}, inside a container: publish its port on 127.0.0.1 or a private network only`,
        `${host}，在容器内：端口只发布到 127.0.0.1 或内网`,
      ),
    );
  }
  return warn('settings', 'INTERNAL_HOST', {
    seen: both(
      `${host}: credentials are served on every network of this machine`,
      `${host}：本机所有网络都能访问凭据接口`,
    ),
    advice: both(
      'Set it to 127.0.0.1, or to the address of the private network that your services use.',
      '设为 127.0.0.1，或你的内部服务所在内网的地址。',
    ),
  });
}

function apiKeys({ config }: Installation): Check {
  const { length } = config.apiKeys;
  if (length > 0) return ok('settings', 'API_KEYS', both(`${length} keys`, `${length} 个`));
  return warn('settings', 'API_KEYS', {
    seen: both(
      'none: nobody can read credentials over HTTP, nor the status',
      '没有：谁也不能通过 HTTP 读取凭据和状态',
    ),
    advice: both('npm run keys makes one.', '用 npm run keys 生成一个。'),
  });
}

/** When the maintenance of each even release ends. Source: github.com/nodejs/Release. */
const NODE_ENDS: Readonly<Record<number, string>> = {
  20: '2026-04-30',
  22: '2027-04-30',
  24: '2028-04-30',
  26: '2029-04-30',
};

function nodeVersion({ machine, clock }: Installation): Check {
  const { nodeVersion: version } = machine;
  const major = Number(/^v(\d+)/.exec(version)?.[1] ?? 0);
  const end = NODE_ENDS[major];
  // Odd releases live for half a year, and nobody should run a service on them.
  const over = end === undefined ? major < 26 : clock.now() > Date.parse(end);
  if (!over) {
    const until =
      end === undefined
        ? both(version)
        : both(`${version}, maintained until ${end}`, `${version}，维护到 ${end}`);
    return ok('settings', 'Node.js', until);
  }
  return warn('settings', 'Node.js', {
    seen: both(
      `${version} gets no security fixes any more${end === undefined ? '' : ` since ${end}`}`,
      `${version} ${end === undefined ? '' : `自 ${end} 起`}已不再有安全修复`,
    ),
    advice: both(
      'Install a newer even release of Node.js, or a newer image.',
      '安装更新的偶数版 Node.js，或使用更新的镜像。',
    ),
  });
}
